"""What is easily overlooked: second clicks, a focus that is lost, forced colours, the server's words."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from tests.books.epubs import epub
from tests.page.conftest import LONG, TEXT, Visit
from tests.page.listening.answers import events, transcribe
from tests.page.visitor import Visitor

SHORTER = """
  const { setTimeout: wait } = window;
  window.setTimeout = (act, ms, ...rest) => wait(act, ms === 10_000 ? 200 : ms, ...rest);
"""
"""Ten seconds, for which something can be brought back, pass at once."""


def test_double_click_in_a_menu_presses_nothing_below_it(visitor: Visitor, page: Page) -> None:
    visitor.say(TEXT, "en")
    page.evaluate("document.addEventListener('click', ({ detail }) => (window.clicks ??= []).push(detail))")
    page.click("#files > summary")
    with page.expect_download():
        page.dblclick("#srt")
    expect(page.locator("#files .list")).to_be_hidden()
    assert page.evaluate("clicks") == [1, 1]
    # A click after that is one again.
    page.click("#add-voice")
    expect(page.locator("#voice-dialog")).to_be_visible()


def test_focus_on_undo_keeps_what_can_be_brought_back(visit: Visit) -> None:
    visitor = visit(ready=False)
    page = visitor.page
    page.add_init_script(SHORTER)
    visitor.arrive()
    visitor.say(TEXT, "en")
    page.locator("#history li").get_by_role("button", name="Delete").press("Enter")
    expect(page.locator("#toast-undo")).to_be_focused()
    page.wait_for_timeout(600)
    expect(page.locator("#toast-undo")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#history li")).to_have_count(1)


def test_fault_of_a_text_is_told_in_the_page_s_language(visit: Visit) -> None:
    visitor = visit(locale="es-ES")
    visitor.speak("<speak>Hola <p>mundo.</speak>")
    expect(visitor.page.locator("#problem")).to_have_text(re.compile("Texto – SSML no válido"))


def test_switch_and_round_button_are_seen_in_forced_colours(visit: Visit) -> None:
    page = visit(forced_colors="active").page
    page.click("#tab-listen")
    page.wait_for_selector("#listen:enabled")
    looks = "one => [null, '::before'].map((part) => getComputedStyle(one, part).backgroundColor)"
    switch = page.locator("#listen-repeat")
    off = switch.evaluate(looks)
    assert off[0] != off[1]
    switch.check()
    on = switch.evaluate(looks)
    assert on[0] != on[1] and on != off
    expect(page.locator("#listen")).to_have_css("border-top-width", "2px")


def test_line_that_brings_back_is_seen_in_forced_colours(visit: Visit) -> None:
    visitor = visit(forced_colors="active")
    visitor.page.fill("#text", TEXT)
    visitor.page.click("#clear")
    expect(visitor.page.locator("#toast")).to_have_css("border-top-width", "2px")
    assert visitor.violations("color-contrast") == ""


@pytest.mark.parametrize(("touch", "seen"), [(False, True), (True, False)])
def test_book_leaves_the_tabs_to_a_magnified_laptop(
    visit: Visit, tmp_path: Path, *, touch: bool, seen: bool
) -> None:
    visitor = visit(viewport={"width": 683, "height": 384}, has_touch=touch, is_mobile=touch)
    page = visitor.page
    page.set_input_files("#book-file", epub(tmp_path / "b.epub"))
    expect(page.locator("#words")).to_be_visible()
    expect(page.locator("#tabs")).to_be_visible(visible=seen)


def test_controls_are_large_enough_and_named(visit: Visit, recording: Path) -> None:
    visitor = visit()
    page = visitor.page
    visitor.begin(LONG, "en")
    visitor.few_voices()
    assert visitor.violations("target-size", "region", "aria-allowed-role") == ""
    assert page.locator("#of").evaluate("one => one.getBoundingClientRect().height") >= 24
    expect(page.get_by_role("group", name="Player")).to_be_visible()
    expect(page.locator("#voice-chip")).to_have_accessible_name(re.compile("^Voice "))
    # Paragraphs of a transcript are words of their own in the history.
    transcribe(visitor, recording, events((("It is over.", 0.2), ("If it rains.", 9.0)), "AB"))
    expect(page.locator("#history .excerpt").first).to_have_text("It is over. If it rains.")


def test_server_without_imitation_says_so_before_a_recording_is_made(page: Page) -> None:
    expect(page.locator("#kept-empty")).to_have_text(re.compile("^No engine here can imitate recordings"))


def test_server_that_comes_near_a_voice_says_that_it_is_not_the_same(visit: Visit) -> None:
    visitor = visit(ready=False)

    def health(route: Route) -> None:
        answer = route.fetch()
        told = answer.json()
        for engine in told["engines"]:
            engine["cloning"] = "nearest voice"
        route.fulfill(response=answer, json=told)

    visitor.page.route("**/health", health)
    visitor.arrive()
    told = re.compile("^Ten seconds.*similar, not the same")
    expect(visitor.page.locator("#kept-empty")).to_have_text(told)


def test_calls_have_a_list_of_contents(visitor: Visitor) -> None:
    page = visitor.page
    page.goto(f"{visitor.url}docs")
    page.locator("#contents a", has_text="POST /tts").first.click()
    call = page.locator("#post_tts")
    expect(call.locator(".detail")).to_be_visible()
    expect(call).to_be_in_viewport()
    # Who sends by a key is still there.
    call.get_by_role("button", name="Send").press("Enter")
    expect(call.locator("[role=status]")).to_contain_text(" bytes in ")
    expect(call.get_by_role("button", name="Send")).to_be_focused()
    # All of its row opens and closes it.
    row = call.locator("summary")
    box = row.bounding_box()
    assert box is not None
    row.click(position={"x": box["width"] - 60, "y": 8})
    expect(call.locator(".detail")).to_be_hidden()
    page.fill("#filter", "stored voices")
    expect(page.locator("#contents a", has_text="POST /tts").first).to_be_hidden()
    # Nor do groups stand there without a call.
    assert page.locator("#contents > li:visible").count() == page.locator(".group:visible").count() < 4
    page.fill("#filter", "")
    for name in ("post_tts", "post_v1_audio_speech"):
        page.eval_on_selector(f"#{name}", "one => { one.open = true; }")
    assert visitor.violations("landmark-unique", "region") == ""
