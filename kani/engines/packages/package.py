"""A maker's package as the server knows it, and the start of its worker."""

from __future__ import annotations

import asyncio
import importlib
import logging
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from kani.core.errors import EngineUnavailable
from kani.engines.plugin import CURE, Host, PackageWorker, Resources
from kani.runtime.extras import FETCH
from kani.runtime.packages import checkpoint
from kani.runtime.packages.environment import LISTED, PackageEnvironment

if TYPE_CHECKING:
    from kani.core.engine import Engine

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Package:
    """A maker's package as an engine or a recogniser."""

    name: str
    """Name of its plugin."""
    environment: PackageEnvironment
    adapter: str
    """Its class, ``kani.engines.voxcpm.adapter:VoxCPM``."""
    find: Callable[[Any, Resources], Mapping[str, Any]]
    """Find or fetch its files, and check them; return the adapter's settings, of the types of JSON.

    It gets the plugin's settings. Blocks. Raises EngineUnavailable, naming the file and the cure.
    """
    setting: str = ""
    """Setting that names its model, ``KANI_VOXCPM_MODEL``."""
    kind: str = "engine"
    """Option that chooses it: engine or recognizer."""
    recording_s: float = 60.0
    """Seconds of a recording that ``embed`` gets at most."""
    on_cuda: tuple[str, str] | None = None
    """A module, and the adapter that is used where it is installed, unless KANI_DEVICE excludes CUDA."""

    @property
    def cure(self) -> str:
        """The cure for a model that is not whole."""
        return (
            f"remove it and fetch it again by {FETCH} --{self.kind} {self.name}, or name another one "
            f"({self.setting})"
        )

    def fetched(
        self, name: str, files: tuple[str, ...] | str, resources: Resources, setting: str = ""
    ) -> Path:
        """Return the folder of a hub's repository, or its one file: see ``checkpoint.fetched``.

        setting: that which names a folder instead, if not the model's. Raises EngineUnavailable.
        """
        return checkpoint.fetched(
            name,
            files,
            resources.cache_dir,
            engine=self.environment.engine,
            setting=setting or self.setting,
            may_fetch=resources.may_fetch,
        )

    def config(self, folder: Path) -> dict[str, Any]:
        """Return the content of a folder's ``config.json``. Raises EngineUnavailable."""
        return checkpoint.read_config(folder / "config.json", self.cure)

    def check(self, *paths: Path) -> None:
        """Check that fetched files are whole. Raises EngineUnavailable."""
        for path in paths:
            checkpoint.check_file(path, self.cure)

    def engine(self, settings: BaseModel, resources: Resources) -> Engine:
        """Build the engine; its start starts the process of the package."""
        engine: Engine = later("kani.engines.packages.engine:PackageEngine")(self, settings, resources)
        return engine

    def made_python(self, cache: Path) -> str | None:
        """Return the python of the environment that was made in a folder, None if there is none.

        Raises EngineUnavailable for one that is not complete, or has the packages of another version.
        """
        python, engine = self.environment.python_in(cache), self.environment.engine
        if not python.is_file():
            return None
        listed = python.parents[1] / LISTED
        if not listed.is_file() or listed.read_text("utf-8") != self.environment.packages:
            raise EngineUnavailable(
                f"the environment of {engine} in {python.parents[1]} is not complete, or of another version: "
                f"{FETCH} with the same options completes it"
            )
        return str(python)

    def python(self, settings: BaseModel, resources: Resources) -> str:
        """Return the python that is set, else that of the environment that was made, else this one.

        Raises EngineUnavailable for an environment that is not complete.
        """
        named: str | None = getattr(settings, "python", None)
        return named or self.made_python(resources.cache_dir) or sys.executable

    def prepare(self, settings: BaseModel, resources: Resources) -> None:
        """Make the environment unless one is set, and fetch the files: for ``--fetch``. Blocks.

        Raises EngineUnavailable.
        """
        if getattr(settings, "python", None) is None:
            self.environment.make(resources.cache_dir, log.info)
        self.worker(settings, resources)

    def worker(self, settings: BaseModel, resources: Resources) -> PackageWorker:
        """Check the environment and the files; return what the worker is started with. Blocks.

        Raises EngineUnavailable.
        """
        python, adapter, environment = self.python(settings, resources), self.adapter, self.environment
        if self.on_cuda is not None and resources.device not in ("cpu", "mps"):
            module, faster = self.on_cuda
            other = replace(environment, modules=("msgspec", "numpy", module))
            if not other.missing(python):
                adapter, environment = faster, other
        environment.check(python)
        found = {CURE: self.cure, **self.find(settings, resources)}
        return PackageWorker(self.name, python, adapter, found)

    async def found(self, settings: BaseModel, resources: Resources) -> PackageWorker:
        """Return what ``worker`` does, found in a thread."""
        pool = ThreadPoolExecutor(1, thread_name_prefix=self.name)
        try:
            return await asyncio.get_running_loop().run_in_executor(pool, self.worker, settings, resources)
        finally:
            # If cancelled, a download may still run: the event loop does not wait for it.
            pool.shutdown(wait=False)


def later(path: str) -> Callable[..., Any]:
    """Return a function that calls another, ``module:function``, whose module is imported only then.

    Descriptions of engines are imported at each start, and import nothing large.
    """
    module, _, name = path.partition(":")
    return lambda *arguments: getattr(importlib.import_module(module), name)(*arguments)


class Packaged:
    """Base of what a package is in the server: the worker, and when it is there."""

    def __init__(self, package: Package, settings: BaseModel, resources: Resources) -> None:
        """resources: ``host`` starts the worker."""
        self._package = package
        self._settings = settings
        self._resources = resources
        self._worker: Any = None
        self._idle_s: float | None = None

    async def _start_worker(self, build: Callable[[Host, PackageWorker], Any]) -> None:
        """Check the environment, find or fetch the files, and start what ``build`` returns.

        Raises EngineUnavailable, with what is missing and how to install it.
        """
        self._found = await self._package.found(self._settings, self._resources)
        assert self._resources.host is not None  # it is always built in the server's process
        self._worker = build(self._resources.host, self._found)
        await self._worker.start()
        if self._idle_s is not None:
            self._worker.unload_after(self._idle_s)

    async def stop(self) -> None:
        """End the worker."""
        if self._worker is not None:
            await self._worker.stop()

    @property
    def loaded(self) -> bool:
        return self._worker is not None and bool(self._worker.loaded)

    def unload_after(self, idle_s: float) -> None:
        """See ``Unloadable.unload_after``; also before the start."""
        self._idle_s = idle_s
        if self._worker is not None:
            self._worker.unload_after(idle_s)
