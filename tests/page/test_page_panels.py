"""Parts of the page beside speech: no conversations, and the page of HTTP calls."""

import re
import subprocess
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from tests.conftest import ServerProcess, StartServer
from tests.page.conftest import Visit, in_both
from tests.page.visitor import Visitor
from tests.support.patience import WITHIN_S

COMMAND = "python start_websocket_server.py --llm http://localhost:11434/v1"


@pytest.mark.parametrize("width", [1280, 390])
def test_without_a_model_the_tab_says_what_to_start(visit: Visit, width: int) -> None:
    visitor = visit(viewport={"width": width, "height": 844})
    page = visitor.page
    page.click("#tab-talk")
    expect(page.locator("#talk-operator")).to_contain_text("two steps")
    expect(page.locator("#talk-command")).to_be_visible(visible=width == 1280)
    # On a phone commands are not for whoever looks.
    if width == 390:
        page.click("#talk-how summary")
    expect(page.locator("#talk-command")).to_have_text(COMMAND)
    expect(page.locator("#talk")).to_be_hidden()
    page.click("#talk-copy")
    # A browser without a window may have no clipboard.
    expect(page.locator(".talk-setup [role=status]")).to_have_text(re.compile("^(Copied|Selected)"))
    assert visitor.is_wide_enough()


@in_both
@pytest.mark.parametrize(
    ("first", "last", "alive"), [("listen", "talk", "#talk-needed"), ("talk", "listen", "#listen-sample")]
)
def test_tab_that_is_opened_without_the_server_comes_with_it(
    visit: Visit, start_server: StartServer, first: str, last: str, alive: str
) -> None:
    server = start_server("--engine", "espeak", KANI_RECOGNIZER="none")
    visitor = visit(server, network_may_fail=True)
    page = visitor.page
    server.stop()
    visitor.wait_for("#line[data-state=offline]")
    page.click("#add-voice")
    page.eval_on_selector("#code", "e => { e.open = true; }")
    for tab in (first, last):
        # Without a recogniser, which takes long to load, nobody sees it.
        page.eval_on_selector(f"#tab-{tab}", "tab => tab.click()")
        expect(page.locator("#tab-problem")).to_have_text(re.compile("^The server cannot be reached"))
    start_server("--engine", "espeak", KANI_PORT=str(server.port), KANI_RECOGNIZER="none")
    page.click(alive, trial=True)
    expect(page.locator("#tab-problem")).to_be_empty()
    for is_open in (False, True):
        page.eval_on_selector("#code", "(e, is_open) => { e.open = is_open; }", is_open)
    expect(page.locator("#code-text")).not_to_be_empty()


def test_reload_stays_on_its_tab_and_a_link_shows_its_text(visitor: Visitor) -> None:
    page = visitor.page
    page.click("#tab-listen")
    page.reload()
    visitor.wait_for("#listen:enabled")
    expect(page.locator("#tab-listen")).to_have_attribute("aria-selected", "true")
    # Each language that is heard has a name.
    nameless = "all => all.filter(({ text, value }) => text === value).length"
    assert page.eval_on_selector_all("#listen-language option", nameless) == 0
    page.goto(f"{page.url}#text=Hola")
    page.reload()
    expect(page.locator("#compose-panel")).to_be_visible()


def test_phone_has_the_talk_in_its_column_and_is_told_no_keys(visit: Visit) -> None:
    visitor = visit(ready=False, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page = visitor.page
    page.route("**/health", lambda one: one.fulfill(json={**one.fetch().json(), "conversations": True}))
    visitor.arrive()
    page.click("#tab-talk")
    expect(page.locator("[data-t='talk.private']")).to_contain_text("Speak to interrupt")
    expect(page.locator(".talk-keys")).to_be_hidden()
    page.eval_on_selector_all("#talk-stop, #talk-end", "all => all.forEach((e) => { e.hidden = false; })")
    # One beside the other: neither wanders into a corner.
    places = "all => all.map((e) => e.getBoundingClientRect().top)"
    stop, end = page.eval_on_selector_all("#talk-stop, #talk-end", places)
    assert stop == end


@in_both
def test_focus_stays_on_the_button_that_ended_a_recording(page: Page) -> None:
    page.click("#tab-listen")
    page.press("#listen:enabled", "Enter")
    page.wait_for_selector("#listen[aria-pressed=true]")
    page.keyboard.press("Enter")
    page.wait_for_selector("#listen-drop:is([data-state=done], [data-state=empty], [data-state=failed])")
    expect(page.locator("#listen")).to_be_focused()
    expect(page.locator("#listen")).to_be_enabled()


def test_recogniser_that_hears_no_live_speech_and_light_voices_are_named(visit: Visit) -> None:
    def slow(route: Route) -> None:
        health = route.fetch().json()
        light = [{"voice": "af_heart", "language": "en", "speaks": "always"}]
        route.fulfill(json={**health, "recognizer": {**health["recognizer"], "live": False}, "light": light})

    visitor = visit(ready=False)
    visitor.page.route("**/health", slow)
    visitor.arrive()
    expect(visitor.page.locator("#server-facts")).to_contain_text("light voices: en")
    visitor.page.click("#tab-talk")
    expect(visitor.page.locator(".talk-setup p").first).to_contain_text("too slow for live speech")
    expect(visitor.page.locator("#talk-command")).to_be_hidden()


@pytest.mark.parametrize(("scheme", "width"), [("light", 1180), ("dark", 360)])
def test_docs_page_shows_calls_and_copies_a_command_that_works(
    visit: Visit, espeak_server: ServerProcess, tmp_path: Path, scheme: str, width: int
) -> None:
    url = f"{espeak_server.http_url}/docs"
    visitor = visit(
        url=url,
        ready=False,
        color_scheme=scheme,
        viewport={"width": width, "height": 800},
        permissions=["clipboard-read", "clipboard-write"],
    )
    page = visitor.page
    requested = []
    page.on("request", lambda request: requested.append(request.url))
    page.goto(url)
    visitor.wait_for(".call")
    assert visitor.violations() == ""
    page.fill("#filter", "post speak captioned")
    assert visitor.text("#state").startswith("1 of ")
    page.fill("#filter", "/tts")
    page.click("#post_tts > summary")
    expect(page.locator("#post_tts")).to_contain_text("duration")
    assert "0.1 to 300" in visitor.text("#post_tts")
    assert visitor.is_wide_enough()
    assert visitor.violations() == ""
    page.click("#post_tts .curl-head button")
    expect(page.locator("#state")).to_have_text(re.compile("^Copied"))
    command = page.evaluate("navigator.clipboard.readText()")
    subprocess.run(["sh", "-c", f"{command} --silent --fail"], cwd=tmp_path, check=True, timeout=WITHIN_S)
    assert (tmp_path / "answer").read_bytes().startswith(b"RIFF")
    assert {each.split("/")[2] for each in requested} == {url.split("/")[2]}
