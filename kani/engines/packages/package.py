"""A maker's package as the server knows it, and the start of its worker."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pydantic import BaseModel

from kani.core.errors import EngineFailed, EngineUnavailable
from kani.engines.plugin import CURE, MODEL, RECOGNIZER_MODEL, Host, PackageWorker, Resources, later
from kani.runtime.errors import CheckpointError
from kani.runtime.extras import FETCH
from kani.runtime.packages.checkpoint import fetched
from kani.runtime.packages.environment import PackageEnvironment

if TYPE_CHECKING:
    from kani.core.engine import Engine

log = logging.getLogger(__name__)

Worker = TypeVar("Worker")


@dataclass(frozen=True, slots=True)
class Package:
    """A maker's package as an engine or a recogniser."""

    name: str  # name of its plugin
    environment: PackageEnvironment
    adapter: str  # class of its adapter, such as ``kani.engines.voxcpm.adapter:VoxCPM``
    find: Callable[[Any, Resources], Mapping[str, Any]]
    """Find or fetch its files, and check them; return the adapter's settings, of the types of JSON.

    It gets the plugin's settings. Blocks. Raises CheckpointError for a model that is not whole, and
    EngineUnavailable.
    """
    kind: str = "engine"  # option that chooses it: engine or recognizer
    recording_s: float = 60.0  # seconds of a recording that ``embed`` gets at most
    on_cuda: tuple[str, str] | None = None
    """A module, and the adapter that is used where it is installed, unless KANI_DEVICE excludes CUDA."""

    @property
    def setting(self) -> str:
        return MODEL if self.kind == "engine" else RECOGNIZER_MODEL

    def fetched(
        self, name: str, files: tuple[str, ...] | str, resources: Resources, setting: str = ""
    ) -> Path:
        """Return the folder of a hub's repository, or its one file: see ``checkpoint.fetched``.

        setting: that which names a folder instead, if not the model's. Raises EngineUnavailable.
        """
        may_fetch = resources.may_fetch
        return fetched(name, files, resources.cache_dir, setting or self.setting, may_fetch=may_fetch)

    def engine(self, settings: BaseModel, resources: Resources) -> Engine:
        """Build the engine; its start starts the process of the package."""
        engine: Engine = later("kani.engines.packages.engine:PackageEngine")(self, settings, resources)
        return engine

    def prepare(self, settings: BaseModel, resources: Resources) -> None:
        """Make the environment unless one is set, and fetch the files: for ``--fetch``. Blocks.

        Raises EngineUnavailable.
        """
        if self.name not in resources.pythons:
            self.environment.make(resources.cache_dir, log.info)
        self.worker(settings, resources)

    def worker(self, settings: BaseModel, resources: Resources) -> PackageWorker:
        """Check the environment and the files; return what the worker is started with. Blocks.

        Its python is the one that is set, else that of the environment that was made, else the server's.
        Raises EngineUnavailable.
        """
        adapter, environment = self.adapter, self.environment
        python = (
            resources.pythons.get(self.name) or environment.made_python(resources.cache_dir) or sys.executable
        )
        if self.on_cuda is not None and resources.device not in ("cpu", "mps"):
            module, faster = self.on_cuda
            other = replace(environment, modules=("msgspec", "numpy", module))
            if not other.missing(python):
                adapter, environment = faster, other
        environment.check(python)
        return PackageWorker(self.name, python, adapter, self.files(settings, resources))

    def files(self, settings: BaseModel, resources: Resources) -> dict[str, Any]:
        """Return what ``find`` does, and the cure for a model that is not whole. Blocks.

        Raises EngineUnavailable.
        """
        again = f"remove it and fetch it again by {FETCH} --{self.kind} {self.name}"
        cure = f"{again}, or name another one ({self.setting})"
        try:
            return {CURE: cure, **self.find(settings, resources)}
        except CheckpointError as error:
            raise EngineUnavailable(f"{error}: {cure}") from error


class Packaged(Generic[Worker]):
    """Base of a package in the server: its worker, an engine or a recogniser, and when it is there."""

    def __init__(self, package: Package, settings: BaseModel, resources: Resources) -> None:
        """resources: ``host`` starts the worker."""
        self._package = package
        self._settings = settings
        self._resources = resources
        self._worker: Any = None
        self._idle_s: float | None = None

    async def _start_worker(self, build: Callable[[Host, PackageWorker], Worker]) -> None:
        """Check the environment, find or fetch the files, and start what ``build`` returns.

        Raises EngineUnavailable, with what is missing and how to install it.
        """
        pool, find = ThreadPoolExecutor(1, thread_name_prefix=self._package.name), self._package.worker
        try:
            work = asyncio.get_running_loop().run_in_executor(pool, find, self._settings, self._resources)
            self._found = await work
        finally:
            # If cancelled, a download may still run: the event loop does not wait for it.
            pool.shutdown(wait=False)
        assert self._resources.host is not None  # it is always built in the server's process
        self._worker = build(self._resources.host, self._found)
        await self._worker.start()
        if self._idle_s is not None:
            self._worker.unload_after(self._idle_s)

    @property
    def _started(self) -> Worker:
        if self._worker is None:
            raise EngineFailed(f"{self._package.name} has not started")
        worker: Worker = self._worker
        return worker

    async def stop(self) -> None:
        if self._worker is not None:
            await self._worker.stop()

    @property
    def loaded(self) -> bool:
        return self._worker is not None and bool(self._worker.loaded)

    def unload_after(self, idle_s: float) -> None:
        """Unload the worker when idle, also one that starts later: see ``Unloadable``."""
        self._idle_s = idle_s
        if self._worker is not None:
            self._worker.unload_after(idle_s)
