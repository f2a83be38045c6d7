"""Fields and marks of Kokoro-FastAPI and Speaches, for clients that were written for those servers."""

from __future__ import annotations

import io
import json
import wave
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile

from kani.core.types import Samples
from kani.protocols.openai.speech.ssml_marks import ELEMENTS, IGNORED, RATES, with_marks
from kani.protocols.openai.speech.ssml_marks import PATH as SSML_PATH
from kani.protocols.openai.speech.tags import Turn, split_turns

PATH = "/v1/audio/speech"
TEXT = "The quick brown fox jumps over the lazy dog."
RATE = 24_000


def speak(client: httpx.Client, text: str = TEXT, **fields: Any) -> httpx.Response:
    answer = client.post(PATH, json={"model": "kokoro", "voice": "alloy", "input": text} | fields)
    assert answer.status_code == 200, answer.text
    return answer


def samples(client: httpx.Client, text: str = TEXT, **fields: Any) -> Samples:
    data = speak(client, text, response_format="pcm", **fields).content
    return np.frombuffer(data, "<i2").astype(np.float32) / 32768


@pytest.mark.parametrize(
    ("kind", "rate"),
    [("wav", 16_000), ("wav", 22_050), ("wav", 48_000), ("flac", 8_000), ("mp3", 44_100)],
)
def test_sample_rate_is_served(client: httpx.Client, kind: str, rate: int) -> None:
    answer = speak(client, response_format=kind, sample_rate=rate)
    heard, known = soundfile.read(io.BytesIO(answer.content))
    assert known == rate and "x-unused" not in answer.headers
    assert len(heard) / rate == pytest.approx(len(samples(client)) / RATE, abs=0.06)


def test_pcm_is_sent_at_the_rate_that_is_asked_for(client: httpx.Client) -> None:
    assert len(samples(client, sample_rate=8000)) == pytest.approx(len(samples(client)) / 3, abs=2)


def test_opus_names_a_rate_that_it_does_not_have(client: httpx.Client) -> None:
    assert speak(client, response_format="opus", sample_rate=16_000).headers["x-unused"] == "sample_rate"
    assert "x-unused" not in speak(client, response_format="opus", sample_rate=48_000).headers


def test_volume_scales_and_clips(client: httpx.Client) -> None:
    plain, soft, loud = (samples(client, volume_multiplier=factor) for factor in (1, 0.5, 10.0))
    np.testing.assert_allclose(soft, plain / 2, atol=2 / 32768)
    assert np.abs(loud).max() > 0.99
    assert not samples(client, volume_multiplier=0).any()


@pytest.mark.parametrize("kind", ["mp3", "aac", "flac", "wav", "pcm"])
def test_answer_that_is_not_streamed_says_its_length(client: httpx.Client, kind: str) -> None:
    streamed, whole = (speak(client, response_format=kind, stream=stream) for stream in (True, False))
    assert whole.headers["content-length"] == str(len(whole.content))
    assert streamed.headers["transfer-encoding"] == "chunked" and "content-length" not in streamed.headers
    assert whole.headers["content-type"] == streamed.headers["content-type"]
    if kind == "wav":
        with wave.open(io.BytesIO(whole.content)) as file:
            assert file.getnframes() * 2 + 44 == len(whole.content)
    if kind in ("aac", "pcm"):
        assert whole.content == streamed.content


def test_flac_opens_in_libsndfile(client: httpx.Client) -> None:
    """It refuses one of unknown length: "array is too big"."""
    pcm = samples(client)
    heard, rate = soundfile.read(io.BytesIO(speak(client, response_format="flac").content), dtype="float32")
    assert rate == RATE
    np.testing.assert_array_equal(heard, pcm)


def test_long_flac_is_sent_while_it_is_made(client: httpx.Client) -> None:
    body = {"input": "Hello there. " * 400, "response_format": "flac"}
    with client.stream("POST", PATH, json=body) as answer:
        assert answer.status_code == 200 and "content-length" not in answer.headers


@pytest.mark.parametrize("rate", [0.5, 2.0])
def test_rate_mark_scales_the_speech_and_is_not_read(client: httpx.Client, rate: float) -> None:
    plain = len(samples(client))
    marked = samples(client, f"[rate:{rate}] {TEXT}", allow_voice_tags=True)
    assert len(marked) == pytest.approx(plain / rate, rel=0.15)


def test_rate_mark_counts_until_the_next(client: httpx.Client) -> None:
    plain = len(samples(client, "One two three four."))
    marked = samples(
        client, "[rate:0.5]One two three four. [rate:1]One two three four.", allow_voice_tags=True
    )
    assert len(marked) == pytest.approx(3 * plain, rel=0.2)


def test_alias_is_a_voice_at_a_rate(client: httpx.Client) -> None:
    aliases = {"slowpoke": {"voice": "alloy", "rate": 0.8}, "plain": "alloy"}
    plain, same, slow, marked = (
        len(samples(client, text, voice_aliases=aliases, allow_voice_tags=True, **fields))
        for text, fields in (
            (TEXT, {}),
            (TEXT, {"voice": "plain"}),
            (TEXT, {"voice": "slowpoke"}),
            (f"[voice:slowpoke] [rate:1.1] {TEXT}", {}),
        )
    )
    assert same == plain
    assert slow == pytest.approx(plain / 0.8, rel=0.15)
    assert marked == pytest.approx(plain / 0.88, rel=0.15) and marked > plain


def test_alias_is_found_in_any_case(client: httpx.Client) -> None:
    aliases = {"narrator": "espeak:en", "NARRATOR": "espeak:es"}
    spoken = {
        name: speak(client, voice=name, voice_aliases=aliases, response_format="pcm").content
        for name in ("narrator", "NARRATOR", "espeak:en", "espeak:es")
    }
    assert spoken["narrator"] == spoken["espeak:en"] != spoken["NARRATOR"] == spoken["espeak:es"]
    marked = speak(
        client, f"[voice:Villain]{TEXT}", voice_aliases={"villain": "alloy"}, allow_voice_tags=True
    )
    assert marked.content == speak(client).content


def test_tokens_have_the_name_of_speaches_too(client: httpx.Client) -> None:
    *_, done = speak(client, stream_format="sse").text.strip().split("\n\n")
    event = json.loads(done.removeprefix("data: "))
    assert event["token_usage"] == event["usage"]


def test_marks_are_text_without_permission(client: httpx.Client) -> None:
    assert len(samples(client, f"[rate:0.5] {TEXT}")) > len(samples(client))


SSML_VOICE = "af_bella"
NEEDED = {"mark": 'name="m"', "say-as": 'interpret-as="date"'}
"""Attributes without which an element is refused."""


@pytest.mark.parametrize(
    ("inside", "marked"),
    [
        ('Hi<break time="750ms"/>there', "Hi [pause:0.75s] there"),
        ('Hi<break strength="x-strong"/>there', "Hi [pause:1.5s] there"),
        ('Hi<break strength="none"/>there', "Hithere"),
        ('Hi<break time="20s"/>there', "Hi [pause:10.0s] there"),
        ('one <voice name="am_adam">two</voice> three', "one [voice:am_adam] two [voice:af_bella] three"),
        ('one <prosody rate="slow">two</prosody> three', "one [rate:0.75] two [rate:1.0] three"),
        (
            '<prosody rate="80%">a</prosody><prosody rate="1.2">b</prosody>',
            "[rate:0.8] a [rate:1.0] [rate:1.2] b [rate:1.0]",
        ),
        ('<prosody rate="900%">a</prosody>', "[rate:4.0] a [rate:1.0]"),
        ('one <prosody pitch="high">two</prosody>', "one two"),
        ('<prosody rate="quickly">a</prosody>', "a"),
        ('<sub alias="World Wide Web">WWW</sub> works', "World Wide Web works"),
        ('<sub alias="">WWW</sub> works', "works"),
        ('<phoneme alphabet="ipa" ph="wˈʊstə">Worcester</phoneme> lies', "[Worcester](/wˈʊstə/) lies"),
        ('<phoneme alphabet="x-sampa" ph="wUst@">Worcester</phoneme> lies', "Worcester lies"),
        ("<p><s>One.</s><s>Two.</s></p><p>Three.</p>", "One. Two. Three."),
        ('a <desc>a <break time="1s"/><p>cat</p></desc>&lt;b&gt; &amp;\n  c', "a <b> & c"),
        ("<!-- skipped -->a <![CDATA[<b>]]>", "a <b>"),
        (
            '<prosody rate="0.8">a <voice name="am_adam">b</voice> c</prosody>',
            "[rate:0.8] a [voice:am_adam] [rate:0.8] b [voice:af_bella] [rate:0.8] c [rate:1.0]",
        ),
    ],
)
def test_document_becomes_text_with_marks(inside: str, marked: str) -> None:
    assert with_marks(f"<speak>{inside}</speak>", SSML_VOICE) == marked


def test_without_a_voice_only_pauses_are_marked() -> None:
    text = (
        '<speak>a <voice name="am_adam">b</voice><break time="1s"/><prosody rate="slow">c</prosody></speak>'
    )
    assert with_marks(text, "") == "a b [pause:1.0s] c"


def test_marks_are_those_that_speech_reads() -> None:
    text = (
        '<speak>a <voice name="am_adam"><prosody rate="x-fast">b</prosody></voice><break time="2s"/>c</speak>'
    )
    turns = split_turns(with_marks(text, SSML_VOICE), marks=True)
    spoken = [
        Turn(turn.voice, tuple(p.strip() if isinstance(p, str) else p for p in turn.pieces), turn.rate)
        for turn in turns
    ]
    assert spoken == [
        Turn(None, ("a",)),
        Turn("am_adam", ("b",), RATES["x-fast"]),
        Turn(SSML_VOICE, ("", 2.0, "c")),
    ]


@pytest.mark.parametrize("name", IGNORED)
def test_only_the_content_of_other_elements_is_left(name: str) -> None:
    document = f"<speak>a <{name} {NEEDED.get(name, '')}>x</{name}> b</speak>"
    assert with_marks(document, SSML_VOICE) == "a x b"


def translate(client: httpx.Client, **body: Any) -> httpx.Response:
    return client.post(SSML_PATH, json=body)


def test_ssml_answers_as_kokoro_fastapi_does(client: httpx.Client) -> None:
    answer = translate(client, text='<speak>a<break time="1s"/><audio src="x.mp3">b</audio></speak>', speed=1)
    assert answer.json() == {"text": "a [pause:1.0s] b"}
    assert answer.headers["x-unused"] == "speed"
    plain = translate(client, text="Not <b>SSML</b>. [pause:1s]", voice=SSML_VOICE)
    assert plain.json() == {"text": "Not <b>SSML</b>. [pause:1s]"} and "x-unused" not in plain.headers


@pytest.mark.parametrize("before", ["<!-- a note -->", '<?xml version="1.0"?>\n<!-- one -->\n<!-- two -->\n'])
def test_ssml_may_begin_with_comments(client: httpx.Client, before: str) -> None:
    document = f'{before}<speak>a<break time="1s"/>b</speak>'
    assert translate(client, text=document).json() == {"text": "a [pause:1.0s] b"}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "text: is needed"),
        ({"text": 1}, "text: must be a string"),
        ({"text": "<speak>a", "voice": []}, "voice: must be a string"),
        ({"text": "<speak>a"}, "text: SSML, line 1, column 1: <speak> is not closed: add </speak>"),
        (
            {"text": '<!DOCTYPE speak [<!ENTITY a "aaa">]><speak>&a;</speak>'},
            "text: SSML, line 1, column 1: declarations are not accepted: leave out the <!DOCTYPE> or its"
            " entities",
        ),
        ({"text": "a" * 100_001}, "text: too long (at most 100000 characters)"),
    ],
)
def test_fault_of_ssml_is_named(client: httpx.Client, body: dict[str, Any], message: str) -> None:
    answer = client.post(SSML_PATH, json=body)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["message"] == message and error["param"] == message.partition(":")[0]


def test_list_of_ssml_names_what_is_translated(client: httpx.Client) -> None:
    listed = client.get(SSML_PATH).json()
    assert listed["elements"] == ELEMENTS and listed["ignored"] == [*IGNORED]
    assert listed["prosody_rates"]["x-slow"] == 0.5 and listed["break_strengths"]["weak"] == 0.25
    assert listed["rate_range"] == [0.25, 4]
