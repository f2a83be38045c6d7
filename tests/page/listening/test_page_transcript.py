"""Transcripts: rows of sentences with their times, played, corrected, undone and kept."""

import json
import re
from pathlib import Path
from typing import Any

import av
import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.page.conftest import TEXT, Visit, in_both
from tests.page.listening.answers import ARABIC, ENGLISH, events, transcribe
from tests.page.node import run

ROW = "#transcript .sentence"
BOX = "element => { const { left, right } = element.getBoundingClientRect(); return [left, right]; }"
BACKGROUND = "element => getComputedStyle(element).backgroundColor"
TRANSCRIPTIONS = "**/v1/audio/transcriptions"


def rows(page: Page) -> list[tuple[str, str]]:
    script = "rows => rows.map((row) => [...row.children].map((part) => part.innerText))"
    return [(time, text) for time, text in page.locator(ROW).evaluate_all(script)]


def sides(element: Locator) -> tuple[float, float]:
    left, right = element.evaluate(BOX)
    return left, right


@in_both
def test_each_sentence_is_a_row_that_is_played_from_its_time(visit: Visit, recording: Path) -> None:
    page = transcribe(visit(), recording, events(ENGLISH))
    # A title ends no sentence.
    assert rows(page) == [
        ("0:00", "Good morning, Mr. Brown!"),
        ("0:02", "The sun is out."),
        ("0:04", "Shall we go?"),
    ]
    last = page.locator(ROW).last
    quiet = last.evaluate(BACKGROUND)
    last.locator("time").click()
    expect(last.locator("span").first).to_have_class("now")
    assert float(page.get_attribute("#heard-waveform", "aria-valuenow") or 0) >= 3.5
    page.click("#heard-play")
    assert last.evaluate(BACKGROUND) != quiet
    page.locator(f"{ROW} span", has_text="sun").click()
    expect(page.locator(ROW).nth(1).locator(".now")).to_have_count(1)
    expect(last).to_have_css("background-color", quiet)


IN_THE_PAUSE = """() => {
  const at = Number(document.querySelector("#heard-waveform").ariaValueNow);
  return at > 1.5 && at < 3.9 && document.querySelector("#transcript .now")?.textContent === "One.";
}"""


def test_a_word_stays_lit_in_the_pause_after_it(visit: Visit, recording: Path) -> None:
    page = transcribe(visit(), recording, events((("One.", 0.2), ("Two.", 4.0))))
    page.locator("#transcript time").first.click()
    page.wait_for_function(IN_THE_PAUSE)


def test_each_turn_begins_with_its_speaker(visit: Visit, recording: Path) -> None:
    page = transcribe(visit(), recording, events(ENGLISH, "AB"))
    assert rows(page) == [
        ("0:00", "A: Good morning, Mr. Brown!"),
        ("0:02", "B: The sun is out."),
        ("0:04", "Shall we go?"),
    ]
    assert [name.inner_text() for name in page.locator(f"{ROW} b").all()] == ["A:", "B:"]


@in_both
def test_gutter_is_narrow_on_a_phone(visit: Visit, recording: Path) -> None:
    page = transcribe(visit(viewport={"width": 360, "height": 800}), recording, events(ENGLISH))
    times = [sides(time) for time in page.locator(f"{ROW} time").all()]
    texts = [sides(text) for text in page.locator(f"{ROW} p").all()]
    assert len({left for left, _ in texts}) == 1
    for (left, right), (begin, _) in zip(times, texts, strict=True):
        assert right < begin <= left + 48
    expect(page.locator(f"{ROW} time").first).to_have_css("font-variant-numeric", "tabular-nums")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_row_is_high_enough_for_a_finger(visit: Visit, recording: Path) -> None:
    visitor = visit(viewport={"width": 360, "height": 800}, has_touch=True, is_mobile=True)
    page = transcribe(visitor, recording, events(ENGLISH))
    row = page.locator(ROW).first
    height = row.evaluate("row => row.getBoundingClientRect().height")
    assert height >= 44
    # Beside the time, in its gutter.
    row.tap(position={"x": 5, "y": height - 2})
    expect(row.locator(".now")).to_have_count(1)
    assert visitor.violations() == ""


@in_both
@pytest.mark.parametrize("locale", ["ar-EG", "en-US"])
def test_arabic_has_its_gutter_at_the_right(visit: Visit, recording: Path, locale: str) -> None:
    # A speaker's letter is no Arabic one.
    page = transcribe(
        visit(locale=locale, viewport={"width": 360, "height": 800}), recording, events(ARABIC, "AB")
    )
    assert [text for _, text in rows(page)] == [f"A: {ARABIC[0][0]}", f"B: {ARABIC[1][0]}"]
    for row in page.locator(ROW).all():
        (left, _), (_, right) = sides(row.locator("time")), sides(row.locator("p"))
        assert left > right
    last = page.locator(ROW).last
    last.locator("time").click()
    expect(last.locator(".now")).to_have_text(re.compile("الشمس|مشرقة"))


def test_words_of_a_file_and_of_the_microphone_are_two_transcripts(visit: Visit, recording: Path) -> None:
    """While a file is transcribed the round button ends that, and begins no recording beside it."""
    visitor = visit()
    visitor.network_may_fail = True
    page = visitor.page
    held: list[Route] = []
    page.route(TRANSCRIPTIONS, lambda route: held.append(route))
    page.click("#tab-listen")
    page.wait_for_selector("#listen:enabled")
    page.set_input_files("#listen-file", recording)
    expect(page.locator("#listen")).to_have_accessible_name("Stop")
    expect(page.locator("#listen-progress")).to_be_visible()
    # It does not look as if something were recorded.
    expect(page.locator("#listen")).not_to_have_css("background-color", "rgb(179, 56, 43)")
    expect(page.locator(".levels").first).to_be_hidden()
    page.click("#listen")
    expect(page.locator("#listen")).to_have_accessible_name("Start listening")
    expect(page.locator("#listen-progress")).to_be_hidden()


def test_what_is_shown_is_heard_while_a_file_is_transcribed(visit: Visit, recording: Path) -> None:
    visitor = visit()
    visitor.network_may_fail = True
    page = transcribe(visitor, recording, events(ENGLISH))
    page.unroute_all()
    held: list[Route] = []
    page.route(TRANSCRIPTIONS, lambda route: held.append(route))
    page.set_input_files("#listen-file", recording)
    expect(page.locator("#listen-progress")).to_be_visible()
    page.locator("#transcript time").first.click()
    expect(page.locator("#heard-play")).to_have_accessible_name("Pause")
    expect(page.locator("#transcript .now")).to_have_count(1)


ENDS_LATER = """
  const { send } = XMLHttpRequest.prototype;
  XMLHttpRequest.prototype.send = function (body) {
    const { onload } = this;
    this.onload = (event) => (window.ends = () => onload(event));
    send.call(this, body);
  };
  // As of a long recording.
  OfflineAudioContext.prototype.decodeAudioData = () => new Promise(() => {});
"""
"""The last part of an answer comes when it is called for, and no waveform by then."""


@in_both
@pytest.mark.parametrize("kind", ["wav", "webm"])
def test_a_recording_is_heard_on_when_its_transcription_ends(
    visit: Visit, recording: Path, tmp_path: Path, kind: str
) -> None:
    file = recording if kind == "wav" else tmp_path / "recorded.webm"
    if kind == "webm":
        # Written as it was recorded, it does not say how long it is.
        with av.open(str(recording)) as heard, av.open(str(file), "w", options={"live": "1"}) as written:
            stream = written.add_stream("libopus", rate=48_000)
            for frame in heard.decode(audio=0):
                written.mux(stream.encode(frame))
            written.mux(stream.encode(None))
    page = visit().page
    page.route(
        TRANSCRIPTIONS, lambda route: route.fulfill(content_type="text/event-stream", body=events(ENGLISH))
    )
    page.click("#tab-listen")
    page.wait_for_selector("#listen:enabled")
    page.evaluate(f"() => {{ {ENDS_LATER} }}")
    page.set_input_files("#listen-file", file)
    expect(page.locator(ROW)).to_have_count(3)
    page.wait_for_function("() => window.ends")
    expect(page.locator("#listen-progress")).to_be_visible()
    page.click("#heard-play")
    expect(page.locator("#transcript .now")).to_have_count(1)
    page.evaluate("ends()")
    expect(page.locator("#listen-results")).to_be_visible()
    expect(page.locator("#heard-play")).to_have_accessible_name("Pause")
    expect(page.locator("#heard-clock")).to_have_text(re.compile("0:0[1-6] / 0:0[4-6]"))


def test_undo_goes_back_by_more_than_one_step(visit: Visit, recording: Path) -> None:
    visitor = visit()
    page = visitor.page
    for text in (TEXT, "Another one.", "A third."):
        visitor.say(text, "en")
    expect(page.locator("#history li")).to_have_count(3)
    for left in (2, 1, 0):
        page.click("#history li button >> nth=3")
        expect(page.locator("#history li")).to_have_count(left)
    for back in (1, 2, 3):
        page.click("#toast-undo")
        expect(page.locator("#history li")).to_have_count(back)
    expect(page.locator("#toast")).to_be_hidden()
    expect(page.locator("#history .excerpt")).to_have_text(["A third.", "Another one.", TEXT])


def test_undo_ends_a_recording_and_keeps_its_words(visit: Visit, recording: Path) -> None:
    page = transcribe(visit(), recording, events(ENGLISH))
    page.click("#listen-clear")
    expect(page.locator("#transcript")).to_be_hidden()
    page.click("#listen")
    expect(page.locator("#listen-text")).to_have_text("Stop listening")
    page.click("#toast-undo")
    expect(page.locator("#transcript")).to_contain_text(ENGLISH[0][0])
    expect(page.locator("#listen")).to_have_accessible_name("New recording")


def test_a_transcript_that_another_replaces_is_not_said_to_be_cleared(visit: Visit, recording: Path) -> None:
    page = transcribe(visit(), recording, events(ENGLISH))
    page.set_input_files("#listen-file", recording)
    expect(page.locator("#toast-text")).to_have_text("Text replaced.")


def test_a_transcript_that_is_opened_far_below_it_is_seen_from_its_beginning(
    visit: Visit, recording: Path
) -> None:
    visitor = visit(viewport={"width": 700, "height": 500})
    page = transcribe(visitor, recording, events(ENGLISH))
    page.click("#tab-speak")
    page.get_by_role("button", name="Open").last.click()
    expect(page.locator("#listen-head")).to_be_in_viewport(ratio=1)


def test_transcript_is_corrected_searched_and_saved_as_it_is_then(visit: Visit, recording: Path) -> None:
    visitor = visit()
    page = transcribe(visitor, recording, events(ENGLISH, "AB"))
    before = json.loads(visitor.download("#listen-json"))["words"]
    page.click("#listen-edit")
    row = page.get_by_role("textbox", name="0:02")
    row.fill("The big sun is out.")
    name = page.get_by_role("textbox", name="Speaker").last
    name.fill("Berta")
    name.press("Tab")
    page.click("#listen-edit")
    expect(page.locator("#transcript .sentence").nth(1)).to_contain_text("Berta: The big sun is out.")
    after = json.loads(visitor.download("#listen-json"))["words"]
    assert [word["word"] for word in after][4:9] == ["The", "big", "sun", "is", "out."]
    times = {word["word"]: (word["start"], word["end"]) for word in before}
    assert all(times[word["word"]] == (word["start"], word["end"]) for word in after if word["word"] in times)
    assert "Berta: The big sun is out." in visitor.download("#listen-txt").decode()
    assert "Berta: The big sun is out." in visitor.download("#listen-srt").decode()

    page.fill("#listen-search", "berta")
    expect(page.locator("#transcript .sentence:visible")).to_have_count(2)
    page.fill("#listen-search", "g sun")
    expect(page.locator("#transcript .found")).to_have_text(["big", "sun"])
    page.fill("#listen-search", "0:04")
    expect(page.locator("#transcript .found")).to_have_count(0)
    expect(page.locator("#transcript .sentence:visible")).to_have_count(3)
    page.press("#listen-search", "Enter")
    expect(page.locator("#transcript .sentence").last.locator(".now")).to_have_count(1)
    page.click("#heard-play")
    # It lasts as it was corrected.
    page.reload()
    page.wait_for_selector("#line[data-state=open]")
    page.click("#tab-listen")
    expect(page.locator("#transcript")).to_contain_text(re.compile("Berta: The big sun"))
    assert visitor.violations() == ""


DIVIDED = """
  (word) => {
    const rest = word.cloneNode();
    rest.append(word.firstChild.splitText(2));
    word.after(rest);
  }
"""
"""Divides the element of a word, as a browser may where it is typed in."""


def test_words_are_found_in_a_row_that_the_browser_has_divided(visit: Visit, recording: Path) -> None:
    page = transcribe(visit(), recording, events(ENGLISH))
    page.click("#listen-edit")
    page.locator("#transcript span", has_text="sun").evaluate(DIVIDED)
    page.fill("#listen-search", "sun")
    expect(page.locator("#transcript .found")).to_have_text(["su", "n"])
    page.fill("#listen-search", "out")
    expect(page.locator("#transcript .found")).to_have_text(["out."])


def test_a_correction_that_is_being_typed_lasts(visit: Visit, recording: Path) -> None:
    page = transcribe(visit(), recording, events(ENGLISH))
    page.click("#listen-edit")
    page.get_by_role("textbox", name="0:02").fill("The moon is out.")
    page.reload()
    page.wait_for_selector("#line[data-state=open]")
    page.click("#tab-listen")
    expect(page.locator("#transcript")).to_contain_text("The moon is out.")
    expect(page.locator("#history .excerpt")).to_contain_text("The moon is out.")


def test_speakers_that_became_one_are_two_again(visit: Visit, recording: Path) -> None:
    page = transcribe(visit(), recording, events(ENGLISH, "AB"))
    page.click("#listen-edit")
    name = page.get_by_role("textbox", name="Speaker").last
    name.fill("A")
    name.press("Tab")
    expect(page.locator("#toast-text")).to_have_text("Two speakers are now one: A.")
    page.click("#toast-undo")
    expect(page.locator("#transcript b")).to_have_text(["A:", "B:"])


ENDLESS = """(body) => {
    const value = (given) => ({ value: given });
    window.XMLHttpRequest = class extends XMLHttpRequest {
        open(method, url) {
            this.hears = `${url}`.includes("transcriptions");
            super.open(method, url);
        }
        send(given) {
            if (!this.hears) return super.send(given);
            const answer = { readyState: value(2), status: value(200), responseText: value(body) };
            Object.defineProperties(this, answer);
            this.onreadystatechange();
            this.onprogress();
        }
        abort() {
            if (this.hears) this.onabort();
            else super.abort();
        }
    };
}"""
"""An answer that begins and never ends."""


def test_files_that_were_not_heard_to_their_end_are_kept(visit: Visit, recording: Path) -> None:
    page = visit().page
    page.evaluate(ENDLESS, events(ENGLISH))
    page.click("#tab-listen")
    page.wait_for_selector("#listen:enabled")
    page.set_input_files("#listen-file", [recording, recording])
    status, cut = page.locator("#listen-status"), re.compile(r"^0:0\d / 0:0\d, stopped$")
    expect(page.locator("#history .excerpt", has_text="Good morning, Mr. Brown!")).to_have_count(1)
    page.click("#listen")
    expect(status).to_have_text(cut)
    expect(page.locator("#toast-text")).to_have_text("Not transcribed to the end: speech.wav, speech.wav")
    page.click("#toast-undo")
    expect(page.locator("#history li")).to_have_count(3)
    page.locator("#history li", has_text="stopped").get_by_role("button", name="Open").click()
    expect(status).to_have_text(cut)
    page.click("#toast-undo")
    page.reload()
    page.wait_for_selector("#line[data-state=open]")
    page.click("#tab-listen")
    expect(status).to_have_text(cut)
    whole = events(ENGLISH)
    page.route(TRANSCRIPTIONS, lambda route: route.fulfill(content_type="text/event-stream", body=whole))
    page.click("#listen-rest")
    expect(status).to_have_text("Done")


def test_a_recording_that_is_dropped_on_another_tab_is_transcribed_once(
    visit: Visit, recording: Path
) -> None:
    page = transcribe(visit(), recording, events(ENGLISH))
    page.click("#tab-speak")
    page.evaluate(
        """() => {
            const dataTransfer = new DataTransfer();
            dataTransfer.items.add(new File([new Uint8Array(99)], "dropped.mp3"));
            const drop = new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true });
            document.body.dispatchEvent(drop);
        }"""
    )
    expect(page.locator("#listen-drop")).to_have_attribute("data-state", "done")
    expect(page.locator("#listen-queue li")).to_have_text("dropped.mp3Done")
    expect(page.locator("#history li")).to_have_count(2)


SCRIPT = """
  const transcript = new m.Transcript();
  transcript.add({ text: a[0], start: 0, end: 9 }, a[1]);
  const [row] = transcript.rows;
  transcript.correct(row, a[2]);
  return [transcript.text, transcript.words.map(({ text, start, end }) => [text, start, end])];
"""
LIBRARY = "We meet at the old library."
CHINESE = "今天天气很好。"


def spoken(words: list[str]) -> list[dict[str, Any]]:
    """Words of a second each."""
    return [{"word": word, "start": n, "end": n + 1} for n, word in enumerate(words)]


@pytest.mark.parametrize(
    ("text", "words", "corrected", "expected"),
    [
        # One word for another, and two changes at once.
        (LIBRARY, LIBRARY.split(), "We met at the old library.", {"We": 0, "met": 1, "at": 2, "library.": 5}),
        (LIBRARY, LIBRARY.split(), "They meet at an old library.", {"They": 0, "meet": 1, "an": 3, "old": 4}),
        # A word more, one less, one that is the beginning of another, and all of it.
        (LIBRARY, LIBRARY.split(), "We meet all at the old library.", {"meet": 1, "all": 2, "at": 2}),
        (LIBRARY, LIBRARY.split(), "We meet at the library.", {"the": 3, "library.": 5}),
        (LIBRARY, LIBRARY.split(), "Weather at the old library.", {"Weather": 0, "at": 2}),
        (LIBRARY, LIBRARY.split(), "Nothing like it", {"Nothing": 0, "it": 5.2}),
        # One after the end, which is seen, too.
        (LIBRARY, LIBRARY.split(), "We meet at the old library. Yes", {"library.": 5, "Yes": 5.5}),
        # Without spaces.
        (CHINESE, ["今天", "天气", "很", "好"], "今天天氣很好。", {"今天": 0, "天氣": 1, "很": 2, "好。": 3}),
    ],
)
def test_words_that_stay_keep_their_times(
    text: str, words: list[str], corrected: str, expected: dict[str, float]
) -> None:
    shown, timed = run("transcript.js", SCRIPT, text, spoken(words), corrected)
    assert shown == corrected
    starts = {word: start for word, start, _ in timed}
    assert {word: starts[word] for word in expected} == pytest.approx(expected)
    assert all(start <= end for _, start, end in timed)
    assert [start for _, start, _ in timed] == sorted(start for _, start, _ in timed)


def test_last_words_that_take_no_time_stay_where_they_are() -> None:
    words = [*spoken(["Yes", "no"]), {"word": "matter.", "start": 2, "end": 2}]
    _, timed = run("transcript.js", SCRIPT, "Yes no matter.", words, "Yea no matter.")
    assert timed == [["Yea", 0, 1], ["no", 1, 2], ["matter.", 2, 2]]


def test_an_emptied_sentence_is_gone_and_its_paragraph_stays() -> None:
    script = """
      const transcript = new m.Transcript();
      for (const word of ["One.", "Two."]) transcript.add({ text: word, start: 0, end: 1 });
      transcript.pause();
      for (const word of ["Three.", "Four."]) transcript.add({ text: word, start: 2, end: 3 });
      transcript.correct(transcript.rows[2], " ");
      return transcript.text;
    """
    assert run("transcript.js", script) == "One. Two.\nFour."


def test_a_renamed_speaker_is_renamed_everywhere() -> None:
    script = """
      const transcript = new m.Transcript();
      for (const [start, speaker] of ["A", "B", "A"].entries())
        transcript.add({ text: "Yes.", start, end: start + 1, speaker });
      transcript.rename("A", "Ana");
      return [transcript.dialogue, transcript.words.map(({ speaker }) => speaker)];
    """
    assert run("transcript.js", script) == ["Ana: Yes.\nB: Yes.\nAna: Yes.", ["Ana", "B", "Ana"]]
