"""Captions: word times, subtitles by their rules, and Kokoro-FastAPI's captioned speech."""

import base64
import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx2
import pytest

from kani.core import subtitles
from kani.core.subtitles import Cue, CueBuilder, Word, WordTimer, srt_cue, vtt_cue, wrap
from kani.core.types import Span
from tests.support.servers.serving import serving

CAPTIONS, CAPTIONED, SPEECH = "/v1/audio/captions", "/dev/captioned_speech", "/v1/audio/speech"
LONG_WORD = "Donaudampfschifffahrtsgesellschaftskapitänsmützenband"
TEXT = (
    "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of "
    "foolishness & <light>. “Yes!” said the 21 men — and then they walked on, all night long, through "
    f"fields, woods, and rivers, until at last the morning came. {LONG_WORD}!"
)
SHOWN = TEXT.replace("<light>", "light").replace(" ", "")


def post(client: httpx2.Client, path: str, **fields: Any) -> httpx2.Response:
    answer = client.post(path, json={"input": TEXT, "voice": "espeak:en-us"} | fields)
    assert answer.status_code == 200, answer.text
    return answer


def cues_of(captions: dict[str, Any]) -> list[Cue]:
    return [Cue(cue["start"], cue["end"], tuple(cue["text"].split("\n"))) for cue in captions["captions"]]


def check(cues: list[Cue]) -> None:
    for cue in cues:
        assert 1 <= len(cue.lines) <= subtitles.MAX_LINES
        assert all(0 < len(line) <= subtitles.MAX_LINE for line in cue.lines)
        assert 0 < cue.end_s - cue.start_s <= subtitles.MAX_CUE_S + 0.001
    for one, other in pairwise(cues):
        assert one.end_s <= other.start_s + 0.001


def test_subtitles_keep_the_rules_and_all_words(client: httpx2.Client) -> None:
    answer = post(client, CAPTIONS)
    cues = cues_of(post(client, CAPTIONS, format="json").json())
    check(cues)
    assert answer.headers["content-type"] == "application/x-subrip; charset=utf-8"
    assert answer.text == "".join(srt_cue(number, cue) for number, cue in enumerate(cues, 1))
    written = " ".join(line for cue in cues for line in cue.lines)
    assert written.replace(" ", "") == SHOWN
    longest = ["a" * 20, " " + "b" * (subtitles.MAX_LINE - 21)]
    assert wrap(longest) == ["".join(longest)]


async def test_markup_is_escaped_and_times_are_the_engines(client: httpx2.Client, tmp_path: Path) -> None:
    # Without a voice it is known only once the language is detected.
    text = post(client, CAPTIONS, format="vtt", voice=None).text
    assert text.startswith("WEBVTT\n\n00:00:00.") and text.count("WEBVTT") == 1
    assert "foolishness &amp;" in text and "<light>" not in text
    async with serving(tmp_path) as server:
        body = {"input": "«Uno» dos, tres... cuatro", "voice": "tone_es", "format": "json"}
        captions = (await server.post(CAPTIONS, json=body)).json()
    # The tone engine speaks a letter in 0.1 s, and nothing between the words.
    starts = [word["start"] for word in captions["words"]]
    assert starts == pytest.approx([0.0, 0.3, 0.6, 1.0], abs=0.01)
    assert captions["duration"] == pytest.approx(1.6, abs=0.01)


@pytest.mark.parametrize(
    ("text", "voice", "shown"),
    [
        (
            "To **New York**, [New York](/lˈʌndən bˈɪɡ/) or [home](/home/), [don't](/dˈO/).",
            "espeak:en-us",
            ["To", "New", "York,", "New", "York", "or", "home,", "don't."],
        ),
        ('A <phoneme ph="a">x y</phoneme>, b.', "espeak:en-us", ["A", "x", "y,", "b."]),
        ("Un [coche](/ˈbaɾko/) nuevo.", "espeak:es", ["Un", "coche", "nuevo."]),
        (
            '<speak>Un <phoneme ph="ˈbaɾko">coche o</phoneme> no.</speak>',
            "espeak:es",
            "Un coche o no.".split(),
        ),
    ],
)
def test_words_are_shown_without_their_markup(
    client: httpx2.Client, text: str, voice: str, shown: list[str]
) -> None:
    words = post(client, CAPTIONED, input=text, voice=voice, stream=False).json()["timestamps"]
    assert [word["word"] for word in words] == shown
    assert " ".join(post(client, CAPTIONS, input=text, voice=voice).text.split("\n")[2:]).split() == shown


def test_times_are_those_of_the_speech(client: httpx2.Client) -> None:
    captions = post(client, CAPTIONS, format="json", speed=1.5).json()
    captioned = post(client, CAPTIONED, stream=False, speed=1.5, response_format="pcm").json()
    audio = post(client, SPEECH, speed=1.5, response_format="pcm").content
    assert base64.b64decode(captioned["audio"]) == audio and captioned["audio_format"] == "audio/pcm"
    assert captions["duration"] == pytest.approx(len(audio) / 48_000, abs=0.002)
    words = [(word["word"], word["start"], word["end"]) for word in captions["words"]]
    assert words == [tuple(word.values()) for word in captioned["timestamps"]]
    assert words[0][0] == "It" and all(start <= end for _, start, end in words)
    assert all(end <= start + 0.001 for (_, _, end), (_, start, _) in pairwise(words))
    check(cues_of(captions))


def test_lines_hold_audio_and_times_as_they_are_made(client: httpx2.Client) -> None:
    lines = [json.loads(line) for line in post(client, CAPTIONED, response_format="mp3").text.splitlines()]
    whole = post(client, CAPTIONED, response_format="mp3", stream=False).json()
    assert len(lines) > 3 and {line["audio_format"] for line in lines} == {"audio/mpeg"}
    assert [word for line in lines for word in line["timestamps"]] == whole["timestamps"]
    spoken = "".join(word["word"] for word in whole["timestamps"])
    assert spoken.replace(" ", "") == SHOWN
    audio = b"".join(base64.b64decode(line["audio"]) for line in lines)
    assert audio == post(client, SPEECH, response_format="mp3").content
    silent = post(client, CAPTIONED, return_timestamps=False).text.splitlines()
    assert all(json.loads(line)["timestamps"] is None for line in silent)


@pytest.mark.parametrize(("kind", "text"), [("srt", "\n"), ("vtt", "WEBVTT\n\n")])
def test_text_without_words_has_no_cues(client: httpx2.Client, kind: str, text: str) -> None:
    assert post(client, CAPTIONS, input="… !", format=kind).text == text
    assert post(client, CAPTIONS, input="… !", format="json").json()["words"] == []


def test_times_go_on_behind_a_change_of_voice(client: httpx2.Client) -> None:
    text = "One two. [voice:espeak:es] Tres, cuatro. [pause:1s] [voice:alloy] Five."
    words = post(client, CAPTIONS, input=text, format="json", allow_voice_tags=True).json()["words"]
    assert [word["word"] for word in words] == ["One", "two.", "Tres,", "cuatro.", "Five."]
    assert all(one["end"] <= other["start"] for one, other in pairwise(words))
    assert words[4]["start"] - words[3]["end"] > 1


def test_words_are_timed_by_letters_and_chinese_by_characters() -> None:
    text = "¿«Hola», **mundo**?"
    spans = [
        Span(0, 2, 0.0, 0.1, spoken_form=""),
        Span(2, 6, 0.1, 0.5, (0.1, 0.2, 0.3, 0.4), "Hola"),
        Span(6, 9, 0.5, 0.9, spoken_form=", "),
        Span(9, 11, 0.9, 0.9, spoken_form=""),
        Span(11, 16, 0.9, 1.4, spoken_form="mundo"),
        Span(16, 19, 1.4, 1.5, spoken_form="?"),
    ]
    timer = WordTimer(text)
    words = [word for span in spans for word in timer.feed([span])]
    assert [(word.start_s, word.end_s) for word in words] == [(0.1, 0.5), (0.9, 1.4)]
    text = "你好，世界。"
    words = WordTimer(text).feed([Span(0, 6, 0.0, 0.6)])
    assert [word.text for word in words] == ["你", "好，", "世", "界。"]
    assert [cue.lines for cue in divided(text, words)] == [("你好，世界。",)]


def divided(text: str, words: Sequence[Word]) -> list[Cue]:
    builder = CueBuilder(text)
    return [cue for word in words for cue in builder.add(word)] + builder.finish()


def test_long_pause_and_slow_speech_divide_cues() -> None:
    text = "one two three four"
    starts = [0.0, 3.0, 6.5, 9.9]
    words = [
        Word(word, match, match + len(word), start, start + 2.9)
        for word, match, start in zip(text.split(), (0, 4, 8, 14), starts, strict=True)
    ]
    cues = divided(text, words)
    check(cues)
    assert [cue.lines for cue in cues] == [("one two",), ("three four",)]
    assert srt_cue(3, cues[1]) == "3\n00:00:06,500 --> 00:00:12,800\nthree four\n\n"
    assert vtt_cue(Cue(3661.5, 3662.0, ("a < b",))) == "01:01:01.500 --> 01:01:02.000\na &lt; b\n\n"


@pytest.mark.parametrize(
    ("text", "cues"),
    [
        ("Mr. Brown is here. He waits.", ["Mr. Brown is here.", "He waits."]),
        ("El Sr. Ruiz llega el 3. Hoy no.", ["El Sr. Ruiz llega el 3. Hoy no."]),
        ('She said "no." Then she left.', ['She said "no."', "Then she left."]),
        ("Chapter One\n\nThe lamp\nwas lit.", ["Chapter One", "The lamp was lit."]),
        ("**Chapter One**\r\n \r\nThe lamp was lit.", ["**Chapter One**", "The lamp was lit."]),
    ],
)
def test_cues_end_with_sentences_and_paragraphs(text: str, cues: list[str]) -> None:
    made = divided(text, WordTimer(text).feed([Span(0, len(text), 0.0, 3.0)]))
    assert [" ".join(cue.lines) for cue in made] == cues


def spoken_at(text: str, *starts_s: float) -> list[Word]:
    """The words of a text, each for 0.3 s."""
    found, at = [], 0
    for word, start_s in zip(text.split(), starts_s, strict=True):
        at = text.index(word, at)
        found.append(Word(word, at, at + len(word), start_s, start_s + 0.3))
        at += len(word)
    return found


def test_sentences_of_a_moment_share_a_cue() -> None:
    text = "Hi. Ok. No. Go! Now we wait here."
    cues = divided(text, spoken_at(text, 0.0, 0.35, 0.7, 1.05, 1.4, 1.7, 2.0, 2.3))
    assert [cue.lines for cue in cues] == [("Hi. Ok. No.",), ("Go! Now we wait here.",)]
    # Where the next one comes later there is room for a cue of its own.
    text = "Hi. Wait."
    assert [cue.lines for cue in divided(text, spoken_at(text, 0.0, 1.05))] == [("Hi.",), ("Wait.",)]


@pytest.mark.parametrize(
    "text",
    [
        "今天天气很好我们一起去公园散步然后在湖边喝茶聊天直到太阳下山",
        "東京タワーは１９５８年に完成した電波塔であり、今も多くの人が訪れている",
    ],
)
def test_line_of_full_width_characters_has_sixteen(text: str) -> None:
    cues = divided(text, WordTimer(text).feed([Span(0, len(text), 0.0, 6.0)]))
    lines = [line for cue in cues for line in cue.lines]
    assert "".join(lines) == text and max(map(len, lines)) <= 16


def test_long_word_of_full_width_letters_is_a_line() -> None:
    text = "Ａ" * 30
    (cue,) = divided(text, [Word(text, 0, 30, 0.0, 1.0)])
    assert cue.lines == (text,)


def test_subrip_shows_arrows_and_tags_and_has_none() -> None:
    cue = Cue(0.0, 1.0, ("a --> b <b>c</b> 1 < 2",))
    told = srt_cue(1, cue).replace("00:00:00,000 --> 00:00:01,000", "")
    assert "-->" not in told and "<b>" not in told and "</b>" not in told
    assert told.replace("\u200b", "") == "1\n\na --> b <b>c</b> 1 < 2\n\n"
