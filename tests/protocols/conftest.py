from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.app_server import AppServer, StartApp, app_server, app_starter
from tests.support.loudness import LoudnessRecognizer


@pytest.fixture(scope="session")
def espeak_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AppServer]:
    """The application in this process, by espeak-ng, for the whole run; it recognizes "bum" in loud audio."""
    with app_server(tmp_path_factory.mktemp("espeak_app")) as running:
        running.service.recognizer = LoudnessRecognizer()
        yield running


@pytest.fixture
def start_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartApp]:
    """Start an application of one's own: ``start_app(KANI_MAX_TEXT="50")``."""
    with app_starter(lambda: tmp_path_factory.mktemp("app")) as start:
        yield start
