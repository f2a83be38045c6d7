"""The player outside of the tabs: in reach everywhere, over no lit word, and with the name of its result."""

import pytest
from playwright.sync_api import Page, WebSocketRoute, expect

from tests.page.conftest import LONG, TEXT, Visit, in_both
from tests.page.visitor import Visitor

COVERED = """() => {
  const [word] = document.querySelectorAll("#words .now");
  if (!word || !word.textContent.trim()) return null;
  const { left, top, right, bottom } = word.getBoundingClientRect();
  const seen = document.elementFromPoint((left + right) / 2, (top + bottom) / 2);
  return !(seen === word || word.contains(seen));
}"""
"""True if the middle of the lit word is covered; null while none is lit."""

SHIFTS = """() => new Promise((done) => {
  let sum = 0;
  new PerformanceObserver((list) => {
    for (const shift of list.getEntries()) sum += shift.value;
    done(sum);
  }).observe({ type: "layout-shift", buffered: true });
  requestAnimationFrame(() => requestAnimationFrame(() => done(sum)));
})"""

RULES = ("label-content-name-mismatch", "landmark-unique", "region", "heading-order", "aria-hidden-focus")
"""Of axe-core, beside those that are on by themselves."""


@in_both
@pytest.mark.parametrize("touch", [False, True])
def test_what_sounds_can_be_stopped_from_every_tab(visit: Visit, *, touch: bool) -> None:
    size = {"width": 390, "height": 844} if touch else {"width": 1366, "height": 768}
    visitor = visit(viewport=size, has_touch=touch)
    page = visitor.page
    visitor.begin(LONG, "en")
    for tab in ("listen", "talk"):
        page.click(f"#tab-{tab}")
        expect(page.locator("#stop")).to_be_in_viewport(ratio=1)
        expect(page.locator("#pause")).to_be_in_viewport(ratio=1)
    page.click("#stop")
    # Nothing of it is there then.
    expect(page.locator("#stage")).to_be_hidden()
    page.click("#tab-speak")
    expect(page.locator("#pause")).to_be_in_viewport(ratio=1)
    # And the button that speaks has its name beside it.
    expect(page.locator("#speak")).to_have_text("Speak")
    expect(page.locator("#voice-chip")).to_be_visible()


@pytest.mark.parametrize(("width", "height"), [(320, 256), (342, 192), (683, 384)])
def test_no_lit_word_is_covered_at_a_large_zoom(visit: Visit, width: int, height: int) -> None:
    visitor = visit(viewport={"width": width, "height": height})
    page = visitor.page
    visitor.begin(LONG, "en")
    looks: list[bool | None] = []
    while page.is_visible("#stop") and len(looks) < 40:
        looks.append(page.evaluate(COVERED))
        page.wait_for_timeout(50)
    known = [look for look in looks if look is not None]
    assert len(known) > 10 and not any(known)


def test_page_that_was_scrolled_away_from_the_words_stays_there(visit: Visit) -> None:
    visitor = visit(viewport={"width": 390, "height": 600})
    page = visitor.page
    visitor.begin(LONG * 3, "en")
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    page.wait_for_function("document.querySelector('#words').getBoundingClientRect().bottom < 0")
    place = page.evaluate("scrollY")
    said = page.locator("#words .said").count()
    page.wait_for_function(
        "(before) => document.querySelectorAll('#words .said').length > before + 8", arg=said
    )
    assert page.evaluate("scrollY") == place
    page.click("#of")
    expect(page.locator("#words .now")).to_be_in_viewport()


def test_result_is_told_to_be_of_its_own_text(visitor: Visitor, page: Page) -> None:
    visitor.say(TEXT, "en")
    page.fill("#text", "Something else.")
    expect(page.locator("#of")).to_have_text(TEXT)
    expect(page.locator("#status")).to_be_empty()
    page.fill("#text", "<b></b>")
    page.click("#speak")
    expect(page.locator("#problem")).not_to_be_empty()
    assert len(visitor.requests) == 1


def test_escape_in_a_search_leaves_the_speech(visitor: Visitor, page: Page) -> None:
    visitor.begin(LONG, "en")
    page.click("#gallery-all")
    page.fill("#gallery-search", "en")
    page.keyboard.press("Escape")
    expect(page.locator("#gallery-search")).to_have_value("")
    assert page.is_visible("#stop")
    page.focus("#text")
    page.keyboard.press("Escape")
    visitor.wait_for_end()


@pytest.mark.parametrize("size", [(390, 844), (412, 823), (1366, 768)])
def test_nothing_moves_while_the_page_comes(visit: Visit, size: tuple[int, int]) -> None:
    visitor = visit(viewport={"width": size[0], "height": size[1]}, has_touch=True)
    visitor.wait_for("#gallery [role=option]")
    assert visitor.page.evaluate(SHIFTS) < 0.1


def test_settings_that_are_folded_away_are_counted_and_last(visitor: Visitor, page: Page) -> None:
    page.click("#parameters summary")
    page.wait_for_selector("#parameter-lexicon")
    expect(page.locator("#language")).to_be_in_viewport()
    page.fill("#parameter-lexicon", "SQL = sequel")
    page.fill("#parameter-duration", "3")
    expect(page.locator("#parameters-changed")).to_have_text("· 2")
    visitor.arrive()
    # The length was that of a text.
    expect(page.locator("#parameters-changed")).to_have_text("· 1")
    visitor.speak("SQL.", "en")
    assert visitor.requests[-1]["lexicon"] == {"SQL": "sequel"} and "duration" not in visitor.requests[-1]
    visitor.wait_for_end()


def test_names_hold_what_is_to_be_seen(spoken: Visitor) -> None:
    """A voice card, and the menu of the tempo, which a voice control is told by what it shows."""
    spoken.few_voices()
    assert spoken.violations(*RULES) == ""
    page = spoken.page
    assert page.get_by_role("option").first.get_attribute("aria-label") is None
    expect(page.locator("#playback summary")).to_have_accessible_name("Voice, Playback speed 1×")


UNASKED_SHIFTS = SHIFTS.replace("sum += shift.value", "sum += shift.hadRecentInput ? 0 : shift.value")
"""Those that follow no press."""


@pytest.mark.parametrize(("width", "height"), [(390, 844), (844, 390)])
def test_nothing_jumps_as_a_text_ends_on_a_phone(visit: Visit, width: int, height: int) -> None:
    """Neither upright nor on its side, where the tabs stay in reach meanwhile."""
    visitor = visit(viewport={"width": width, "height": height}, has_touch=True, is_mobile=True)
    visitor.begin(TEXT)
    expect(visitor.page.locator("#tab-talk")).to_be_in_viewport(ratio=1)
    # The waveform, which is a target of its own, covers no button.
    assert height < width or visitor.page.evaluate(
        "waveform.getBoundingClientRect().bottom < pause.getBoundingClientRect().top"
    )
    visitor.wait_for_end()
    assert visitor.page.evaluate(UNASKED_SHIFTS) <= 0.02


def test_space_after_the_first_click_on_speak_rests_the_speech(visitor: Visitor, page: Page) -> None:
    page.fill("#text", LONG)
    page.click("#speak")
    visitor.wait_for_sound()
    page.keyboard.press("Space")
    expect(page.locator("#status")).to_have_text("Paused")
    assert len(visitor.requests) == 1


def test_letters_are_of_the_size_of_the_text_that_is_shown(visitor: Visitor, page: Page) -> None:
    visitor.say(LONG, "en")
    page.fill("#text", "A short one.")
    sheet = page.locator("#page-of-text")
    expect(sheet).to_have_attribute("data-letters", "large")
    # Its length stands where the text begins, though the words can be shown again.
    expect(page.locator("#edit")).to_be_visible()
    left = "e => e.getBoundingClientRect().left"
    assert page.eval_on_selector("#count", left) < page.eval_on_selector("#text", left) + 20
    page.click("#history li button >> nth=0")
    expect(sheet).to_have_attribute("data-letters", "small")
    page.click("#stop")
    page.click("#edit")
    expect(sheet).to_have_attribute("data-letters", "large")


def test_home_and_end_lead_to_the_first_tab_and_the_last(page: Page) -> None:
    page.focus("#tab-speak")
    for key, tab in (("End", "#tab-talk"), ("Home", "#tab-speak")):
        page.keyboard.press(key)
        expect(page.locator(tab)).to_be_focused()
        expect(page.locator(tab)).to_have_attribute("aria-selected", "true")


def test_what_was_stopped_is_not_said_to_be_done_when_it_is_heard_again(visit: Visit) -> None:
    visitor = visit(ready=False)
    page = visitor.page

    def holds_back(socket: WebSocketRoute) -> None:
        """Pass on the first seconds of the audio only."""
        frames: list[bytes] = []

        def take(message: str | bytes) -> None:
            if isinstance(message, bytes):
                frames.append(message)
            if len(frames) < 20:
                socket.send(message)

        socket.connect_to_server().on_message(take)

    page.route_web_socket("**/tts", holds_back)
    visitor.arrive()
    visitor.begin(LONG, "en")
    colour = "e => getComputedStyle(e).color"
    assert page.eval_on_selector("#words > i:last-child", colour) != page.eval_on_selector("body", colour)
    page.click("#stop")
    status = page.locator("#status")
    expect(status).to_have_text("Stopped")
    page.click("#history li button >> nth=0")
    expect(status).not_to_have_text("Stopped")
    expect(status).to_have_text("Stopped")
