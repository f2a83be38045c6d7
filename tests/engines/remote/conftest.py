"""Where the workers of these tests listen."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.servers.socket_folder import socket_folder


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """Replaces pytest's folder: its path may be too long for a Unix socket."""
    with socket_folder() as folder:
        yield folder
