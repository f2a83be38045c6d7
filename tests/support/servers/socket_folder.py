"""A place for Unix sockets, whose paths may have 107 bytes (103 on macOS): TMPDIR alone may be as long."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def socket_folder() -> Iterator[Path]:
    """A folder with a short path, which is removed at the end."""
    where = "/tmp" if os.name == "posix" else None
    with tempfile.TemporaryDirectory(prefix="kani-", dir=where) as folder:
        yield Path(folder)
