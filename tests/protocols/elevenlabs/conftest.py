from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.app_server import KEY, AppServer, app_server


@pytest.fixture(scope="session")
def keyed_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AppServer]:
    """A server that other machines reach, and that asks for the key ``KEY``."""
    folder = tmp_path_factory.mktemp("keyed_app")
    with app_server(folder, KANI_HOST="0.0.0.0", KANI_API_KEYS=KEY) as running:
        yield running
