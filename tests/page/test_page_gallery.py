"""The page's gallery of voices, its player, its files and links, its languages and colours."""

import re
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from kani.server import page as served
from tests.page.conftest import LONG, TEXT, Visit, in_both
from tests.page.visitor import Visitor

CARDS = "#gallery [role=option]"
MOST_BYTES = 81 * 1024
"""Bytes of a first load, compressed, with the headers: the last six for kept places, sounds and Talk."""
MOST_REQUESTS = 36
"""Requests of a first load: its files, the icon, and what it asks the server."""


def position(visitor: Visitor) -> float:
    return float(visitor.page.get_attribute("#waveform", "aria-valuenow") or 0)


def length_of(visitor: Visitor) -> float:
    return float(visitor.page.get_attribute("#waveform", "aria-valuemax") or 0)


@in_both
def test_voice_is_found_heard_marked_and_chosen(visitor: Visitor, page: Page) -> None:
    # A few at first, the one that speaks by itself before the others.
    expect(page.locator(CARDS)).to_have_count(5)
    expect(page.locator("#gallery [aria-selected=true] b")).to_have_text("English (America)")
    # It alone has a tick.
    ticks = "rows => rows.map((row) => getComputedStyle(row, '::after').content !== 'none')"
    assert page.eval_on_selector_all(CARDS, ticks) == [True, False, False, False, False]
    # In every list it has one colour.
    faces = "all => all.map((one) => [one.id, one.querySelector('.face').style.getPropertyValue('--hue')])"
    few = dict(page.eval_on_selector_all(CARDS, faces))
    page.click("#gallery-all")
    every = dict(page.eval_on_selector_all(CARDS, faces))
    assert few.items() < every.items() and len(set(every.values())) > len(every) / 2
    expect(page.locator("#gallery-search")).to_be_focused()
    expect(page.locator("#gallery-language")).to_have_value("en")
    # The beginnings of words, in any order; not a part of one.
    for words, found in (("lancaster english", 1), ("ancaster", 0)):
        page.fill("#gallery-search", words)
        expect(page.locator(CARDS)).to_have_count(found)
    # Where the chosen language has none that fits, the others have.
    page.fill("#gallery-search", "german")
    expect(page.locator(CARDS)).to_have_count(1)
    expect(page.locator("#gallery-count")).to_have_text("Voices: 1")
    for hear in (lambda: page.click(f"{CARDS} .face"), lambda: page.press("#gallery-search", "Enter")):
        with page.expect_response(lambda answer: answer.url.split("?")[0].endswith("/preview")) as answer:
            hear()
        assert answer.value.headers["content-type"] == "audio/mpeg"
        expect(page.locator("#gallery .face.playing")).to_have_count(1)
        expect(page.locator("#gallery .face.playing")).to_have_count(0)
    page.click(f"{CARDS} .star")
    expect(page.locator(CARDS)).to_have_accessible_name(re.compile("^German .*favourite$"))
    page.fill("#text", "Guten Morgen.")
    page.click(f"{CARDS} b")
    visitor.wait_for_sound()
    visitor.wait_for_end()
    assert visitor.value("#voice") == "espeak:de" == visitor.requests[-1]["voice"]
    expect(page.locator("#gallery [aria-selected=true] b")).to_have_text("German")
    visitor.arrive()
    page.click("#gallery-all")
    page.select_option("#gallery-language", "")
    # Favourites come first.
    expect(page.locator(f"{CARDS} b").first).to_have_text("German")
    page.fill("#gallery-search", "none of them")
    expect(page.locator("#gallery-count")).to_have_text("No voice fits.")


def test_a_voice_that_is_marked_by_a_key_stays_the_one_that_keys_act_on(visitor: Visitor, page: Page) -> None:
    """Though the list is put in another order, with the favourites first."""
    page.focus("#gallery")
    page.keyboard.press("End")
    gallery = page.locator("#gallery")
    active = gallery.get_attribute("aria-activedescendant") or ""
    page.keyboard.press("f")
    expect(page.locator("#gallery .star.marked")).to_have_count(1)
    expect(gallery).to_have_attribute("aria-activedescendant", active)
    expect(page.locator("#gallery .active")).to_be_in_viewport(ratio=1)
    page.keyboard.press("f")
    expect(page.locator("#gallery .star.marked")).to_have_count(0)
    page.keyboard.press("Enter")
    expect(page.locator("#gallery [aria-selected=true]")).to_have_attribute("id", active)


def test_a_voice_that_is_shown_no_more_leaves_its_place_to_the_next(visitor: Visitor, page: Page) -> None:
    page.click("#gallery-all")
    page.locator(f"{CARDS} .star").last.click()
    page.click("#gallery-all")
    page.focus("#gallery")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("f")
    expect(page.locator("#gallery .star.marked")).to_have_count(0)
    second = page.locator(CARDS).nth(1).get_attribute("id") or ""
    expect(page.locator("#gallery")).to_have_attribute("aria-activedescendant", second)


CLOSED = """
  () => {
    window.closed_contexts = 0;
    const { close } = AudioContext.prototype;
    AudioContext.prototype.close = async function () {
      await close.call(this);
      setTimeout(() => (closed_contexts += 1));
    };
  }
"""
"""Counts the recordings that have ended, after what the page does then."""


def test_a_sample_that_was_stopped_while_it_came_leaves_the_mark_of_the_next(
    visitor: Visitor, page: Page
) -> None:
    page.evaluate(CLOSED)
    held: list[Route] = []
    page.route("**/preview*", lambda route: held.append(route))
    page.expose_function("held", lambda: len(held))
    page.focus("#gallery")
    for _ in range(3):
        page.keyboard.press("Space")
    playing = page.locator("#gallery .face.playing")
    expect(playing).to_have_count(1)
    page.wait_for_function("async () => (await held()) === 2")
    first, second = held
    first.continue_()
    page.wait_for_function("() => closed_contexts === 1")
    assert playing.count() == 1
    second.continue_()
    expect(playing).to_have_count(0)


CONTROLS = """
  () => [...document.querySelectorAll(
      "a[href], button, input, select, textarea, summary, [role=option], [role=slider]")]
    .filter((one) => one.checkVisibility({ checkVisibilityCSS: true }) && one.getClientRects().length)
    .map((one) => {
      const { width, height, bottom, top } = one.getBoundingClientRect();
      return { name: one.id || one.textContent, width, height, seen: bottom > 0 && top < innerHeight };
    })
"""
"""All controls: their sizes, and whether they are in view."""


@pytest.mark.parametrize(
    ("width", "height", "touch"), [(1366, 768, False), (390, 844, True), (360, 640, True)]
)
def test_words_light_up_in_view_and_the_page_begins_with_few_controls(
    visit: Visit, width: int, height: int, *, touch: bool
) -> None:
    visitor = visit(viewport={"width": width, "height": height}, has_touch=touch)
    page = visitor.page
    controls = page.evaluate(CONTROLS)
    assert sum(control["seen"] for control in controls) <= 24 and len(controls) <= 90
    visitor.begin(LONG)
    assert page.locator("#words").bounding_box() == page.locator("#text").bounding_box()
    for selector in ("#words .now", "#stop", "#pause", "#waveform"):
        expect(page.locator(selector)).to_be_in_viewport()
    assert page.evaluate("scrollY") == 0
    if touch:
        small = [control["name"] for control in page.evaluate(CONTROLS) if control["height"] < 44]
        assert small == ["Skip to the text"]
        # The voices come over the text, until one is taken.
        page.click("#voice-chip")
        expect(page.locator("#gallery")).to_be_focused()
        expect(page.locator(CARDS).first).to_be_in_viewport()
        page.click(f"{CARDS} >> nth=1")
        expect(page.locator("#voice-chip")).to_be_focused()
        expect(page.locator("#words .now")).to_be_in_viewport()
    page.click("#edit")
    expect(page.locator("#text")).to_be_focused()
    expect(page.locator("#words")).to_be_hidden()
    page.keyboard.press("Escape")


@in_both
def test_result_and_its_code_stay_in_view(visitor: Visitor, page: Page) -> None:
    page.set_viewport_size({"width": 1200, "height": 800})
    visitor.say("A sentence whose request is longer than the box that shows it, if it is not cut.", "en")
    expect(page.locator("#pause")).to_be_in_viewport(ratio=1)
    expect(page.locator("#code")).to_be_hidden()
    page.click("#rest summary")
    page.click("#show-code")
    expect(page.locator("#code summary")).to_be_focused()
    expect(page.locator("#show-code")).to_be_hidden()
    expect(page.locator("#code-text")).not_to_be_empty()
    assert visitor.is_wide_enough()


@in_both
def test_playback_rests_and_goes_on_from_a_word(visitor: Visitor, page: Page) -> None:
    visitor.begin(LONG, "en")
    page.click("#pause")
    expect(page.locator("#pause")).to_have_accessible_name("Resume")
    expect(page.locator("#status")).to_have_text("Paused")
    expect(page.locator("#srt")).to_be_enabled()
    # All of it comes while it rests, so that every word has its time.
    page.wait_for_selector("#told:not(:empty)", state="attached")
    page.hover("#words")
    page.locator("#words span", has_text="dog").last.click()
    expect(page.locator("#pause")).to_have_accessible_name("Pause")
    page.wait_for_function("() => Number(document.querySelector('#waveform').ariaValueNow) > 15")
    visitor.wait_for_end()
    length = length_of(visitor)
    assert position(visitor) == length
    # The waveform is the slider.
    page.click("#waveform", position={"x": 20, "y": 20})
    visitor.wait_for_sound()
    page.click("#stop")
    assert position(visitor) < length / 2


@in_both
def test_letters_are_as_large_as_the_text_allows(page: Page) -> None:
    sizes = []
    for text in ("Short.", "The quick brown fox. " * 10, "The quick brown fox. " * 100):
        page.fill("#text", text)
        sizes.append(page.eval_on_selector("#text", "text => parseFloat(getComputedStyle(text).fontSize)"))
    assert sizes == sorted(sizes, reverse=True) and len(set(sizes)) == 3
    page.fill("#text", "短" * 70)
    assert page.get_attribute("#page-of-text", "data-letters") == "middle"


def test_dictation_is_offered_to_whoever_writes(page: Page) -> None:
    expect(page.locator("#dictate")).to_be_hidden()
    page.focus("#text")
    expect(page.locator("#dictate")).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.locator("#dictate")).to_be_focused()
    page.focus("#speak")
    expect(page.locator("#dictate")).to_be_hidden()
    page.fill("#text", "")
    page.focus("#speak")
    expect(page.locator("#dictate")).to_be_visible()


def test_link_brings_text_and_voice_and_is_sent_nowhere(visit: Visit) -> None:
    visitor = visit(permissions=["clipboard-read", "clipboard-write"])
    page = visitor.page
    visitor.choose("#voice", "espeak:de")
    visitor.speak("Guten Tag & Grüße")
    page.click("#share")
    # A link to this machine is of no use to others.
    expect(page.locator("#shared")).to_contain_text("on this computer only")
    link = page.evaluate("navigator.clipboard.readText()")
    other = visit(url=link)
    expect(other.page.locator("#text")).to_have_value("Guten Tag & Grüße")
    assert other.value("#voice") == "espeak:de"
    assert "#" not in other.page.url


@in_both
def test_language_of_the_page_is_chosen(visitor: Visitor, page: Page) -> None:
    page.evaluate("localStorage.clear()")
    with page.expect_navigation():
        visitor.choose("#page-language", "ar")
    expect(page.locator("#speak")).to_have_text("اقرأ")
    assert page.get_attribute("html", "dir") == "rtl"
    expect(page.locator(CARDS).first).to_be_attached()
    assert visitor.violations() == ""
    assert visitor.is_wide_enough()
    # The first text is of that language, until it is changed.
    visitor.choose("#page-language", "es")
    expect(page.locator("#text")).to_have_value(re.compile("Buenos días"))
    page.fill("#text", "Mi propio texto.")
    visitor.choose("#page-language", "en")
    expect(page.locator("#tab-speak")).to_have_text("Text to speech")
    expect(page.locator("#text")).to_have_value("Mi propio texto.")
    # So are the colours.
    paper = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(paper)
    visitor.choose("#theme", "dark")
    dark = page.evaluate(paper)
    assert dark != light
    assert visitor.violations() == ""
    visitor.arrive()
    assert page.evaluate(paper) == dark


def test_tabs_share_the_history_and_each_keeps_its_own_draft(visitor: Visitor) -> None:
    visitor.page.fill("#text", "This tab's words.")
    other = visitor.page.context.new_page()
    other.goto(visitor.url)
    expect(other.locator("#line")).to_have_attribute("data-state", "open")
    # A new one begins with the last draft of all.
    expect(other.locator("#text")).to_have_value("This tab's words.")
    visitor.page.click("#speak")
    expect(other.locator("#history li")).to_have_count(1)
    other.fill("#text", "Those of the other one.")
    visitor.page.reload()
    expect(visitor.page.locator("#text")).to_have_value("This tab's words.")
    other.reload()
    expect(other.locator("#text")).to_have_value("Those of the other one.")


def test_first_load_is_small_and_the_second_asks_for_the_document_alone(visit: Visit) -> None:
    visitor = visit(ready=False)
    page = visitor.page
    answers: list[Any] = []
    page.on("requestfinished", lambda request: answers.append(request))
    visitor.arrive()
    files = [request for request in answers if "/static/" in request.url]
    assert all(served.VERSIONED in request.url for request in files)
    size = sum(
        sum(request.sizes()[part] for part in ("responseHeadersSize", "responseBodySize"))
        for request in answers
        if "/static/" in request.url or request.url == visitor.url
    )
    assert 20_000 < size < MOST_BYTES
    assert len(answers) <= MOST_REQUESTS
    visitor.arrive()
    entries = "performance.getEntriesByType('resource').filter((entry) => entry.name.includes('/static/'))"
    assert page.evaluate(f"{entries}.filter((entry) => entry.transferSize).map((entry) => entry.name)") == []


def test_modules_of_the_page_are_preloaded(page: Page) -> None:
    """A module that is not preloaded is asked for only once the one that imports it has come."""
    preloaded = set(
        page.eval_on_selector_all("link[rel=modulepreload]", "all => all.map((link) => link.href)")
    )
    loaded = set(page.evaluate("performance.getEntriesByType('resource').map((entry) => entry.name)"))
    modules = {name for name in loaded if name.endswith(".js")}
    late = {name.rsplit("/", 1)[-1] for name in modules - preloaded}
    sound = {"player-worklet.js", "jitter-buffer.js", "kernel.js"}
    assert late - sound == {"app.js", "theme.js", "texts-en.js"}
    assert preloaded <= loaded


def test_several_voices_speak_one_text(visitor: Visitor, page: Page) -> None:
    """A mark is put in where the cursor is; each voice is asked for its own part, as one result."""
    visitor.choose("#voice", "espeak:en-us")
    page.fill("#text", "Who is there?")
    visitor.unfold("#speakers")
    page.wait_for_selector("#speakers-voice")
    page.select_option("#speakers-voice", "espeak:de")
    page.click("#speakers-fields button >> nth=1")
    page.click("#speakers-fields button >> nth=0")
    page.keyboard.type("Ich bin es.")
    text = "Who is there? [pause:1s] [voice:espeak:de] Ich bin es."
    assert " ".join(visitor.value("#text").split()) == text
    page.click("#speak")
    visitor.wait_for_end()
    assert [(request["voice"], request["text"].strip()) for request in visitor.requests] == [
        ("espeak:en-us", "Who is there?"),
        ("espeak:de", "Ich bin es."),
    ]
    came = len(visitor.pcm()) / 2 / visitor.frames[0].metadata["sample_rate"]
    assert length_of(visitor) == pytest.approx(came + 1.35, abs=0.11)
    assert len(visitor.text("#told").split("Spoken by ")) == 3
    # The history shows the voice's name, too, and nothing of a pause.
    assert " ".join(visitor.text("#history .excerpt").split()) == "Who is there? German Ich bin es."
    visitor.unfold("#spoken")
    expect(page.locator("#spoken-text")).to_have_text(re.compile(r"Who is there\?\s+Ich bin es\."))
    visitor.speak("[voice:stranger] Hello.")
    expect(page.locator("#problem")).to_have_text("There is no voice stranger.")
    assert len(visitor.requests) == 2


def test_text_is_shown_as_it_is_spoken(visitor: Visitor) -> None:
    visitor.say("It costs $5.", "en")
    visitor.unfold("#spoken")
    expect(visitor.page.locator("#spoken-text")).to_have_text("It costs five dollars.")


def test_what_is_shown_as_spoken_is_what_was_spoken(visitor: Visitor, page: Page) -> None:
    """With the pronunciations and digits that were chosen; nothing is asked for again."""
    page.click("#parameters > summary")
    page.fill("#parameter-lexicon", "Kani = strawberry")
    page.select_option("#parameter-normalize", "no")
    visitor.say("Kani costs $5.", "en")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    visitor.unfold("#spoken")
    expect(page.locator("#spoken-text")).to_have_text(re.compile(r"^strawberry costs \$?5"))
    page.reload()
    visitor.wait_for("#line[data-state=open]")
    page.click("#history li >> nth=0 >> button >> nth=0")
    visitor.unfold("#spoken")
    expect(page.locator("#spoken-text")).to_have_text(re.compile(r"^strawberry costs \$?5"))
    assert not any("text-to-speech" in url for url in asked)


@in_both
def test_result_is_heard_at_another_tempo(visitor: Visitor, page: Page) -> None:
    """At twice the tempo the sound is half as long, and the light and the position follow it."""
    visitor.say(TEXT, "en")
    length = length_of(visitor)
    page.evaluate(
        """() => {
          window.lengths = [];
          const post = MessagePort.prototype.postMessage;
          MessagePort.prototype.postMessage = function (message, ...rest) {
            if (message.kind === "samples") lengths.push(message.samples.length);
            return post.call(this, message, ...rest);
          };
        }"""
    )
    visitor.choose("#tempo", "2")
    page.click("#pause")
    visitor.wait_for("#stop")
    visitor.wait_for_end()
    played = sum(page.evaluate("lengths")) / visitor.frames[0].metadata["sample_rate"]
    assert played == pytest.approx(length / 2, abs=0.1)
    assert position(visitor) == length
    visitor.assert_lit(TEXT.replace(".", "").replace(",", "").split())
