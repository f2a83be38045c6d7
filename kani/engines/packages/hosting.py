"""The worker's side of a maker's package: its adapter, loaded and called in threads of their own."""

import asyncio
import importlib
import inspect
import os
import sys
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Generic, TypeVar

from kani.core.errors import EngineUnavailable
from kani.engines.plugin import CURE, Resources
from kani.runtime.cancelling import wait_until_done
from kani.runtime.errors import DeviceError

Info = TypeVar("Info")
T = TypeVar("T")


class Adapted(Generic[Info]):
    """An adapter and its threads: base of the engine and the recogniser that it is in the worker."""

    info: Info  # from the start on

    def __init__(self, path: str, settings: Mapping[str, Any], resources: Resources) -> None:
        """path: ``module:Class`` of the adapter; settings: the adapter's, with ``CURE``."""
        module, _, name = path.partition(":")
        self.adapter: Any = getattr(importlib.import_module(module), name)()
        self._settings = settings
        self._resources = resources
        # A model may belong to the thread that loads it: compiled graphs do.
        self._threads = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._name = name

    async def start(self) -> None:
        """Load the model. Raises EngineUnavailable."""
        # The server has fetched what there is, and shows no progress of a package's.
        os.environ |= {"HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1"}
        try:
            self.info = await self.call(self.adapter.load, self._settings, self._resources)
            if (torch := sys.modules.get("torch")) is not None and self._resources.threads is not None:
                torch.set_num_threads(self._resources.threads)
        except (EngineUnavailable, MemoryError):
            raise
        except DeviceError as error:
            raise EngineUnavailable(f"{self._name} cannot start: {error} (KANI_DEVICE)") from error
        except ImportError as error:
            raise EngineUnavailable(
                f"{self._name} cannot import its package ({error}): make its environment again by --fetch, "
                "or install the package's requirements there"
            ) from error
        except Exception as error:  # packages raise errors of any type for files that they cannot read
            # Torch's, which is imported in no other process.
            if type(error).__name__ == "OutOfMemoryError":
                raise EngineUnavailable(
                    f"{self._name} cannot load its model: the device has too little free memory", passing=True
                ) from error
            reason = " ".join(str(error).split())[:400] or type(error).__name__
            cure = self._settings.get(CURE, "")
            raise EngineUnavailable(f"{self._name} cannot load its model: {reason}: {cure}") from error

    async def call(
        self, method: Callable[..., T], *arguments: Any, stopped: threading.Event | None = None
    ) -> T:
        """Call a method in a thread, a coroutine in the event loop.

        stopped: set where this is cancelled, which then returns once the call has ended.
        """
        if inspect.iscoroutinefunction(method):
            result: T = await method(*arguments)
            return result
        work = asyncio.get_running_loop().run_in_executor(self._threads, method, *arguments)
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            if stopped is not None:
                stopped.set()
            await wait_until_done(work)
            raise

    async def stop(self) -> None:
        await asyncio.to_thread(self._threads.shutdown)
