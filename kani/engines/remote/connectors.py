"""Connectors to a worker: a child of this process, or one that runs already, here or on another machine."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress

from kani.core.errors import EngineUnavailable
from kani.engines.remote.address import Address, connect
from kani.engines.remote.channel import PEER_ENDED, Channel
from kani.engines.remote.connection import Connection, WorkerLost
from kani.engines.remote.messages import Launch, Ready
from kani.runtime.child_process import python_command, start_process

EXIT_TIMEOUT_S = 5.0
"""Seconds for a child to end by itself once its connection has ended; then it is killed."""


class ChildWorker:
    """Starts a worker as a child of this process.

    They share a socket pair, which has no name and so nothing to protect: the worker ends when its end is
    closed, however this process ended.
    """

    def __init__(
        self, launch: Launch, changed: Callable[[Ready], None], *, python: str = sys.executable
    ) -> None:
        """python: interpreter of the worker's environment."""
        self.name = f"the process of {launch.name}"
        self._launch = launch
        self._python = python
        self._changed = changed
        self._process: subprocess.Popen[bytes] | None = None

    async def connect(self) -> Connection:
        """Return a worker that is ready. Raises EngineUnavailable, WorkerLost and OSError."""
        if not hasattr(socket, "AF_UNIX") or sys.platform == "win32":
            raise EngineUnavailable(
                "KANI_ENGINE_PROCESS and KANI_IDLE_UNLOAD_SECONDS need Unix sockets, which this system has "
                "not: leave them out"
            )
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        try:
            with theirs:
                self._process = await _start(self._python, theirs.fileno())
            _, channel = await asyncio.get_running_loop().create_unix_connection(Channel, sock=ours)
        except BaseException:
            # A child that has just begun ends when it finds its connection closed.
            ours.close()
            process, self._process = self._process, None
            if process is not None:
                await asyncio.to_thread(_end, process, EXIT_TIMEOUT_S)
            raise
        connection = Connection(channel, self._changed, self.name)
        try:
            await connection.open("", self._launch)
        except WorkerLost as error:
            await self.disconnect(connection)
            # The end of the process says more than that of its connection.
            reason = connection.channel.reason
            raise WorkerLost(str(error) if reason == PEER_ENDED else reason) from error
        except BaseException:
            # A cancelled start, too, leaves neither connection nor child.
            await self.disconnect(connection)
            raise
        return connection

    async def disconnect(self, connection: Connection) -> None:
        """Free everything of a connection, and end the child."""
        connection.channel.close("the server ends it")
        process, self._process = self._process, None
        if process is not None:
            # A worker that was found hanging does not see the end of its connection.
            hangs = connection.channel.hung
            ending = asyncio.to_thread(_end, process, 0.0 if hangs else EXIT_TIMEOUT_S)
            code = await asyncio.shield(asyncio.create_task(ending))
            if code and connection.channel.reason == PEER_ENDED:
                how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
                connection.channel.reason = f"it {how}"


class RemoteWorker:
    """Connects to a worker that listens on an address."""

    def __init__(self, address: Address, key: str, changed: Callable[[Ready], None]) -> None:
        self.name = f"the engine worker at {address}"
        self._address = address
        self._key = key
        self._changed = changed

    async def connect(self) -> Connection:
        channel = await connect(self._address)
        connection = Connection(channel, self._changed, self.name)
        try:
            await connection.open(self._key, None)
        except BaseException:
            # A cancelled start, too, leaves neither connection nor child.
            await self.disconnect(connection)
            raise
        return connection

    async def disconnect(self, connection: Connection) -> None:
        connection.channel.close("this server ends it")


async def _start(python: str, socket_number: int) -> subprocess.Popen[bytes]:
    # A session of its own: a terminal's Ctrl+C and a service's SIGTERM are for the server, which ends it.
    return await start_process(
        python_command("kani.engines.worker.child", str(socket_number), python=python),
        stdin=subprocess.DEVNULL,
        pass_fds=(socket_number,),
        start_new_session=True,
    )


def _end(process: subprocess.Popen[bytes], within_s: float) -> int:
    """Reap the process, with whatever of its group is left; return its exit code, negative for a signal."""
    with suppress(subprocess.TimeoutExpired):
        process.wait(within_s)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    return process.wait()
