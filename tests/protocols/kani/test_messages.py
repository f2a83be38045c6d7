"""The wire format of the Kani protocol, and WEBSOCKET_README.md's examples as a real server answers them."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from websockets.asyncio.client import connect

from kani.core.errors import InvalidRequest
from kani.core.request import RANGES
from kani.core.types import Range, Sampling, Span, SpeechChunk, SpeechRequest
from kani.protocols.kani import messages
from kani.protocols.kani.messages import Config, SpeakRequest, read_body, read_message
from kani.protocols.shared.errors import BadMessage
from tests.conftest import ROOT, ServerProcess

LEXICON = Path(__file__).parents[3] / "docs" / "lexicon.md"


def request(kind: str = "tts_request", **data: object) -> str:
    return json.dumps({"type": kind, "data": data})


def test_message_bytes() -> None:
    assert messages.pong(True) == '{"type":"pong","data":{"status":"alive","tts_initialized":true}}'
    assert messages.failure("No text provided") == (
        '{"type":"tts_response","data":{"audio":"","status":"error","message":"No text provided"}}'
    )
    assert messages.success(b"RIFF", "Audio generated successfully", {"duration": 3.5}) == (
        '{"type":"tts_response","data":{"audio":"UklGRg==","status":"success",'
        '"message":"Audio generated successfully","metadata":{"duration":3.5}}}'
    )
    chunk = SpeechChunk(np.full(1, 1 / 32768, np.float32), messages.SAMPLE_RATE, 0.0, (Span(0, 4, 0.0, 0.5),))
    assert messages.stream_chunk(chunk).startswith(
        '{"type":"tts_stream_chunk","data":{"audio":"AQA=","status":"streaming","metadata":{"chunk_size":2,'
    )
    assert messages.stream_complete("Audio streaming completed", {}) == (
        '{"type":"tts_stream_complete","data":{"status":"completed",'
        '"message":"Audio streaming completed","metadata":{}}}'
    )


def speech_request(**data: object) -> SpeakRequest:
    speak = read_message(request(**data))
    assert isinstance(speak, SpeakRequest)
    return speak


def test_request_of_guide_is_read() -> None:
    config = {
        "language": "spanish", "emotion": "friendly", "speed": 1, "voice_id": "default", "temperature": 0.6,
        "max_tokens": 1200, "top_p": 0.95, "chunk_size": 10, "lookback_frames": 15, "colour": "blue",
    }  # fmt: skip
    speak = speech_request(text="¡Hola!", config=config, speed=2, voice="ana")
    assert (speak.text, speak.wants_chunks, speak.wants_whole) == ("¡Hola!", False, True)
    assert speak.frame_samples == 17_640
    assert speak.unused == ("lookback_frames", "colour", "data.speed", "data.voice")
    core = speak.to_request(None)
    sampling = Sampling(temperature=0.6, top_p=0.95)
    assert core == SpeechRequest(
        language="es", speed=1.0, emotion="friendly", max_tokens=1200, sampling=sampling
    )


def test_prosody_fields_are_read() -> None:
    config = {
        "emotion": "happy:0.5,calm:0.5", "emotion_strength": 0.7, "speed": 1.0, "duration": 3,
        "lexicon": {"Kani": "cani", "\ud83d": "x"}, "normalize": False,
    }  # fmt: skip
    speak = speech_request(text="Hola", config=config)
    assert speak.unused == ()
    core = speak.to_request(None)
    assert (core.emotion, core.emotion_strength) == ("happy:0.5,calm:0.5", 0.7)
    assert (core.duration_s, core.speed, core.normalize) == (3.0, 1.0, False)
    assert core.lexicon == {"Kani": "cani", "\ud83d": "x"}
    speak = speech_request(text="Hola", config={"duration": 3, "speed": 1.5})
    assert speak.to_request(None).speed == 1.5


def test_requests_pings_and_cancels_are_read() -> None:
    empty = dict.fromkeys(Config.__struct_fields__)
    for more in ({"reference_audio": None}, {"config": None, "stream": None}, {"config": empty}):
        speak = speech_request(text="Hola", **more)
        assert speak.to_request(None) == SpeechRequest()
        assert (speak.reference, speak.frame_samples) == (None, 44_100)
    assert read_message('{"type":"ping","data":{}}') == "ping"
    assert read_message(b'{"type":"ping"}') == "ping"
    assert read_message('{"type":"tts_cancel"}') == "tts_cancel"


def test_bodies_and_half_surrogates_are_read() -> None:
    speak = read_message(
        '{"type":"tts_request","data":{"text":"Hola \\ud83d","config":{"\\ud83d":1}},"id":7}'
    )
    assert isinstance(speak, SpeakRequest) and speak.text == "Hola \ud83d"
    assert messages.clean_names(speak.unused) == ["?", "id"]
    assert messages.failure("\ud83d").count("?") == 1
    speak = read_body(b'{"text":"Hola","temperature":0.5,"max_tokens":100,"chunk_size":5,"config":{}}')
    assert speak.text == "Hola" and speak.config.temperature == 0.5 and speak.unused == ("config",)
    for body in (b"", b"[]", b'{"text":""}', b'{"text":"a","speed":"x"}'):
        with pytest.raises(BadMessage):
            read_body(body)


def test_half_surrogate_of_wrong_type_names_field() -> None:
    for field in (*Config.__struct_fields__, "config", "stream", "data"):
        own = field in Config.__struct_fields__
        text = own and Config.__annotations__[field].startswith("Annotated[Name ")
        value: Any = ["\ud800"] if text else "\ud800"
        inner: Any = {"config": {field: value}} if own else {field: value}
        data = value if field == "data" else {"text": "a", **inner}
        with pytest.raises(BadMessage) as caught:
            read_message(json.dumps({"type": "tts_request", "data": data}))
        assert str(caught.value).startswith(f"{field}: ")


def test_echoed_input_is_bounded() -> None:
    speak = speech_request(text="a", config={f"key{n}" * 100: n for n in range(1000)})
    names = messages.clean_names(speak.unused)
    assert len(names) == 32 and max(map(len, names)) <= 64
    with pytest.raises(BadMessage) as caught:
        read_message(json.dumps({"type": "x" * 1_000_000}))
    assert len(messages.failure(str(caught.value))) < 700


def test_reference_audio_is_base64() -> None:
    assert messages.reference_bytes("UklGRg==") == b"RIFF"
    assert messages.reference_bytes("data:audio/wav;base64,UklGRg==") == b"RIFF"
    for encoded in ("not base64!", "ñ", "A"):
        with pytest.raises(InvalidRequest) as caught:
            messages.reference_bytes(encoded)
        assert messages.error_message(caught.value) == "reference_audio: is not base64"
    with pytest.raises(InvalidRequest, match="at most 10 MiB"):
        messages.reference_bytes("A" * 14_000_000)


def test_examples_of_documents_are_found_and_read() -> None:
    assert len(EXAMPLES) == 8
    (example,) = re.findall(r"^```json\n(.*?)^```$", LEXICON.read_text(encoding="utf-8"), re.M | re.S)
    asked = read_message(example)
    assert isinstance(asked, SpeakRequest) and asked.text == "Pregunta a Nguyen por SQL."
    assert asked.config.lexicon is not None and len(asked.config.lexicon) == 2


README = LEXICON.parents[1] / "WEBSOCKET_README.md"
EXAMPLES = re.findall(r"^```\n(C> .*?)\n```$", README.read_text(encoding="utf-8"), re.M | re.S)
MEASURED = {"duration", "chunk_size", "spans"}
"""Fields with the values of one machine; everything else is compared byte for byte."""


def normalized(value: Any) -> Any:
    """A message with the audio elided and the measured values replaced by what kind they are."""
    if not isinstance(value, dict):
        return value
    elided = {key: "…" for key in ("audio",) if value.get(key)}
    kinds = {key: type(item).__name__ for key, item in value.items() if key in MEASURED}
    return {key: normalized(item) for key, item in value.items()} | elided | kinds


def merged(messages: list[str]) -> list[str]:
    """Normalize messages, consecutive chunks of a stream as one: their number depends on the engine."""
    kept: list[str] = []
    for message in messages:
        line = json.dumps(normalized(json.loads(message)), ensure_ascii=False)
        if not (kept and kept[-1] == line and '"tts_stream_chunk"' in line):
            kept.append(line)
    return kept


@pytest.mark.parametrize("example", EXAMPLES)
async def test_example_is_answered_as_documented(server: ServerProcess, example: str) -> None:
    # A long message goes on in indented lines.
    lines = re.sub(r"\n +", " ", example).splitlines()
    sent = [line[3:] for line in lines if line.startswith("C> ")]
    expected = [line[3:] for line in lines if line.startswith("S> ")]
    assert len(sent) + len(expected) == len(lines)
    ends = sum("tts_stream_chunk" not in line for line in expected)
    received: list[str] = []
    async with connect(server.url, max_size=None) as socket:
        for line in sent:
            await socket.send(line)
        while sum("tts_stream_chunk" not in line for line in received) < ends:
            message = await asyncio.wait_for(socket.recv(), 300)
            assert isinstance(message, str)
            received.append(message)
    assert merged(received) == merged(expected)


def test_readme_has_each_field_of_a_request() -> None:
    table = (ROOT / "WEBSOCKET_README.md").read_text("utf-8").partition("| key | type and range |")[2]
    rows = re.findall(r"^\| `(\w+)` \| ([^|]*)", table.partition("\n\n")[0], re.MULTILINE)
    told = dict(rows)
    assert len(rows) == len(told) and told.keys() == {*Config.__struct_fields__}
    for name, allowed in (RANGES | {"chunk_size": Range(1, 1000)}).items():
        key = {"duration_s": "duration"}.get(name, name)
        numbers = [float(each) for each in re.findall(r"\d+(?:\.\d+)?", told.get(key, ""))]
        if key not in ("pitch", "seed"):
            assert numbers[:2] == [allowed.low, allowed.high], key
