"""The page speaks: what is heard is lit, drawn, counted, stopped, saved and kept."""

import io
import json
import re
import wave
from itertools import pairwise

import pytest
from playwright.sync_api import Page, WebSocketRoute, expect

from tests.conftest import ServerProcess, StartServer
from tests.page.conftest import LONG, TEXT, Visit, in_both
from tests.page.visitor import Visitor

SLOW = "Buffering…"


def samples(file: bytes) -> tuple[bytes, int]:
    with wave.open(io.BytesIO(file)) as sound:
        assert (sound.getnchannels(), sound.getsampwidth()) == (1, 2)
        return sound.readframes(sound.getnframes()), sound.getframerate()


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text)


@in_both
def test_a_text_is_spoken_and_each_word_lights_up_in_turn(spoken: Visitor) -> None:
    spoken.assert_lit(words(TEXT))
    assert spoken.text("#words") == TEXT
    assert spoken.page.locator("#words .now").count() == 0
    assert "".join(spoken.page.locator("#words .said").all_inner_texts()) == TEXT
    seconds = len(spoken.pcm()) / 2 / spoken.frames[0].metadata["sample_rate"]
    assert spoken.statuses() == ["Generating…", "Speaking", f"Done, {seconds:.1f} s"]
    spoken.unfold("#figure-audio")
    assert spoken.text("#figure-chunks") == str(len(spoken.frames))
    assert spoken.text("#figure-audio") == f"{seconds:.1f} s"
    assert float(spoken.text("#figure-factor")) > 0
    assert re.fullmatch(r"[\d,]+ ms", spoken.text("#figure-first"))
    assert spoken.text("#told") == "Spoken by English (America) (English, espeak)."


COLOURS = """(name) => {
    const canvas = document.getElementById(name);
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    const seen = new Set();
    for (let n = 0; n < data.length; n += 4) {
      if (data[n + 3] === 255) seen.add(data.slice(n, n + 3).join());
    }
    return seen.size;
}"""


def test_the_waveform_is_drawn(spoken: Visitor) -> None:
    # All of it has been heard.
    spoken.page.wait_for_function(f"() => ({COLOURS})('waveform') >= 1")
    assert re.search(r"\d\.\d s", spoken.page.get_attribute("#waveform", "aria-valuetext") or "")


@in_both
def test_the_samples_that_came_and_the_times_of_the_words_are_saved(spoken: Visitor) -> None:
    got, rate = samples(spoken.download())
    assert got == spoken.pcm()
    assert {frame.metadata["sample_rate"] for frame in spoken.frames} == {rate}
    timed = json.loads(spoken.download("#json"))["words"]
    assert [word["word"].strip(",.") for word in timed] == words(TEXT)
    srt = spoken.download("#srt").decode()
    assert srt.startswith("1\n00:00:0") and srt.endswith(f"\n{TEXT}\n\n")
    assert spoken.download("#vtt").startswith(b"WEBVTT\n\n")


WRONG_MARK = """async () => {
  const loaded = performance.getEntriesByType("resource").map(({ name }) => name);
  const { compose } = await import(loaded.find((name) => name.endsWith("/compose.js")));
  const { playback } = await import(loaded.find((name) => name.endsWith("/playback.js")));
  playback.speak({ ...compose.choice, text: "[voice:nobody] Two." });
  await playback.ended();
  return document.querySelector("#problem").textContent;
}"""


def test_a_wrong_mark_leaves_what_is_heard_and_is_told_at_once(visitor: Visitor) -> None:
    visitor.begin(LONG, "en")
    visitor.speak("[voice:nobody] One.")
    expect(visitor.page.locator("#problem")).to_contain_text("nobody")
    expect(visitor.page.locator("#pause")).to_have_accessible_name("Pause")
    visitor.page.click("#stop")
    visitor.wait_for_end()
    # As "Repeat after me" does, which waits for the end.
    assert "nobody" in visitor.page.evaluate(WRONG_MARK)


def test_a_stopped_request_leaves_the_place_to_the_next(visitor: Visitor) -> None:
    visitor.begin(LONG, "en")
    visitor.say(TEXT, "en")
    visitor.assert_lit(words(TEXT))
    assert visitor.text("#words") == TEXT


def test_an_emoji_before_a_word_does_not_shift_the_light(visitor: Visitor) -> None:
    visitor.say("😀 Hello 𝒳 🎉 big world", "en")
    # Only of the words it is known that they are sounded; a busy browser may leave one out.
    lit = [word for word in visitor.lit() if word.isascii()]
    assert lit and set(lit) <= {"Hello", "big", "world"}
    assert visitor.text("#words") == "😀 Hello 𝒳 🎉 big world"


FORESEEN = """
  async ([text, language]) => {
    const { Words } = await import("/static/words.js");
    const box = document.createElement("div");
    const words = new Words(box);
    const found = [];
    words.begin(text, language);
    for (let at = 0; at < [...text].length; at++) {
      words.show(at);
      const now = box.querySelector(".now")?.textContent ?? "";
      if (now && now !== found.at(-1)) found.push(now);
      words.add([[at, at + 1, at, at + 0.5]]);
    }
    return found;
  }
"""
"""Words that are foreseen while the server reports a text character by character."""


@pytest.mark.parametrize(
    ("text", "language", "foreseen"),
    [
        ("It costs $1,250.50 now", "en", ["It", "costs", "$1,250.50", "now"]),
        ('by 3/4/2024 ("soon"), say', "en", ["by", "3/4/2024", '("soon', "say"]),
        ("¿Qué tal, «Ana»?", "es", ["¿Qué", "tal", "«Ana"]),
        ("你好世界", "zh", ["你好", "世界"]),
    ],
)
def test_next_word_has_its_marks(modules: Page, text: str, language: str, foreseen: list[str]) -> None:
    found = modules.evaluate(FORESEEN, [text, language])
    whole = [word for word in found if not any(word != other and word in other for other in found)]
    assert whole == foreseen


@pytest.mark.parametrize(
    ("cloning", "heard"), [("nearest voice", "custom:ana"), ("embedding", "custom:ana"), ("none", "af_heart")]
)
def test_stored_voice_that_was_imitated_is_told_by_its_name(modules: Page, cloning: str, heard: str) -> None:
    script = "async ([choice, result]) => (await import('/static/voices.js')).heardVoice(choice, result)"
    result = {"voice": "af_heart", "cloning": cloning}
    assert modules.evaluate(script, [{"voice": "custom:ana"}, result]) == heard


def test_a_long_wait_for_audio_is_told_until_playback_goes_on(visit: Visit) -> None:
    visitor = visit(ready=False)
    page = visitor.page
    held: list[str | bytes] = []
    sockets: list[WebSocketRoute] = []
    frames = 0

    def hold(socket: WebSocketRoute) -> None:
        """Pass on all that the server sends up to its first frame."""
        sockets.append(socket)

        def take(message: str | bytes) -> None:
            nonlocal frames
            if frames:
                held.append(message)
            else:
                frames += isinstance(message, bytes)
                socket.send(message)

        socket.connect_to_server().on_message(take)

    page.route_web_socket("**/tts", hold)
    visitor.arrive()
    visitor.speak(TEXT, "en")
    expect(page.locator("#status")).to_have_text(SLOW)
    while not any(isinstance(message, str) and '"complete"' in message for message in held):
        page.wait_for_timeout(20)
    for message in held:
        sockets[-1].send(message)
    visitor.wait_for_end()
    assert visitor.statuses()[:-1] == ["Generating…", "Speaking", SLOW, "Speaking"]


@in_both
def test_stop_is_silence_at_once_and_what_came_is_kept(visitor: Visitor, page: Page) -> None:
    # More than the server sends ahead.
    visitor.begin(LONG * 60, "en")
    page.click("#stop")
    lit = visitor.lit()
    assert page.is_hidden("#stop") and page.locator("#words .now").count() == 0
    assert visitor.text("#status") == "Stopped"
    facts = page.locator("#history li .note")
    # The player and the history have the same length of it, and the voice that the server chose.
    length = visitor.text("#clock").split(" / ")[1]
    expect(facts).to_have_text(re.compile(rf" · {length}, stopped · English \(America\)$"))
    got, _ = samples(visitor.download())
    assert got and visitor.pcm().startswith(got)
    assert visitor.lit() == lit
    # The text is more than one request; the last one is under way.
    *asked, cancelled = (message for message in visitor.sent if message["type"] != "ping")
    assert cancelled == {"type": "cancel", "request_id": asked[-1]["request_id"]}
    page.click("#pause")
    expect(page.locator("#told")).to_have_text("Spoken by English (America) (English, espeak).")


@pytest.mark.heard
@in_both
def test_the_history_lasts_and_is_heard_used_saved_and_deleted(visitor: Visitor, page: Page) -> None:
    visitor.unfold("#strength")
    visitor.feel("happy")
    page.fill("#strength", "0.4")
    visitor.say(TEXT, "en")
    pcm = visitor.pcm()
    visitor.feel("sad")
    page.fill("#text", "Something else.")
    page.fill("#strength", "0.8")
    visitor.arrive()
    assert (visitor.emotion(), visitor.value("#strength")) == ("sad", "0.8")
    expect(page.locator("#history li")).to_have_count(1)
    page.click("#history li button >> nth=0")
    expect(page.locator("#status")).to_have_text(re.compile("^Done"))
    assert visitor.statuses()[0] == "Playing again"
    visitor.assert_lit(words(TEXT))
    assert len(visitor.requests) == 1
    assert samples(visitor.download("#history li button >> nth=2"))[0] == pcm
    page.click("#history li button >> nth=1")
    assert (visitor.value("#text"), visitor.emotion()) == (TEXT, "happy")
    assert visitor.value("#strength") == "0.4"
    page.click("#history li button >> nth=3")
    page.wait_for_selector("#history li", state="detached")
    kept = "async () => (await new (await import('/static/history.js')).History().list()).length"
    assert page.evaluate(kept) == 0


def test_the_history_keeps_the_newest_fifty(visit: Visit) -> None:
    kept = visit().page.evaluate(
        """async () => {
            const { History } = await import("/static/history.js");
            const history = new History();
            for (let n = 0; n < 53; n++) {
              const utterance = { choice: { text: String(n) }, pieces: [new Int16Array(9)], spans: [] };
              await history.keep({ ...utterance, id: `id-${n}`, sampleRate: 8000, seconds: 1, result: null });
              await new Promise((next) => requestAnimationFrame(next));
            }
            return (await history.list()).map(({ choice }) => choice.text);
        }"""
    )
    assert kept == [str(n) for n in range(52, 2, -1)]


def test_what_is_deleted_from_the_history_is_brought_back(visitor: Visitor, page: Page) -> None:
    for text in (TEXT, "Another one."):
        visitor.say(text, "en")
    for button in ("#history-clear", "#history li button >> nth=3"):
        expect(page.locator("#history li")).to_have_count(2)
        page.click(button)
        expect(page.locator("#toast-undo")).to_be_focused()
        assert page.locator("#history li").count() < 2
        page.keyboard.press("Enter")
    expect(page.locator("#history .excerpt")).to_have_text(["Another one.", TEXT])
    assert samples(visitor.download("#history li button >> nth=2"))[0]


def test_choice_goes_on_from_the_sentence_unless_the_text_rests(visitor: Visitor, page: Page) -> None:
    text = " ".join(f"This is sentence number {n}." for n in range(80))
    page.fill("#text", text)
    page.click("#emotions [value=calm]")
    acts = ("#gallery [role=option] >> nth=1", "#emotions [value=sad]", "#emotions [value=calm]", "#pause")
    for said, act in zip((20, 40, 0, 60), acts, strict=True):
        page.wait_for_function(f"() => document.querySelectorAll('#words span.said').length > {said}")
        page.click(act)
    page.click("#emotions [value=happy]")
    expect(page.locator("#status")).to_have_text("Paused")
    page.click("#pause")
    page.wait_for_function("() => document.querySelector('#pause').dataset.act === 'pause'")
    asked = [request["text"] for request in visitor.requests]
    assert [request["emotion"] for request in visitor.requests] == ["calm", "calm", "sad", "calm", "happy"]
    assert asked[0] == text and all(rest.startswith("This is") and text.endswith(rest) for rest in asked)
    assert all(len(rest) < len(before) for before, rest in pairwise(asked[:3]))
    assert asked[2].endswith(asked[3]) and page.text_content("#words") == text
    # What was heard in other manners is part of the result, and is there to be clicked.
    page.click("#words span >> nth=0")
    assert samples(visitor.download())[0].startswith(visitor.frames[0].payload)
    assert len(visitor.requests) == 5


def test_long_text_keeps_its_place_and_goes_on_after_a_lost_connection(visit: Visit) -> None:
    visitor = visit(ready=False)
    page = visitor.page

    def breaks(socket: WebSocketRoute) -> None:
        """Close the first line once some seconds of audio have come."""

        def take(message: str | bytes) -> None:
            socket.send(message)
            if len(visitor.requests) == 1 and len(visitor.frames) == 20:
                socket.close()

        socket.connect_to_server().on_message(take)

    page.route_web_socket("**/tts", breaks)
    visitor.arrive()
    visitor.speak("This goes on. " * 200, "en")
    page.wait_for_function("() => document.querySelectorAll('#words .said').length > 60")
    # The whole is one result, and its place outlasts a reload.
    expect(page.locator("#history li")).to_have_count(1)
    page.reload()
    expect(page.locator("#pause")).to_have_accessible_name("Resume")
    page.click("#pause")
    visitor.wait_for_sound()
    first, second, third = (request["text"] for request in visitor.requests)
    assert len(first) > len(second) > len(third) and first.endswith(second) and second.endswith(third)
    assert second.startswith("This") and third.startswith("This")


def test_choice_speaks_a_short_text_anew_and_the_last_is_kept(visitor: Visitor, page: Page) -> None:
    page.fill("#text", text := f"{TEXT} {TEXT}")
    for act in ("#emotions [value=sad]", "#emotions [value=happy]", "#gallery [role=option] >> nth=1"):
        page.click(act)
        page.wait_for_function("() => document.querySelectorAll('#words span.said').length > 7")
    visitor.wait_for_end()
    asked = [(request["text"], request["emotion"]) for request in visitor.requests]
    assert asked == [(text, "sad"), (text, "happy"), (text, "happy")]
    assert visitor.requests[-1]["voice"] == visitor.value("#voice") != ""
    expect(page.locator("#history li")).to_have_count(1)
    expect(page.locator("#history .note")).to_contain_text("Happy")


@in_both
def test_arrow_keys_choose_an_emotion_and_speak_nothing(visitor: Visitor, page: Page) -> None:
    emotions = page.locator("#emotions input")
    for text in ("", TEXT):
        page.fill("#text", text)
        page.locator("#emotions :checked").focus()
        for at, key in ((1, "ArrowRight"), (2, "ArrowRight"), (1, "ArrowLeft"), (0, "ArrowLeft")):
            page.keyboard.press(key)
            expect(emotions.nth(at)).to_be_checked()
            expect(emotions.nth(at)).to_be_focused()
    assert visitor.requests == []
    # Enter speaks what was chosen.
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    visitor.wait_for_end()
    chosen = emotions.nth(1).get_attribute("value")
    assert [request["emotion"] for request in visitor.requests] == [chosen]


def test_a_text_that_tells_no_language_is_spoken_in_the_browsers(visit: Visit) -> None:
    visitor = visit(locale="fr-FR")
    for text, language in (("OK 3", "Français"), ("Hello, world!", "Anglais")):
        visitor.say(text)
        assert visitor.requests[-1]["languages"] == ["fr-FR"]
        assert f"({language}, espeak)" in visitor.text("#told")


def test_only_changed_parameters_are_sent(visitor: Visitor, page: Page) -> None:
    visitor.say("Hi.")
    assert visitor.requests[-1] == {"text": "Hi.", "mode": "streaming", "languages": ["en-US"]}
    chosen = "(id) => document.querySelector(id).selectedOptions[0].text"
    assert page.evaluate(chosen, "#language") == "Detect (English)"
    assert page.evaluate(chosen, "#voice").startswith("Default (English")
    visitor.choose("#voice", "espeak:en-us")
    for language, voice in (("de", "German"), ("", "English (America)")):
        page.select_option("#language", language)
        expect(page.locator("#voice-chip-name")).to_have_text(voice)
    page.select_option("#voice", "")
    page.fill("#text", "Hello.")
    assert [page.evaluate(chosen, id_) for id_ in ("#language", "#voice")] == ["Detect", "Default"]
    # A short text is the page's, unless it greets in another language.
    own = "English (America)"
    for text, voice in {
        "Ok": own,
        "Call me": own,
        "Hola": "Default",
        "Mañana vamos allí.": "Default",
    }.items():
        page.fill("#text", text)
        assert visitor.text("#voice-chip-name") == voice, text
    visitor.choose("#language", "en")
    page.select_option("#voice", "espeak:en-us")
    visitor.feel("excited")
    page.fill("#strength", "0.7")
    page.fill("#speed", "0.6")
    page.fill("#parameter-lexicon", "SQL = sequel\nnothing\nGIF=jif")
    page.select_option("#parameter-normalize", "no")
    # Only the Kani model has one.
    assert not page.is_visible("#parameter-seed")
    visitor.say("Hi.")
    assert visitor.requests[-1] == {
        "text": "Hi.",
        "mode": "streaming",
        "language": "en",
        "voice": "espeak:en-us",
        "emotion": "excited",
        "emotion_strength": 0.7,
        "speed": 1.52,
        "lexicon": {"SQL": "sequel", "GIF": "jif"},
        "normalize": False,
    }
    assert visitor.text("#told").startswith("Spoken by English (America) (English, espeak).")
    assert page.is_hidden("#parameter-share")
    page.select_option("#parameter-blend", "sad")
    page.fill("#parameter-share", "0.3")
    visitor.say("Hi.")
    assert visitor.requests[-1]["emotion"] == "excited:0.70,sad:0.30"


def test_the_page_of_voxcpm_s_port_has_its_parameters(visit: Visit, compat_server: ServerProcess) -> None:
    """With the defaults and ranges of its document; it tells which the engine ignores."""
    elsewhere = visit(compat_server)
    elsewhere.unfold("#parameter-fields")
    elsewhere.wait_for("#parameter-lexicon")
    port = compat_server.compat["VoxCPM's page"]
    visitor = visit(url=f"http://localhost:{port}/")
    page = visitor.page
    visitor.unfold("#parameter-fields")
    visitor.wait_for("#voxcpm select")
    fields = page.locator("#voxcpm :is(input, select)").evaluate_all(
        "all => Object.fromEntries(all.map((e) => [e.id, [e.value, e.min, e.max].filter(Boolean)]))"
    )
    assert fields == {
        "parameter-mode": ["streaming"],
        "parameter-cfg_value": ["2", "0.1", "10"],
        "parameter-inference_timesteps": ["10", "1", "50"],
        "parameter-prompt_wav_url": [],
        "parameter-denoise": ["false"],
        "parameter-retry_badcase": ["true"],
    }
    visitor.say("Hi.")
    assert visitor.requests[-1] == {"text": "Hi.", "mode": "streaming", "languages": ["en-US"]}
    assert visitor.text("#voxcpm .note") == ""
    page.select_option("#parameter-mode", "non_streaming")
    for name, value in (("cfg_value", "3.5"), ("inference_timesteps", "70")):
        page.fill(f"#parameter-{name}", "")  # Firefox would put the new digits beside the old ones.
        page.fill(f"#parameter-{name}", value)
    page.select_option("#parameter-denoise", "true")
    page.select_option("#parameter-retry_badcase", "false")
    visitor.say("Hello.")
    assert visitor.requests[-1] == {
        "text": "Hello.",
        "mode": "non_streaming",
        "languages": ["en-US"],
        "cfg_value": 3.5,
        "inference_timesteps": 50,
        "denoise": True,
        "retry_badcase": False,
    }
    note = visitor.text("#voxcpm .note")
    assert note.startswith("Ignored by the present engine (espeak): ")
    for name in ("CFG value", "Inference steps", "Remove noise", "Try bad results again"):
        assert name in note
    # The field is in no other port's page, as no engine here is VoxCPM's.
    assert elsewhere.page.is_hidden("#voxcpm")


def test_speed_of_a_link_is_sent_as_it_is_and_its_slider_multiplies(visitor: Visitor, page: Page) -> None:
    # Between two steps of the slider.
    page.evaluate("window.location.hash = 't=Hi.&l=en&p=1.2'")
    expect(page.locator("#speed-value")).to_have_text("1.20×")
    visitor.say("Hi.")
    assert visitor.requests[-1]["speed"] == 1.2
    shown = []
    visitor.unfold("#speed")
    for step in ("-2", "-1", "0", "1", "2"):
        page.fill("#speed", step)
        shown.append(page.inner_text("#speed-value"))
    assert shown == ["0.25×", "0.50×", "1×", "2×", "4×"]


def test_only_an_emotion_has_a_strength(visitor: Visitor, page: Page) -> None:
    visitor.unfold("#strength")
    assert not page.is_visible("#strength")
    visitor.feel("calm")
    assert visitor.text("#strength-value") == "100%"
    page.fill("#strength", "0.35")
    assert visitor.text("#strength-value") == page.get_attribute("#strength", "aria-valuetext") == "35%"
    plain = {"text": "Hi.", "mode": "streaming", "languages": ["en-US"]}
    for emotion, strength, more in (("calm", "1", {"emotion": "calm"}), ("neutral", "0.35", {})):
        page.fill("#strength", strength)
        visitor.feel(emotion)
        assert page.is_visible("#strength") == (emotion == "calm")
        visitor.say("Hi.")
        assert visitor.requests[-1] == plain | more


def test_refusal_is_shown_in_the_pages_language_and_leaves_no_empty_result(visit: Visit) -> None:
    visitor = visit(locale="es-ES")
    visitor.unfold("#parameter-fields")
    visitor.page.fill("#parameter-duration", "-1")
    visitor.speak(TEXT, "en")
    refusal = "El servidor no lo aceptó: Duración exacta en segundos – de 0,1 a 300"
    expect(visitor.page.locator("#problem")).to_have_text(refusal)
    expect(visitor.page.locator("#stage")).to_be_hidden()
    visitor.page.fill("#parameter-duration", "")
    visitor.say(TEXT, "en")
    assert visitor.text("#problem") == ""
    visitor.assert_lit(words(TEXT))


def test_text_too_long_for_one_request_is_one_utterance(visit: Visit, start_server: StartServer) -> None:
    visitor = visit(start_server("--engine", "espeak", KANI_MAX_TEXT="20"))
    text = "One small step. 😀 One giant leap, and more."
    visitor.say(text, "en")
    assert [request["text"] for request in visitor.requests] == [
        "One small step. ",
        "😀 One giant leap, ",
        "and more.",
    ]
    assert visitor.text("#words") == text
    assert "".join(visitor.page.locator("#words .said").all_inner_texts()) == text
    assert samples(visitor.download())[0] == visitor.pcm()
    assert visitor.page.locator("#history li").count() == 1
    assert visitor.text("#problem") == ""


def test_nothing_is_asked_for_without_text(visitor: Visitor) -> None:
    visitor.speak("  \n ")
    assert visitor.text("#problem") == "There is no text to speak yet."
    visitor.speak("… 😀 [pause:1s]")
    assert visitor.text("#problem") == "There is nothing to say in this text."
    assert visitor.page.evaluate("document.activeElement.id") == "text"
    assert visitor.requests == []


@in_both
def test_everything_is_done_with_the_keyboard_alone(visitor: Visitor, page: Page) -> None:
    seen = []
    for _ in range(13):
        page.keyboard.press("Tab")
        seen.append(page.evaluate("document.activeElement.id || document.activeElement.localName"))
    # The emotions are one stop, and the voices another.
    stops = (
        "a tab-speak summary book text dictate input speak voice-chip summary gallery-all gallery add-voice"
    )
    assert seen == stops.split()
    page.focus("#text")
    page.keyboard.press("Control+A")
    page.keyboard.type(LONG)
    page.keyboard.press("Control+Enter")
    visitor.wait_for_sound()
    # All of it has come: it can be played again for a while.
    page.wait_for_selector("#told:not(:empty)", state="attached")
    page.keyboard.press("Escape")
    visitor.wait_for_end()
    assert visitor.text("#status").startswith("Stopped")
    page.focus("#pause")
    page.keyboard.press("Enter")
    visitor.wait_for_sound()
    page.focus("#waveform")
    page.keyboard.press("Home")
    page.keyboard.press("PageUp")
    expect(page.locator("#waveform")).to_have_attribute("aria-valuenow", re.compile(r"^1\d\."))
    page.focus("#stop")
    page.keyboard.press("Space")
    visitor.wait_for_end()
    assert page.evaluate("document.activeElement.id") == "pause"
    page.focus("#gallery")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("f")
    expect(page.locator("#gallery .star.marked")).to_have_count(1)
    page.focus("#history li button >> nth=3")
    page.keyboard.press("Enter")
    page.wait_for_selector("#history li", state="detached")
    assert page.evaluate("document.activeElement.id") == "toast-undo"
