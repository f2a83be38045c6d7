"""The system's Chromium and Firefox, and people who open the page with them."""

import wave
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path
from typing import Any

import httpx2
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.conftest import ServerProcess, StartServer, server_process
from tests.page.firefox import launch as firefox
from tests.page.visitor import BROWSERS, ENVIRONMENT, PATIENCE_MS, Visitor, find_browser
from tests.support.patience import WITHIN_S

# Assertions wait as long as actions do.
expect.set_options(timeout=PATIENCE_MS)

ARGUMENTS = (
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    # Unassigned names resolve to this machine.
    "--host-resolver-rules=MAP *.test 127.0.0.1",
)

KEYS = ("open-sesame", "signal/of(step)")
"""Keys of ``keyed_server``: one that may be the name of a sub-protocol, and one that may not.

Neither has a space or a letter beyond ASCII, which KANI_API_KEYS refuses.
"""

HANGS_AFTER_S = WITHIN_S
"""Seconds of a test in Firefox. One that starts a server twice took two minutes on a full machine."""

MICROPHONE_HZ = 24_000

Visit = Callable[..., Visitor]
Within = Callable[[float], AbstractContextManager[Browser]]
"""Gives a browser to a test, which loses it after so many seconds."""

in_both = pytest.mark.browsers("chromium", "firefox")
"""Marks a test of what differs: sound that plays, the microphone, files, layout, a walk by the keyboard."""

TEXT = "One small step, one giant leap."
LONG = "The quick brown fox jumps over the lazy dog. " * 8

READ_ALOUD = "Cada mañana leo en voz alta una página entera, despacio y con cuidado, para quien quiera oírla."


@pytest.fixture(scope="session")
def recording(espeak_server: ServerProcess, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A WAV file of about six seconds of speech, which is what the browser's microphone hears, too."""
    answer = httpx2.post(f"{espeak_server.http_url}/tts", json={"text": READ_ALOUD}, timeout=300)
    path = tmp_path_factory.mktemp("recording") / "speech.wav"
    path.write_bytes(answer.raise_for_status().content)
    return path


def microphone_file(url: str, folder: Path, said: str, silence_s: float, voice: str = "af_heart") -> Path:
    """Write a WAV file for the microphone, which repeats it: a text in the server's voice, and a silence."""
    request = {"input": said, "voice": voice, "model": "tts-1", "response_format": "pcm"}
    answer = httpx2.post(f"{url}/v1/audio/speech", json=request, timeout=300).raise_for_status()
    path = folder / "heard.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(MICROPHONE_HZ)
        file.writeframes(answer.content + bytes(2 * round(MICROPHONE_HZ * silence_s)))
    return path


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give every test Chromium, or the browsers that it is marked with; smoke leaves the second one out."""
    if "browsers" in metafunc.fixturenames:
        marker = metafunc.definition.get_closest_marker("browsers")
        names = marker.args if marker else ("chromium",)
        chosen = [
            pytest.param(
                name,
                id=pytest.HIDDEN_PARAM if name == "chromium" else name,
                marks=[pytest.mark.full] if at else [],
            )
            for at, name in enumerate(names)
        ]
        metafunc.parametrize("browsers", chosen, indirect=True, scope="module")


@pytest.fixture(scope="module")
def preferences() -> firefox.Preferences:
    """Settings of Firefox that a module's tests need."""
    return {}


# For one module: playwright's own event loop must not be there when a test of another has one.
@pytest.fixture(scope="module")
def browsers(
    request: pytest.FixtureRequest,
    recording: Path,
    preferences: firefox.Preferences,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Within]:
    """Chromium or Firefox, without a window."""
    if request.param == "firefox":
        if missing := firefox.missing():
            pytest.skip(f"{missing} is not installed")
        with sync_playwright() as playwright:
            folder = tmp_path_factory.mktemp("firefox")
            with firefox.running(playwright, folder, recording, preferences) as running:
                yield running.within
        return
    path = find_browser()
    if path is None:
        pytest.skip(f"no browser here: none of {', '.join(BROWSERS)} is installed")
    with sync_playwright() as playwright:
        arguments = (*ARGUMENTS, f"--use-file-for-fake-audio-capture={recording}")
        chromium = playwright.chromium.launch(executable_path=path, args=arguments, env=ENVIRONMENT)
        yield lambda seconds: nullcontext(chromium)  # its driver's own limits suffice
        chromium.close()


@pytest.fixture
def browser(browsers: Within) -> Iterator[Browser]:
    """The browser, for one test."""
    with browsers(HANGS_AFTER_S) as running:
        yield running


@pytest.fixture(scope="module")
def modules(browsers: Within, espeak_server: ServerProcess) -> Iterator[Page]:
    """A page with modules that are called by ``evaluate``; it keeps nothing from one call to the next."""
    with browsers(WITHIN_S) as browser:
        visitor = Visitor(browser.new_page(), f"{espeak_server.http_url}/")
        visitor.arrive()
        yield visitor.page
        visitor.page.close()
    assert visitor.complaints == []


@pytest.fixture
def spoken(browser: Browser, spoken_once: Visitor) -> Visitor:
    """A page that has spoken ``TEXT``, for tests that only look at what is there then."""
    return spoken_once


@pytest.fixture(scope="module")
def spoken_once(browsers: Within, espeak_server: ServerProcess) -> Iterator[Visitor]:
    with browsers(HANGS_AFTER_S) as browser:
        visitor = Visitor(browser.new_page(locale="en-US"), f"{espeak_server.http_url}/")
        visitor.arrive()
        visitor.say(TEXT, "en")
    yield visitor
    assert visitor.complaints == []
    visitor.page.close()


@pytest.fixture(scope="module")
def keyed_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server that every address reaches, by espeak-ng, which asks for one of ``KEYS``."""
    options = ("--engine", "espeak", "--host", "0.0.0.0")
    folder = tmp_path_factory.mktemp("keyed_server")
    with server_process(folder, *options, KANI_API_KEYS=",".join(KEYS)) as running:
        yield running


@pytest.fixture
def visit(browser: Browser, espeak_server: ServerProcess, start_server: StartServer) -> Iterator[Visit]:
    """Open the page as somebody new: ``visit(server, locale="es-ES")``; playwright's options of a context.

    The page is ready when this returns, unless ``ready=False``. Whatever a test does, no page may
    have complained when it ends. A server that the test starts is stopped after the pages have gone.
    """
    visitors = []
    with ExitStack() as contexts:

        def come(
            server: ServerProcess = espeak_server,
            *,
            ready: bool = True,
            network_may_fail: bool = False,
            **options: Any,
        ) -> Visitor:
            url = options.pop("url", f"{server.http_url}/")
            context = browser.new_context(**{"locale": "en-US", **options})
            contexts.callback(lambda: context.close() if browser.is_connected() else None)
            visitor = Visitor(context.new_page(), url)
            visitor.network_may_fail = network_may_fail
            visitors.append(visitor)
            if ready:
                visitor.arrive()
            return visitor

        yield come
    assert [complaint for visitor in visitors for complaint in visitor.complaints] == []


@pytest.fixture
def visitor(visit: Visit) -> Visitor:
    """Somebody new with the page open."""
    return visit()


@pytest.fixture
def page(visitor: Visitor) -> Page:
    """The visitor's page."""
    return visitor.page
