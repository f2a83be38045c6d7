"""SSML as Kokoro-FastAPI turns it into marks, and the call that shows it."""

from typing import Any

import httpx2
import pytest

from kani.protocols.openai.speech.ssml_marks import ELEMENTS, IGNORED, RATES, with_marks
from kani.protocols.openai.speech.ssml_marks import PATH as SSML_PATH
from kani.protocols.openai.speech.tags import Turn, split_turns

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


def test_comments_and_pauses_of_ssml_are_marked(client: httpx2.Client) -> None:
    text = 'a <voice name="am_adam">b</voice><break time="1s"/><prosody rate="slow">c</prosody>'
    assert with_marks(f"<speak>{text}</speak>", "") == "a b [pause:1.0s] c"
    for before in ("<!-- a note -->", '<?xml version="1.0"?>\n<!-- one -->\n<!-- two -->\n'):
        document = f'{before}<speak>a<break time="1s"/>b</speak>'
        assert translate(client, text=document).json() == {"text": "a [pause:1.0s] b"}, before
    # As Kokoro-FastAPI answers.
    answer = translate(client, text='<speak>a<break time="1s"/><audio src="x.mp3">b</audio></speak>', speed=1)
    assert answer.json() == {"text": "a [pause:1.0s] b"}
    assert answer.headers["x-unused"] == "speed"
    plain = translate(client, text="Not <b>SSML</b>. [pause:1s]", voice=SSML_VOICE)
    assert plain.json() == {"text": "Not <b>SSML</b>. [pause:1s]"} and "x-unused" not in plain.headers


def test_marks_are_those_that_speech_reads() -> None:
    text = 'a <voice name="am_adam"><prosody rate="x-fast">b</prosody></voice><break time="2s"/>c'
    turns = split_turns(with_marks(f"<speak>{text}</speak>", SSML_VOICE), marks=True)
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


def translate(client: httpx2.Client, **body: Any) -> httpx2.Response:
    return client.post(SSML_PATH, json=body)


def test_list_of_ssml_names_what_is_translated(client: httpx2.Client) -> None:
    listed = client.get(SSML_PATH).json()
    assert listed["elements"] == ELEMENTS and listed["ignored"] == [*IGNORED]
    assert listed["prosody_rates"]["x-slow"] == 0.5 and listed["break_strengths"]["weak"] == 0.25
    assert listed["rate_range"] == [0.25, 4]
