"""Addresses of engine workers: ``unix:/run/kani/kokoro.sock`` and ``tcp://10.0.0.7:9500``."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from kani.engines.remote.channel import Channel

FORMS = "unix:/path/to/worker.sock or tcp://host:port"
PRIVATE_FOLDER, PRIVATE_SOCKET = 0o700, 0o600


@dataclass(frozen=True, slots=True)
class Address:
    """A Unix socket (``path``) or a TCP port."""

    path: Path | None = None
    host: str = ""
    port: int = 0

    @classmethod
    def parse(cls, text: str) -> Address:
        """Return the address of ``text``. Raises ValueError."""
        if text.startswith("unix:"):
            path = Path(text.removeprefix("unix://").removeprefix("unix:"))
            if not path.is_absolute():
                raise ValueError(f"{text!r} is no absolute path: use {FORMS}")
            return cls(path=path)
        parts = urlsplit(text)
        try:
            port = parts.port
        except ValueError:
            port = None
        if parts.scheme != "tcp" or not parts.hostname or port is None or parts.path.strip("/"):
            raise ValueError(f"{text!r} is no address of a worker: use {FORMS}")
        return cls(host=parts.hostname, port=port)

    def __str__(self) -> str:
        if self.path is not None:
            return f"unix:{self.path}"
        return f"tcp://[{self.host}]:{self.port}" if ":" in self.host else f"tcp://{self.host}:{self.port}"

    @property
    def needs_key(self) -> bool:
        """True where other machines or other users can connect."""
        return self.path is None


async def connect(address: Address) -> Channel:
    """Connect to a worker. Raises OSError."""
    loop = asyncio.get_running_loop()
    if address.path is not None:
        _, channel = await loop.create_unix_connection(Channel, str(address.path))
    else:
        _, channel = await loop.create_connection(Channel, address.host, address.port)
    return channel


async def listen(address: Address, accept: Callable[[], Channel]) -> asyncio.Server:
    """Listen for servers. Raises OSError, and ValueError for a socket's folder that others may enter.

    A folder that does not exist is made for this user only. A socket that a dead worker left is replaced;
    one that a live worker listens on is not.
    """
    loop = asyncio.get_running_loop()
    if address.path is None:
        return await loop.create_server(accept, address.host, address.port)
    _prepare(address.path)
    server = await loop.create_unix_server(accept, str(address.path))
    address.path.chmod(PRIVATE_SOCKET)
    return server


def _prepare(path: Path) -> None:
    path.parent.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
    folder = path.parent.stat()
    if folder.st_uid != os.geteuid() or stat.S_IMODE(folder.st_mode) & 0o077:
        raise ValueError(
            f"the folder {path.parent} has to be closed to other users: chmod 700, or name another folder"
        )
    if path.exists():
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(path))
            except ConnectionRefusedError:
                path.unlink()
            else:
                raise ValueError(f"another worker listens on {path}: end it, or name another socket")
