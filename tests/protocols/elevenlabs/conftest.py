from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.app_server import KEY, AppServer, StartApp, app_server, app_starter


@pytest.fixture(scope="session")
def espeak_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AppServer]:
    with app_server(tmp_path_factory.mktemp("espeak_app")) as running:
        yield running


@pytest.fixture
def start_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartApp]:
    with app_starter(lambda: tmp_path_factory.mktemp("app")) as start:
        yield start


@pytest.fixture(scope="session")
def keyed_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AppServer]:
    """A server that other machines reach, and that asks for the key ``KEY``."""
    folder = tmp_path_factory.mktemp("keyed_app")
    with app_server(folder, KANI_HOST="0.0.0.0", KANI_API_KEYS=KEY) as running:
        yield running
