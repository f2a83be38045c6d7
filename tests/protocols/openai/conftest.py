from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.app_server import AppServer, app_server
from tests.support.loudness import PausingRecognizer


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AppServer]:
    """The application in this process, over espeak-ng; it hears "w0 w1 …" in loud audio."""
    with app_server(tmp_path_factory.mktemp("app")) as running:
        running.service.recognizer = PausingRecognizer()
        yield running
