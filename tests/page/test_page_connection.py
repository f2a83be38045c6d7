"""The page and a server that is away, restarts, is busy, refuses or wants a key."""

import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect

from kani.server.connections import Phase
from tests.clients.voxcpm.document import code
from tests.conftest import ServerProcess, StartServer
from tests.page.conftest import KEYS, LONG, TEXT, Visit, in_both
from tests.page.visitor import Visitor
from tests.support.servers.app_server import app_server

SPANISH = "Un paso pequeño, un salto gigante."
TRIES = 10
UNAVAILABLE = "The server cannot do this right now. Try again in a moment."
LOADED = """
  (names) => {
    const loaded = performance.getEntriesByType("resource").filter(({ responseEnd }) => responseEnd);
    return names.every((module) => loaded.some(({ name }) => name.endsWith(`/${module}.js`)));
  }
"""

IMPORTED = """
  () => Promise.all(
    performance.getEntriesByType("resource")
      .filter(({ name }) => /history-list|downloads|media-keys/.test(name))
      .map(({ name }) => import(name))
  ).then(() => true)
"""


@in_both
def test_the_page_comes_back_by_itself_after_a_restart(visit: Visit, start_server: StartServer) -> None:
    server = start_server("--engine", "espeak", KANI_RECOGNIZER="none")
    visitor = visit(server, network_may_fail=True)
    server.stop()
    assert visitor.line("offline") == "Offline, trying again"
    assert "The text is kept" in visitor.text("#problem")
    visitor.speak("Stopped while the server was away.")
    visitor.page.click("#stop")
    visitor.speak(TEXT)
    assert visitor.text("#status") == "Waiting for the server. Nothing is lost."
    assert visitor.page.is_visible("#stop")
    assert visitor.value("#text") == TEXT
    start_server("--engine", "espeak", KANI_PORT=str(server.port), KANI_RECOGNIZER="none")
    visitor.wait_for("#line[data-state=open]")
    visitor.wait_for_end()
    visitor.assert_lit(re.findall(r"\w+", TEXT))
    assert visitor.text("#problem") == ""
    assert [request["text"] for request in visitor.requests] == [TEXT]


def test_audio_before_a_lost_connection_is_played_and_kept(visit: Visit, start_server: StartServer) -> None:
    server = start_server("--engine", "espeak", KANI_RECOGNIZER="none")
    visitor = visit(server, network_may_fail=True)
    with visitor.page.expect_event("websocket"):
        # A new line, on which a request has just begun.
        visitor.page.reload()
    visitor.wait_for("#line[data-state=open]")
    visitor.page.fill("#text", LONG * 8)
    visitor.page.keyboard.press("Control+Enter")
    visitor.page.wait_for_selector("#download:enabled", state="attached")
    # Parts of the page that the first sound asks for.
    visitor.page.wait_for_function(LOADED, arg=["history-list", "downloads", "media-keys", "time-stretch"])
    # What they import has to be there, too.
    visitor.page.evaluate(IMPORTED)
    server.process.send_signal(signal.SIGKILL)
    server.process.wait()
    server.close()
    visitor.wait_for("#line[data-state=offline]")
    visitor.page.wait_for_selector("#history li")
    # The key stops what is left to play: nothing, where the server was killed after its first message.
    visitor.page.keyboard.press("Escape")
    visitor.wait_for_end()
    assert len(visitor.download()) == 44 + len(visitor.pcm())
    assert visitor.value("#text") == LONG * 8


def test_what_the_server_fails_to_send_leaves_the_rest_usable(visit: Visit) -> None:
    """A list of voices that fails leaves languages and speech."""
    visitor = visit(ready=False, network_may_fail=True)
    page = visitor.page
    page.route(
        "**/v1/audio/voices", lambda route: route.fulfill(status=503, json={"error": {"message": "later"}})
    )
    visitor.arrive()
    expect(page.locator("#problem")).to_have_text(UNAVAILABLE)
    visitor.say(TEXT, "en")
    assert visitor.text("#problem") == ""


def test_a_page_that_lost_a_module_is_whole_after_a_reload(visit: Visit) -> None:
    visitor = visit(ready=False, network_may_fail=True)
    visitor.page.route("**/text-parts.js", lambda route: route.abort(), times=1)
    visitor.page.goto(visitor.url)
    visitor.page.fill("#text", TEXT)
    visitor.arrive()
    visitor.say(TEXT, "en")
    visitor.assert_lit(re.findall(r"\w+", TEXT))


STATES = """
  window.states = [];
  addEventListener("DOMContentLoaded", () => {
    const line = document.querySelector("#line");
    const look = () => states.at(-1) !== line.innerText && states.push(line.innerText);
    new MutationObserver(look).observe(line, { subtree: true, childList: true, characterData: true });
  });
"""
"""Notes what the line at the head of the page says, in order."""


def test_a_starting_server_shows_its_page_and_how_long_it_starts(visit: Visit, tmp_path: Path) -> None:
    with app_server(tmp_path) as server:
        server.connections.phase = Phase.STARTING
        visitor = visit(url=f"{server.http_url}/", ready=False, network_may_fail=True)
        page = visitor.page
        page.add_init_script(STATES)
        page.goto(visitor.url)
        expect(page.locator("#line-text")).to_have_text("Getting ready")
        time = page.locator("#line-time")
        expect(time).to_have_text(re.compile(r"^\d+ s$"))
        expect(time).not_to_have_text(time.inner_text())
        # Trying again is not told each time.
        assert sum(state.startswith("Connecting") for state in page.evaluate("states")) <= 1
        expect(page.locator("#problem")).to_contain_text("loads its voices")
        visitor.speak(TEXT)
        server.connections.phase = Phase.READY
        visitor.wait_for_sound()
        visitor.wait_for_end()
        assert visitor.text("#problem") == ""
        page.context.close()


def test_a_starting_server_shows_the_time_that_is_left(visit: Visit, tmp_path: Path) -> None:
    (tmp_path / "start-seconds.json").write_text('{"espeak": 600}')
    with app_server(tmp_path, KANI_CACHE_DIR=str(tmp_path)) as server:
        server.connections.phase = Phase.STARTING
        visitor = visit(url=f"{server.http_url}/", ready=False, network_may_fail=True)
        visitor.page.goto(visitor.url)
        expect(visitor.page.locator("#line-time")).to_have_text(re.compile(r"^5\d\d s left$"))
        visitor.page.context.close()


def test_a_full_server_is_busy_in_plain_words(visit: Visit, start_server: StartServer) -> None:
    server = start_server("--engine", "espeak", KANI_MAX_CONNECTIONS="1", KANI_RECOGNIZER="none")
    first = visit(server)
    second = visit(server, ready=False, network_may_fail=True)
    second.page.goto(second.url)
    assert second.line("busy") == "Busy, trying again"
    assert second.text("#problem") == "The server is busy. The page tries again by itself."
    first.page.close()
    second.wait_for("#line[data-state=open]")
    assert second.text("#problem") == ""


@pytest.mark.heard
def test_too_much_for_one_minute_is_said_in_plain_words(visit: Visit, start_server: StartServer) -> None:
    server = start_server("--engine", "espeak", KANI_RATE_PER_MINUTE="1")
    visitor = visit(server, locale="es-MX")
    visitor.say(TEXT, "en")
    visitor.speak(TEXT, "en")
    visitor.wait_for("#problem:not(:empty)")
    assert visitor.text("#problem") == "Demasiadas peticiones en un minuto. Inténtalo un poco más tarde."
    assert visitor.page.is_hidden("#stage")


@pytest.mark.heard
def test_the_place_in_the_queue_is_shown(visit: Visit, start_server: StartServer) -> None:
    # Kokoro's segments take long enough to be waited for; the student, which would speak English, has none.
    limits = {"KANI_MAX_CONCURRENT": "1", "KANI_MAX_TEXT": "100000"}
    server = start_server("--engine", "kokoro", **limits)
    first, second = visit(server), visit(server)
    first.page.fill("#text", "".join(f"El zorro número {n} salta sobre el perro. " for n in range(1000)))
    second.page.fill("#text", SPANISH)
    first.page.click("#speak")
    first.page.wait_for_selector("#download:enabled", state="attached")
    # A place is shown unless the request comes just between two segments of the other's.
    for _ in range(TRIES):
        second.page.click("#speak")
        second.wait_for_end()
        second.assert_lit(re.findall(r"\w+", SPANISH))
        if any(re.fullmatch(r"In the queue: place \d+", status) for status in second.statuses()):
            return
    pytest.fail(f"no place was shown: {second.statuses()}")


@pytest.fixture
def asked(visit: Visit, keyed_server: ServerProcess) -> Callable[..., Visitor]:
    """Open the page of a server that wants a key, by a name of it, and wait for the question."""

    def ask(name: str = "127.0.0.1") -> Visitor:
        visitor = visit(ready=False, url=f"http://{name}:{keyed_server.port}/", network_may_fail=True)
        visitor.page.goto(visitor.url)
        visitor.wait_for("#key-dialog[open]")
        return visitor

    return ask


def test_the_key_is_asked_for_and_kept_in_this_tab_alone(asked: Callable[..., Visitor]) -> None:
    visitor = asked()
    page = visitor.page
    assert visitor.text("#line") == "A key is needed"
    assert visitor.text("#key-problem") == ""
    page.keyboard.type("guess")
    page.keyboard.press("Enter")
    visitor.wait_for("#key-problem:not(:empty)")
    assert visitor.text("#key-problem") == "The server did not accept that key."
    page.keyboard.type("open-sesame")
    page.keyboard.press("Enter")
    visitor.wait_for("#line[data-state=open]")
    visitor.say(TEXT, "en")
    visitor.assert_lit(re.findall(r"\w+", TEXT))
    assert "open-sesame" not in page.evaluate("JSON.stringify(localStorage) + document.cookie + location")
    page.reload()
    visitor.wait_for("#line[data-state=open]")
    other = page.context.new_page()
    other.goto(visitor.url)
    other.wait_for_selector("#key-dialog[open]")


def test_not_now_leaves_the_page_until_something_is_asked_for(asked: Callable[..., Visitor]) -> None:
    visitor = asked()
    visitor.page.click("#key-later")
    assert visitor.page.is_hidden("#key-dialog")
    visitor.page.click("#speak")
    visitor.wait_for("#key-dialog[open]")


def test_name_that_is_not_the_servers_is_refused_plainly(visit: Visit, espeak_server: ServerProcess) -> None:
    visitor = visit(ready=False, url=f"http://stranger.test:{espeak_server.port}/", network_may_fail=True)
    visitor.page.goto(visitor.url)
    assert visitor.line("refused") == "Refused"
    refusal = "The server does not answer to this name. Its operator can add it with KANI_ALLOWED_HOSTS."
    assert visitor.text("#problem") == refusal


@in_both
def test_page_opens_without_the_server_after_one_visit(visit: Visit, start_server: StartServer) -> None:
    server = start_server("--engine", "espeak", KANI_RECOGNIZER="none")
    visitor = visit(server, network_may_fail=True)
    visitor.page.evaluate("() => navigator.serviceWorker.ready.then(() => true)")
    server.stop()
    visitor.page.goto(visitor.url)
    assert visitor.line("offline") == "Offline, trying again"
    visitor.page.fill("#text", TEXT)
    assert visitor.page.is_enabled("#speak")


@in_both
def test_over_plain_http_from_another_machine_the_page_is_heard(asked: Callable[..., Visitor]) -> None:
    visitor = asked("lan.test")
    visitor.page.keyboard.type(KEYS[0])
    visitor.page.keyboard.press("Enter")
    visitor.wait_for("#line[data-state=open]")
    assert visitor.page.evaluate("isSecureContext") is False
    visitor.say(TEXT, "en")
    assert "Speaking" in visitor.statuses()
    visitor.assert_lit(re.findall(r"\w+", TEXT))
    assert visitor.text("#problem") == ""
    assert len(visitor.download()) == 44 + len(visitor.pcm())
    visitor.page.click("#pause")
    visitor.page.wait_for_selector("#stop")
    visitor.wait_for_end()
    assert "Playing again" in visitor.statuses()
    visitor.page.click("#add-voice")
    visitor.wait_for("#voice-dialog[open]")
    assert visitor.page.is_disabled("#record")
    assert "https" in visitor.text("#recording-state")


def test_without_a_sound_device_the_audio_can_be_saved(visit: Visit) -> None:
    visitor = visit(ready=False)
    visitor.page.add_init_script(
        "AudioContext = class { constructor() { throw new DOMException('none'); } };"
    )
    visitor.arrive()
    visitor.speak(TEXT, "en")
    visitor.page.wait_for_selector("#download:enabled", state="attached")
    visitor.wait_for_end()
    assert visitor.text("#problem").startswith("This device cannot play sound.")
    assert len(visitor.download()) == 44 + len(visitor.pcm())


@pytest.mark.parametrize(
    "kept",
    ["{broken", "null", "3", '{"text": {}, "speed": "fast", "emotion": 3, "voice": 5, "language": []}'],
)
def test_a_form_that_was_kept_damaged_is_begun_anew(visit: Visit, kept: str) -> None:
    visitor = visit(ready=False)
    visitor.page.add_init_script(f"localStorage.setItem('kani.compose', {kept!r})")
    visitor.arrive()
    assert visitor.emotion() == "neutral" and len(visitor.value("#text")) > 10
    assert visitor.page.is_enabled("#speak")


def test_documented_client_of_voxcpm_runs_in_its_console(visit: Visit, compat_server: ServerProcess) -> None:
    """As its document writes it, with the port of the test's server instead of 9300."""
    port, page_port = (compat_server.compat[name] for name in ("VoxCPM", "VoxCPM's page"))
    visitor = visit(url=f"http://localhost:{page_port}/")
    program = code("javascript").replace("9300", str(port))
    heard = visitor.page.evaluate(
        f"""async () => {{
            const said = [];
            const console = {{ log: (...words) => said.push(words[0]) }};
            {program}
            return said;
        }}"""
    )
    assert "Got audio chunk" in heard and "Progress:" in heard
