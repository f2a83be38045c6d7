"""What sounds, one thing at a time: what is interrupted keeps its place, and keys act on what is heard."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.page.conftest import TEXT, Visit, in_both
from tests.page.listening.answers import ENGLISH, events, transcribe
from tests.page.visitor import Visitor

ARTICLE = " ".join(f"This is sentence number {n} of an article that goes on for long." for n in range(200))
BEGUN = "() => document.querySelectorAll('#words .said').length > 30"
POSITION = "Number(document.querySelector('#waveform').ariaValueNow)"
SAMPLE = "#gallery [role=option] .face"
WATCH = """() => {
  Object.assign(window, { names: [], played: false });
  new MutationObserver(() => names.push(pause.ariaLabel)).observe(pause, { attributeFilter: ["aria-label"] });
  const plays = () => { window.played ||= gallery.querySelector(".playing") !== null; };
  new MutationObserver(plays).observe(gallery, { subtree: true, attributeFilter: ["class"] });
}"""
"""Notes what the round button is called, and that a sample plays: on a busy machine that is soon over."""

HANDLERS = """
  window.mediaKeys = {};
  const set = MediaSession.prototype.setActionHandler;
  MediaSession.prototype.setActionHandler = function (key, act) {
    mediaKeys[key] = act;
    return set.call(this, key, act);
  };
"""
"""Keeps what the browser is told to do at a key of a headset."""


def hear(visitor: Visitor) -> Page:
    """Hear a long article for some seconds."""
    visitor.speak(ARTICLE, "en")
    visitor.page.wait_for_function(BEGUN)
    return visitor.page


def assert_goes_on(visitor: Visitor) -> None:
    """Press the round button: the article goes on at its sentence."""
    page = visitor.page
    asked = len(visitor.requests)
    expect(page.locator("#pause")).to_have_accessible_name("Resume")
    page.click("#pause")
    expect(page.locator("#pause")).to_have_accessible_name("Pause")
    visitor.wait_for_sound()
    assert page.evaluate(POSITION) >= 3
    for request in visitor.requests[asked:]:
        assert request["text"].startswith("This is") and ARTICLE.rindex(request["text"][:60]) > 0


@in_both
@pytest.mark.parametrize("by", ["click", "key"])
def test_stopped_article_goes_on_from_its_place(visitor: Visitor, by: str) -> None:
    page = hear(visitor)
    if by == "click":
        page.click("#stop")
    else:
        page.keyboard.press("Escape")
    visitor.wait_for_end()
    assert_goes_on(visitor)


def test_what_was_heard_of_a_minute_and_what_comes_after_it_are_one_result(visitor: Visitor) -> None:
    # Of a longer one more than a minute may have come by then, which stays a result of its own.
    visitor.begin(ARTICLE[:700], "en")
    visitor.page.wait_for_function(BEGUN)
    visitor.page.click("#stop")
    expect(visitor.page.locator("#pause")).to_have_accessible_name("Resume")
    visitor.page.click("#pause")
    visitor.wait_for_sound()
    visitor.page.click("#stop")
    expect(visitor.page.locator("#history li")).to_have_count(1)


def test_article_that_was_stopped_at_once_goes_on_with_all_of_it(visitor: Visitor) -> None:
    visitor.begin(ARTICLE, "en")
    visitor.page.click("#stop")
    expect(visitor.page.locator("#pause")).to_have_accessible_name("Resume")
    visitor.page.click("#pause")
    visitor.wait_for_sound()
    assert len({request["text"] for request in visitor.requests}) < len(visitor.requests)


@in_both
def test_sample_interrupts_an_article_which_goes_on_after_it(visitor: Visitor) -> None:
    page = hear(visitor)
    page.evaluate(WATCH)
    page.locator(SAMPLE).nth(1).click()
    # The sample has ended.
    page.wait_for_function("() => names.includes('Resume') && names.at(-1) === 'Pause'")
    # One that rests goes on resting.
    page.click("#pause")
    rested = page.evaluate(POSITION)
    page.evaluate("window.played = false")
    page.locator(SAMPLE).nth(1).click()
    page.wait_for_function("() => played && !gallery.querySelector('.playing')")
    # What sounds as it is pressed is up to two tenths.
    assert page.evaluate(POSITION) == pytest.approx(rested, abs=0.21)
    assert_goes_on(visitor)


def test_recording_leaves_an_article_its_place_and_has_the_keys(visit: Visit, recording: Path) -> None:
    visitor = visit(ready=False)
    visitor.page.add_init_script(HANDLERS)
    visitor.arrive()
    page = hear(visitor)
    transcribe(visitor, recording, events(ENGLISH))
    page.locator("#transcript time").first.click()
    name = page.locator("#heard-play")
    expect(name).to_have_accessible_name("Pause")
    page.wait_for_function("() => navigator.mediaSession.metadata.title === 'speech.wav'")
    page.evaluate("mediaKeys.pause()")
    expect(name).to_have_accessible_name("Play")
    page.wait_for_function("() => navigator.mediaSession.playbackState === 'paused'")
    page.evaluate("mediaKeys.play()")
    expect(name).to_have_accessible_name("Pause")
    page.evaluate("mediaKeys.seekbackward()")
    expect(page.locator("#heard")).to_be_visible()
    expect(page.locator("#stage")).to_be_hidden()
    page.evaluate("mediaKeys.pause()")
    page.click("#tab-speak")
    assert_goes_on(visitor)
    page.wait_for_function("() => navigator.mediaSession.metadata.title.startsWith('This is sentence')")


def test_one_thing_is_heard_in_all_tabs(visit: Visit, recording: Path) -> None:
    visitor = visit()
    page = hear(visitor)
    other = Visitor(page.context.new_page(), visitor.url)
    other.arrive()
    transcribe(other, recording, events(ENGLISH))
    other.page.locator("#transcript time").first.click()
    expect(other.page.locator("#heard-play")).to_have_accessible_name("Pause")
    assert_goes_on(visitor)
    # And the other way round.
    expect(other.page.locator("#heard-play")).to_have_accessible_name("Play")
    other.page.click("#tab-speak")
    other.page.locator(SAMPLE).nth(1).click()
    assert_goes_on(visitor)


def test_article_in_the_history_keeps_its_place(visitor: Visitor) -> None:
    page = hear(visitor)
    page.click("#stop")
    visitor.say(TEXT, "en")
    page.locator("#history li", has_text="This is sentence").get_by_role("button", name="Use text").click()
    assert_goes_on(visitor)
    page.click("#stop")
    visitor.say(TEXT, "en")
    asked = len(visitor.requests)
    page.locator("#history li", has_text="This is sentence").first.get_by_role("button", name="Play").click()
    visitor.wait_for_sound()
    expect(page.locator("#clock")).to_have_text(re.compile("^0:(0[3-9]|[1-9])"))
    assert len(visitor.requests) == asked + 1
    # After a reload, too.
    page.click("#stop")
    page.locator("#history li", has_text="This is sentence").first.get_by_role("button", name="Use").click()
    visitor.arrive()
    expect(page.locator("#pause")).to_have_accessible_name("Resume")


def test_click_far_ahead_reads_on_from_there(visitor: Visitor) -> None:
    page = hear(visitor)
    # A word, and the waveform.
    box = page.locator("#words").bounding_box()
    assert box is not None
    x, y = box["x"] + 60, box["y"] + box["height"] - 40
    page.mouse.move(x, y)
    page.mouse.wheel(0, 99_999)
    expect(page.locator("#follow")).to_be_visible()
    page.mouse.click(x, y)
    page.wait_for_function("() => document.querySelector('#words i.said')?.textContent.length > 9000")
    visitor.wait_for_sound()
    assert page.is_visible("#words")
    page.locator("#waveform").click(position={"x": 0, "y": 20})
    page.wait_for_function("() => document.querySelector('#words i.said').textContent.length < 2000")
    page.locator("#waveform").click(position={"x": 0.8 * page.evaluate("waveform.clientWidth"), "y": 20})
    page.wait_for_function("() => document.querySelector('#words i.said').textContent.length > 5000")
