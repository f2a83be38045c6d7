"""The page's appearance and accessibility: languages, directions, colours, sizes, screen readers."""

import re

import pytest
from playwright.sync_api import Page, Route, expect

from tests.page.conftest import LONG, TEXT, Visit, in_both
from tests.page.visitor import Visitor

ARABIC = "صباح الخير! الشمس مشرقة اليوم."


@pytest.mark.parametrize(
    ("locale", "language", "button", "text"),
    [
        ("es-AR", "es", "Leer en voz alta", "¡Buenos días!"),
        ("zh-CN", "zh-Hans", "开始合成", "早上好！"),
        ("nl-NL", "en", "Speak", "Good morning!"),
    ],
)
def test_page_has_browsers_language(visit: Visit, locale: str, language: str, button: str, text: str) -> None:
    visitor = visit(locale=locale)
    assert visitor.text("#speak") == button
    assert visitor.value("#text").startswith(text)
    assert visitor.page.get_attribute("html", "lang") == language
    visitor.page.click("#speak")
    visitor.wait_for_sound()
    assert visitor.lit()[0] in visitor.value("#text")
    assert visitor.text("#problem") == ""


def test_each_language_brings_its_example(visitor: Visitor, page: Page) -> None:
    visitor.choose("#language", "fr")
    expect(page.locator("#text")).to_have_value(re.compile("^Bonjour"))
    page.fill("#text", "Mine.")
    visitor.choose("#language", "de")
    assert visitor.value("#text") == "Mine."
    # What was typed is not replaced by a click.
    expect(page.locator("#example")).to_be_hidden()
    page.fill("#text", "")
    page.click("#example")
    expect(page.locator("#text")).to_have_value(re.compile("^Guten Morgen"))
    assert page.evaluate("document.activeElement.id") == "text"
    visitor.arrive()
    expect(page.locator("#text")).to_have_value(re.compile("^Guten Morgen"))
    visitor.choose("#language", "fr")
    expect(page.locator("#text")).to_have_value(re.compile("^Bonjour"))


def test_example_that_comes_late_leaves_a_text_that_is_being_written(visitor: Visitor, page: Page) -> None:
    held: list[Route] = []
    page.route("**/examples.json", lambda route: held.append(route))
    with page.expect_request("**/examples.json"):
        visitor.choose("#language", "fr")
    page.press("#text", "Control+A")
    with page.expect_response("**/examples.json"):
        held[0].continue_()
    page.keyboard.type("Mine.")
    expect(page.locator("#text")).to_have_value("Mine.")


def test_a_text_that_a_button_replaced_is_brought_back_by_undo(visitor: Visitor, page: Page) -> None:
    text = page.locator("#text")
    page.press("#text", "Control+A")
    page.keyboard.type("Mine.")
    page.press("#text", "Control+A")
    page.press("#text", "Delete")
    page.click("#example")
    expect(text).to_have_value(re.compile("^Good morning!"))
    page.press("#text", "Control+Z")
    expect(text).to_have_value("")
    page.press("#text", "Control+Z")
    expect(text).to_have_value("Mine.")
    page.click("#speak")
    visitor.wait_for_end()
    page.press("#text", "Control+A")
    page.keyboard.type("Two\nlines.")
    page.click("#history li button >> nth=1")
    expect(text).to_have_value("Mine.")
    page.keyboard.press("Control+Z")
    expect(text).to_have_value("Two\nlines.")
    expect(page.locator("#example")).to_be_hidden()


ROBOTIC = {
    "espeak:ar": "Árabe",
    "espeak:es-419": "Español latinoamericano",
    "espeak:ca-ba": "Catalán (Balearic)",
    "espeak:en-us-nyc": "Inglés (America, New York City)",
}


def test_robotic_voices_have_names_in_the_pages_language(visit: Visit) -> None:
    page = visit(locale="es-ES").page
    page.wait_for_selector("#voice option[value='espeak:ar']", state="attached")
    named = dict(page.eval_on_selector_all("#voice option", "all => all.map((one) => [one.value, one.text])"))
    assert {voice: named[voice] for voice in ROBOTIC} == ROBOTIC
    assert len({*named.values()}) == len(named)
    page.click("#gallery-all")
    assert page.locator("#gallery b", has_text="Español latinoamericano").count() == 1


@in_both
def test_arabic_runs_from_right_to_left(visitor: Visitor, page: Page) -> None:
    visitor.speak(ARABIC)
    assert page.eval_on_selector("#words", "e => getComputedStyle(e).direction") == "rtl"
    visitor.say(ARABIC, "ar")
    for selector in ("#text", "#words", "#history .excerpt"):
        assert page.eval_on_selector(selector, "element => getComputedStyle(element).direction") == "rtl"
    places = "all => all.filter((e) => e.textContent.trim()).map((e) => e.getBoundingClientRect().left)"
    lefts = page.eval_on_selector_all("#words .said", places)
    assert lefts == sorted(lefts, reverse=True)
    assert visitor.lit()[0] in ARABIC
    assert page.eval_on_selector("html", "element => getComputedStyle(element).direction") == "ltr"
    # The player does not.
    page.evaluate("localStorage.setItem('kani.locale', 'ar')")
    page.set_viewport_size({"width": 360, "height": 640})
    visitor.arrive()
    visitor.begin("a" * 300)
    box = "all => all.map((e) => e.getBoundingClientRect()).flatMap(({ left, right }) => [left, right])"
    for row in ("#of, #clock", "#pause, #stop, #playback"):
        edges = page.eval_on_selector_all(row, box)
        assert edges == sorted(edges), row


@pytest.mark.parametrize(("scheme", "width"), [("light", 360), ("dark", 1180)])
def test_page_is_accessible(visit: Visit, scheme: str, width: int) -> None:
    visitor = visit(color_scheme=scheme, viewport={"width": width, "height": 800})
    page = visitor.page
    assert visitor.violations() == ""
    visitor.feel("happy")
    visitor.unfold("#strength")
    visitor.begin(LONG, "en")
    assert visitor.violations() == ""
    visitor.speak("")
    assert visitor.violations() == ""
    page.click("#add-voice")
    page.click("#voice-keep")
    assert visitor.violations() == ""
    page.keyboard.press("Escape")
    page.click("#tab-listen")
    page.wait_for_selector("#listen:enabled")
    assert visitor.violations() == ""
    page.click("#tab-talk")
    visitor.wait_for("#talk-operator")
    visitor.unfold("#talk-command")
    assert visitor.violations() == ""
    page.eval_on_selector("#key-dialog", "dialog => dialog.showModal()")
    assert visitor.violations() == ""


COLOURS = (("light", "none"), ("dark", "none"), ("dark", "active"))
"""Colour schemes, and whether the colours are the system's (forced)."""


def test_each_language_and_tab_is_accessible_in_all_colours(visit: Visit) -> None:
    """Everything is looked at in light; in dark and in forced colours what they change: contrast."""
    # A colour that fades into another is neither.
    visitor = visit(reduced_motion="reduce")
    page = visitor.page
    for language in visitor.each_language():
        page.wait_for_selector("#tabs")
        visitor.few_voices()
        for tab in ("tab-speak", "tab-listen"):
            page.click(f"#{tab}")
            for scheme, forced in COLOURS:
                page.emulate_media(color_scheme=scheme, forced_colors=forced)
                rules = () if scheme == "light" else ("color-contrast",)
                assert visitor.violations(*rules) == "", (language, tab, scheme, forced)


@pytest.mark.parametrize(
    ("width", "height", "touch"), [(1366, 768, False), (390, 844, True), (360, 640, True)]
)
def test_recordings_are_seen_without_scrolling(visit: Visit, width: int, height: int, *, touch: bool) -> None:
    visitor = visit(viewport={"width": width, "height": height}, has_touch=touch)
    page = visitor.page
    expect(page.locator("#repeat-card")).to_be_hidden()
    expect(page.locator("#emotions input").nth(7 if height > 700 else 0)).to_be_in_viewport(ratio=1)
    page.click("#gallery-all")
    page.click("#tab-listen")
    page.wait_for_selector("#listen:enabled")
    for selector in ("#listen", ".drop", "#listen-repeat"):
        expect(page.locator(selector)).to_be_in_viewport(ratio=1)
    if touch:
        for selector in ("#listen-repeat", "#listen-speakers"):
            box = page.locator("label", has=page.locator(selector)).bounding_box()
            assert box is not None and box["height"] >= 44
    # A voice is chosen only where one is heard.
    expect(page.locator("#gallery")).to_be_hidden()
    page.check("#listen-repeat")
    expect(page.locator("#gallery")).to_be_visible()
    expect(page.locator("#gallery-all")).to_have_attribute("aria-expanded", "false")
    page.click("#tab-speak")
    expect(page.locator("#repeat-card")).to_be_hidden()


COVERED = """() => ["book-previous", "book-next", "book-menu", "book-close"].filter((id) => {
  const { right, top, bottom } = document.getElementById(id).getBoundingClientRect();
  return document.elementFromPoint(right - 12, (top + bottom) / 2)?.closest("[id]").id !== id;
})"""
"""What is covered of the row above a book's text."""


def test_result_is_saved_on_a_phone(visit: Visit) -> None:
    visitor = visit(viewport={"width": 390, "height": 844}, has_touch=True)
    visitor.say(TEXT, "en")
    visitor.page.click("#files > summary")
    with visitor.page.expect_download():
        visitor.page.click("#download")


@pytest.mark.parametrize(("width", "height"), [(390, 844), (360, 640), (844, 390)])
def test_speech_that_rests_is_saved_or_stopped_on_a_phone(visit: Visit, width: int, height: int) -> None:
    visitor = visit(viewport={"width": width, "height": height}, has_touch=True)
    page, stop, files = visitor.page, visitor.page.locator("#stop"), visitor.page.locator("#files > summary")
    visitor.begin(LONG)
    before = stop.bounding_box()
    page.click("#pause")
    expect(files).to_be_in_viewport(ratio=1)
    assert stop.bounding_box() == before and visitor.is_wide_enough()
    assert apart(page, "#stop", "#files > summary", "#pause", "#playback > summary")


APART = """all => {
    const boxes = all.map((selector) => document.querySelector(selector).getBoundingClientRect());
    const meet = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 0.5
        && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 0.5;
    return boxes.every((box, n) => boxes.slice(n + 1).every((other) => !meet(box, other)));
}"""


def apart(page: Page, *selectors: str) -> bool:
    """Return true if no element lies over another one."""
    return bool(page.evaluate(APART, selectors))


def test_dictation_lies_over_nothing_on_a_phone_on_its_side(visit: Visit) -> None:
    page = visit(viewport={"width": 844, "height": 390}, has_touch=True).page
    page.fill("#text", LONG)
    expect(page.locator("#dictate")).to_be_visible()
    for length in (len(LONG), 5000):
        page.fill("#text", "a" * length)
        assert apart(page, "#dictate", "#count", "#clear", "#book", "#text")


BROKEN = """words => {
    const range = new Range();
    range.selectNodeContents(words);
    return new Set([...range.getClientRects()].map(({ top }) => top)).size > 1;
}"""


def test_no_word_is_broken_beside_the_buttons_of_a_text(visit: Visit) -> None:
    visitor = visit(locale="fr-FR", viewport={"width": 320, "height": 568}, has_touch=True)
    visitor.begin(LONG)
    visitor.page.click("#stop")
    expect(visitor.page.locator("#status")).to_have_text("Arrêté")
    assert not visitor.page.eval_on_selector("#status", BROKEN)
    assert visitor.is_wide_enough()


def test_phone_on_its_side_has_all_in_view(visit: Visit) -> None:
    page = visit(locale="fr-FR", viewport={"width": 640, "height": 360}, has_touch=True).page

    def in_view(*selectors: str) -> None:
        for selector in selectors:
            expect(page.locator(selector)).to_be_in_viewport(ratio=1)

    page.click("#speak")
    in_view("#edit", "#book", "#share", "#emotions input >> nth=0")
    for menu, last in (("#files", "#json"), ("#playback", "#sleep"), ("#rest", "#show-details")):
        # A click of the driver's would scroll to what another menu still covers.
        page.eval_on_selector(f"{menu} > summary", "e => e.click()")
        in_view("#text", "#speak", "#voice-chip", "#pause", "#waveform", f"{menu} .sheet", last)
        page.keyboard.press("Escape")
    page.set_input_files("#book-file", {"name": "A.txt", "mimeType": "text/plain", "buffer": b"One."})
    page.wait_for_selector("#book-close")
    page.eval_on_selector("#book-bar", "bar => { bar.hidden = false; }")
    for act in ("#book-title", "#pause"):
        page.click(act)
        assert page.evaluate(COVERED) == [], act
    page.eval_on_selector("#add-voice", "e => e.click()")
    in_view("#voice-name", "#voice-language", "#record", "#voice-consent", "#voice-keep")


@pytest.mark.parametrize(("width", "height"), [(390, 844), (360, 640), (640, 360)])
def test_nothing_moves_when_a_choice_is_tried(visit: Visit, width: int, height: int) -> None:
    visitor = visit(viewport={"width": width, "height": height}, has_touch=True)
    page = visitor.page
    lines = "e => (e.offsetHeight - 12) / parseFloat(getComputedStyle(e).lineHeight)"
    assert round(page.eval_on_selector("#text", lines), 1) % 1 == 0
    places = "all => all.map((e) => `${e.id || e.value} ${e.getBoundingClientRect().top}`)"
    choices = "#emotions input, .bar button, #parameters > summary"
    text = visitor.value("#text")
    page.fill("#text", "")
    before = page.eval_on_selector_all(choices, places)
    page.click("#speak")
    expect(page.locator("#problem")).not_to_be_empty()
    assert page.eval_on_selector_all(choices, places) == before
    page.fill("#text", text)
    page.eval_on_selector("#parameters > summary", "e => e.click()")
    # What is unfolded is in view, below what was pressed.
    for part in ("#speed", "#parameters > summary"):
        expect(page.locator(part)).to_be_in_viewport(ratio=1)
    page.eval_on_selector("#parameters[open] > summary", "e => e.click()")
    page.evaluate("scrollTo(0, 0)")
    choices += ", #gallery [role=option]"
    for tried in ("#emotions [value=happy]", "#gallery [role=option] >> nth=3"):
        page.locator(tried).scroll_into_view_if_needed()
        before = page.eval_on_selector_all(choices, places)
        page.eval_on_selector(tried, "e => e.click()")
        visitor.wait_for_sound()
        assert page.eval_on_selector_all(choices, places) == before
        visitor.wait_for_end()


TABS = """() => [...document.querySelectorAll("#tabs button")].map((tab) => {
  const words = document.createRange();
  words.selectNodeContents(tab);
  return [words.getClientRects().length, tab.scrollWidth <= tab.clientWidth, tab.getBoundingClientRect().top];
})"""
"""Of each tab: the lines of its name, whether that fits, and where the tab stands."""

MIDDLES = """() => ["h1", "#tabs", "#preferences"].map((name) => {
  const { top, bottom } = document.querySelector(name).getBoundingClientRect();
  return (top + bottom) / 2;
})"""
"""How high the parts of the head stand."""


@in_both
def test_tabs_stand_on_one_line_on_a_small_phone(visit: Visit) -> None:
    visitor = visit(viewport={"width": 360, "height": 640})
    page = visitor.page
    for language in visitor.each_language():
        visitor.wait_for("#tabs")
        lines, fits, tops = zip(*page.evaluate(TABS), strict=True)
        assert (lines, fits, len(set(tops))) == ((1, 1, 1), (True, True, True), 1), language
        middles = page.evaluate(MIDDLES)
        assert max(middles) - min(middles) < 4, (language, middles)
        assert visitor.is_wide_enough(), language


TOP = "e => e.querySelector('b').getBoundingClientRect().top"


@in_both
@pytest.mark.parametrize(("width", "height"), [(360, 640), (195, 422)])
def test_nothing_is_scrolled_sideways_on_a_small_phone(visit: Visit, width: int, height: int) -> None:
    visitor = visit(locale="es-ES", viewport={"width": width, "height": height}, has_touch=True)
    page = visitor.page
    visitor.feel("professional")
    visitor.begin("a" * 300)
    assert visitor.is_wide_enough()
    for part in ("#clock", "#playback", "#stop"):
        expect(page.locator(part)).to_be_in_viewport(ratio=1)
    page.click("#stop")
    expect(page.locator("#pause")).to_be_focused()
    for tab in ("listen", "talk"):
        page.click(f"#tab-{tab}")
        page.wait_for_selector(f"#{tab}-panel section")
        assert visitor.is_wide_enough(), tab
    page.click("#tab-speak")
    page.click("#voice-chip")
    page.evaluate("(size) => (document.documentElement.style.fontSize = size)", f"{min(200, width / 1.8)}%")
    # With large letters, too, a star stands beside its voice, and what adds one below them.
    edges = "e => [e.querySelector('.who'), e.lastChild, e].map((one) => one.getBoundingClientRect().bottom)"
    name, star, row = page.locator("#gallery [role=option]").last.evaluate(edges)
    assert star < row and name <= row < page.eval_on_selector("#add-voice", TOP)
    assert page.eval_on_selector(".gallery", "e => e.scrollWidth <= e.clientWidth")
    page.evaluate("document.documentElement.style.fontSize = ''")
    page.click("#add-voice")
    visitor.wait_for("#voice-dialog[open]")
    assert page.eval_on_selector("#voice-dialog", "dialog => dialog.scrollWidth <= dialog.clientWidth")


@pytest.mark.parametrize(("width", "height", "low"), [(390, 844, 450), (360, 640, 330), (844, 390, 200)])
def test_text_has_the_room_above_a_keyboard(visit: Visit, width: int, height: int, low: int) -> None:
    visitor = visit(viewport={"width": width, "height": height}, has_touch=True)
    page = visitor.page
    visitor.say("One.", "en")
    page.tap("#edit")
    page.set_viewport_size({"width": width, "height": low})
    expect(page.locator("#stage")).to_be_hidden()
    for selector in ("#text", "#speak"):
        expect(page.locator(selector)).to_be_in_viewport(ratio=1)
    page.tap("#speak")
    expect(page.locator("#stage")).to_be_visible()


def test_screen_reader_gets_important_changes_only(visitor: Visitor, page: Page) -> None:
    notes = page.evaluate_handle(
        """() => {
            const notes = [];
            for (const region of document.querySelectorAll("[role=status], [role=alert], [aria-live]")) {
              const note = () => region.textContent.trim() && notes.push(region.textContent.trim());
              const all = { subtree: true, childList: true, characterData: true };
              new MutationObserver(note).observe(region, all);
            }
            return notes;
        }"""
    )
    visitor.say("One small step, one giant leap.", "en")
    said = notes.json_value()
    assert said[0] == "Generating…"
    assert said[1] == "Speaking"
    assert said[2].startswith("Done, ")
    assert len(said) == 3
    for role, name in (
        ("textbox", "Text"),
        ("combobox", "Language"),
        ("combobox", "Voice"),
        ("radiogroup", "Emotion"),
        ("radio", "Friendly"),
        ("slider", "Speed"),
        ("slider", "Position"),
        ("listbox", "Voices"),
        ("button", "Speak"),
        ("button", "Play again"),
        ("button", "Delete: One small step, one giant leap."),
        ("region", "The text, each word lit while it is heard"),
    ):
        assert page.get_by_role(role, name=name, exact=True).count() == 1, name


def test_forced_colours_show_the_word_that_is_heard_without_motion(visit: Visit) -> None:
    visitor = visit(forced_colors="active", reduced_motion="reduce")
    visitor.speak(LONG, "en")
    now, unsaid = visitor.backgrounds()
    assert now != unsaid
    durations = "all => all.map((element) => getComputedStyle(element).transitionDuration)"
    assert set(visitor.page.eval_on_selector_all("button, #words span", durations)) == {"0s"}


def test_ring_of_the_chosen_emotion_is_seen_in_forced_colours(visit: Visit) -> None:
    page = visit(forced_colors="active").page
    outline = "element => getComputedStyle(element.nextElementSibling).outlineWidth"
    chosen = page.locator("#emotions :checked")
    page.focus("#text")
    assert chosen.evaluate(outline) == "2px"
    chosen.focus()
    assert chosen.evaluate(outline) == "3px"


def test_browsers_keys_are_left_to_it_on_a_tab(visitor: Visitor, page: Page) -> None:
    page.focus("#tab-speak")
    for key in ("Control+End", "Alt+ArrowRight", "Meta+ArrowRight"):
        page.keyboard.press(key)
        expect(page.locator("#tab-speak")).to_have_attribute("aria-selected", "true")
        expect(page.locator("#tab-speak")).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#tab-speak")).to_have_attribute("aria-selected", "false")
