"""The JSON messages, parameters and binary frames of VoxCPM's protocol, without a socket."""

import json
import time
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kani.core import errors
from kani.core.audio.resampling import Rechunker
from kani.core.types import Recording, Sampling, Span, SpeechChunk
from kani.protocols.voxcpm import messages
from kani.protocols.voxcpm.messages import (
    NON_STREAMING,
    STREAMING_CHUNK,
    Cancel,
    Failure,
    FrameWriter,
    Ping,
    TtsRequest,
    encode_frame,
    encode_whole_answer,
    failure_for,
    read,
)
from kani.protocols.voxcpm.params import Params, read_params
from tests.clients.voxcpm.wire import read_frame

MAX_TEXT = 5000
DOCUMENTED = {
    "text": "Hello, this is a test!",
    "mode": "streaming",
    "prompt_wav_url": None,
    "cfg_value": 2.0,
    "inference_timesteps": 10,
    "normalize": False,
    "denoise": False,
    "retry_badcase": True,
}


def message(kind: str, **fields: object) -> str:
    return json.dumps({"type": kind, **fields})


def params(**given: Any) -> Params:
    return read_params({"text": "Hola", **given}, MAX_TEXT, "r")


def test_message_bytes() -> None:
    assert messages.progress("r", "queued", 0.0, "Request queued") == (
        '{"type":"progress","request_id":"r","state":"queued","progress":0.0,"message":"Request queued"}'
    )
    assert messages.progress("r", "queued", 0.0, "Request queued, number 3 in line", position=3) == (
        '{"type":"progress","request_id":"r","state":"queued","progress":0.0,'
        '"message":"Request queued, number 3 in line","position":3}'
    )
    assert messages.complete("r", {"cancelled": True}) == (
        '{"type":"complete","request_id":"r","result":{"cancelled":true}}'
    )
    assert messages.error(None, Failure("INVALID_JSON", "Invalid JSON format")) == (
        '{"type":"error","request_id":null,'
        '"error":{"code":"INVALID_JSON","message":"Invalid JSON format","details":{}}}'
    )


def test_messages_and_pongs() -> None:
    given = message("tts_request", request_id="r", params=DOCUMENTED, speed=2)
    assert read(given) == TtsRequest("r", DOCUMENTED, ("speed",))
    assert read_params(DOCUMENTED, MAX_TEXT, "r", ("speed",)).unknown == ("speed",)
    assert read(message("cancel", request_id="r")) == Cancel("r")
    assert read(message("ping", timestamp=1_700_000_000)) == Ping(1_700_000_000)
    without = read(message("ping"))
    assert isinstance(without, Ping) and isinstance(without.timestamp, int)
    assert abs(without.timestamp - time.time()) < 5
    answer = json.loads(messages.pong(1_700_000_000.25))
    assert answer["type"] == "pong" and answer["timestamp"] == 1_700_000_000.25
    assert isinstance(answer["server_time"], int) and abs(answer["server_time"] - time.time()) < 5


def test_documented_parameters_are_read() -> None:
    read_ones = read_params(DOCUMENTED, MAX_TEXT, "r")
    assert (read_ones.text, read_ones.mode) == ("Hello, this is a test!", "streaming")
    numbers = {"cfg_value": 2.0, "inference_timesteps": 10}
    assert read_ones.options == {**numbers, "denoise": False, "retry_badcase": True}
    assert (read_ones.normalize, params().normalize) == (False, True)
    nothing = dict.fromkeys(name for name in DOCUMENTED if name != "text")
    assert read_params({**nothing, "text": "x"}, MAX_TEXT, "r") == read_params({"text": "x"}, MAX_TEXT, "r")
    assert params().mode == "streaming" and params(mode="non_streaming").mode == "non_streaming"


def test_parameters_become_request() -> None:
    recording = Recording(samples=None, sample_rate=16_000)  # type: ignore[arg-type]
    given = params(
        language="spanish", emotion="happy", speed=1.5, seed=7, voice="ef_dora", cfg_value=3, foo=1, bar=None
    )
    request = given.to_request(given.voice, recording, "said there")
    assert (request.voice, request.language) == ("ef_dora", "es")
    assert (request.emotion, request.speed) == ("happy", 1.5)
    assert request.sampling == Sampling(seed=7) and request.reference is recording
    assert request.options == {"cfg_value": 3, "prompt_text": "said there"}
    assert given.unknown == ("foo", "bar")
    dubbed = params(emotion="sad:0.5", emotion_strength=0.5, duration=3, lexicon={"Kani": "cani"})
    request = dubbed.to_request(None, None, "")
    assert (request.emotion, request.emotion_strength, request.duration_s) == ("sad:0.5", 0.5, 3)
    assert (request.lexicon, request.normalize, request.options) == ({"Kani": "cani"}, True, {})
    assert params(normalize=False).to_request(None, None, "").normalize is False
    # The client's own transcript takes precedence.
    assert params(prompt_text="mine").to_request(None, None, "theirs").options == {"prompt_text": "mine"}


def test_voice_has_two_names() -> None:
    for nobody in ({}, {"voice_id": None}, {"voice_id": ""}, {"voice": "default"}):
        assert params(**nobody).voice is None
    either = (
        {"voice_id": "a"},
        {"voice": "a"},
        {"voice": "a", "voice_id": "a"},
        {"voice_id": "a", "voice": ""},
    )
    assert {params(**names).voice for names in either} == {"a"}


def test_names_of_unknown_parameters_are_bounded_and_texts_may_be_as_long_as_the_limit() -> None:
    unknown = params(**{f"{number}{'x' * 100}": number for number in range(100)}).unknown
    assert len(unknown) == 32 and {len(name) for name in unknown} == {64}
    assert len(read_params({"text": "é" * MAX_TEXT}, MAX_TEXT, "r").text) == MAX_TEXT


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (errors.RateLimited(60), ("RATE_LIMITED", {"limit": 60, "window": "60s"})),
        (errors.Busy("too many requests are waiting (at most 50)"), ("QUEUE_FULL", {})),
        (errors.TimedOut(600), ("TIMEOUT", {"timeout": 600})),
        (errors.UnknownVoice("x-y"), ("VOICE_NOT_FOUND", {"voice_id": "x-y"})),
        (errors.TextTooLong(5), ("TEXT_TOO_LONG", {"errors": {"text": "too long (max 5 characters)"}})),
        (errors.InvalidRequest("speed", "is odd"), ("INVALID_PARAMS", {"errors": {"speed": "is odd"}})),
        (errors.InvalidRequest("voice", "is odd"), ("INVALID_PARAMS", {"errors": {"voice_id": "is odd"}})),
        (
            errors.InvalidRequest("reference", "is odd"),
            ("INVALID_PARAMS", {"errors": {"prompt_wav_url": "is odd"}}),
        ),
        (errors.EngineUnavailable("no weights"), ("MODEL_NOT_LOADED", {})),
        (errors.EngineFailed("it broke"), ("GENERATION_FAILED", {})),
        (errors.SpeechCancelled(), ("GENERATION_FAILED", {})),
    ],
)
def test_core_error_has_code(error: errors.SpeechError, told: tuple[str, object]) -> None:
    found = failure_for(error, "prompt_wav_url")
    assert (found.code, found.details) == told
    assert found.message


RATE = 16_000
NOTHING = np.zeros(0, np.float32)


def test_frames_and_whole_answers_have_their_bytes() -> None:
    assert encode_frame(STREAMING_CHUNK, b'{"a":1}', b"\x01\x02\x03\x04") == (
        b'\xaa\x55\x01\x00\x00\x00\x00\x08{"a":1} \x00\x00\x00\x04\x01\x02\x03\x04'
    )
    assert encode_frame(NON_STREAMING, b"{}", b"") == b"\xaa\x55\x02\x00\x00\x00\x00\x04{}  \x00\x00\x00\x00"
    spans = [Span(0, 4, 0.0, 0.5, (), "five")]
    assert read_frame(encode_whole_answer("r", RATE, spans, bytes(RATE))) == read_frame(
        b"\xaa\x55\x02\x00\x00\x00\x00\x60"
        b'{"request_id":"r","sample_rate":16000,"duration":0.5,"spans":[[0,4,0.0,0.5]],"spoken":["five"]} '
        b"\x00\x00\x3e\x80" + bytes(RATE)
    )


def test_stream_frame_bytes() -> None:
    """The metadata has the original's keys, then ours; samples are signed 16 bits, little endian."""
    writer = FrameWriter("r", RATE, {"voice": "ñ"})
    samples = np.array([0.5, -1.0], np.float32)
    chunk = SpeechChunk(samples, RATE, 0.0, (Span(0, 4, 0.0, 0.31249, (), "4"),))
    metadata = (
        b'{"request_id":"r","sequence":0,"sample_rate":16000,"is_final":false,"spans":[[0,4,0.0,0.3125]],'
        b'"spoken":["4"],"speaker":{"voice":"\xc3\xb1"}}'
    )
    assert writer.write(chunk, final=False) == (
        b"\xaa\x55\x01\x00\x00\x00\x00\x88" + metadata + b" \x00\x00\x00\x04\x00\x40\x00\x80"
    )
    assert read_frame(writer.write(SpeechChunk(samples, RATE, 0.1), final=True)).metadata == {
        "request_id": "r",
        "sequence": 1,
        "sample_rate": RATE,
        "is_final": True,
        "spans": [],
        "spoken": [],
    }


def test_rechunker_holds_back_the_last_and_places_spans() -> None:
    cut = Rechunker(RATE, 2048, hold_back=160)
    for length, cuts in ((5000, [2048, 2048, 5000 - 160 - 4096]), (100, [100])):
        fed = cut.feed(SpeechChunk(np.ones(length, np.float32), RATE, 0.0))
        assert [len(chunk.samples) for chunk in fed] == cuts
    assert [len(chunk.samples) for chunk in cut.finish()] == [160]
    spans = (Span(0, 1, 0.0, 0.1), Span(1, 2, 0.1, 0.2), Span(2, 3, 0.2, 0.2), Span(3, 4, 0.25, 0.3))
    cut = Rechunker(RATE, 2048, hold_back=160)
    first = cut.feed(SpeechChunk(np.ones(RATE // 4, np.float32), RATE, 0.0, spans))
    assert [[span.start for span in chunk.spans] for chunk in first] == [[0, 1], [2]]
    assert [span.start for chunk in cut.finish() for span in chunk.spans] == [3]


@given(
    st.lists(st.integers(0, 9000), min_size=1, max_size=12),
    st.sampled_from([8000, 16_000, 22_050, 24_000, 48_000]),
    st.data(),
)
def test_rechunker_loses_nothing(lengths: list[int], rate: int, data: st.DataObject) -> None:
    """All samples and spans in order, no chunk too large, none empty but a single one."""
    hold_back = round(0.01 * rate)
    everything = np.arange(sum(lengths), dtype=np.float32)
    ends = sorted(data.draw(st.lists(st.floats(0, len(everything) / rate), max_size=20)))
    spans = [Span(at, at + 1, *times) for at, times in enumerate(pairwise([0.0, *ends]))]
    cut = Rechunker(rate, 2048, hold_back=hold_back)
    chunks: list[SpeechChunk] = []
    fed = count = 0
    for length in lengths:
        before, count = count, data.draw(st.integers(count, len(spans)))
        samples = everything[fed : fed + length]
        chunks += cut.feed(SpeechChunk(samples, rate, fed / rate, tuple(spans[before:count])))
        fed += length
        assert sum(len(chunk.samples) for chunk in chunks) >= fed - hold_back - 1
    chunks += cut.feed(SpeechChunk(NOTHING, rate, fed / rate, tuple(spans[count:])))
    chunks += cut.finish()
    assert np.array_equal(np.concatenate([chunk.samples for chunk in chunks]), everything)
    assert all(len(chunk.samples) <= 2048 for chunk in chunks)
    assert all(len(chunk.samples) for chunk in chunks) or not len(everything)
    assert [span for chunk in chunks for span in chunk.spans] == spans
    starts = np.cumsum([0, *(len(chunk.samples) for chunk in chunks[:-1])]) / rate
    assert [chunk.start_s for chunk in chunks] == pytest.approx(list(starts))
