"""Kyutai's wire format, byte for byte and in both directions."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kani.protocols.kyutai import messages
from kani.protocols.kyutai.messages import (
    Audio,
    Eos,
    Init,
    Marker,
    OggOpus,
    Text,
    Voice,
    read_recognition_message,
    read_speech_message,
)
from kani.protocols.shared.errors import BadMessage

TYPE = "a4 74797065 "
READY = "81" + TYPE + "a5 5265616479"
NO_FREE_CHANNELS = "82" + TYPE + "a5 4572726f72 a7 6d657373616765 b0 6e6f2066726565206368616e6e656c73"
EOS = "81" + TYPE + "a3 456f73"
TEXT = (
    "84" + TYPE + "a4 54657874 a4 74657874 a5 48656c6c6f a7 73746172745f73 cb 3fceb851eb851eb8 "
    "a6 73746f705f73 cb 3fe47ae147ae147b"
)
AUDIO = "82" + TYPE + "a5 417564696f a3 70636d dc 0780" + "ca00000000" * 1920
VOICE = (
    "83"
    + TYPE
    + "a5 566f696365 aa 656d62656464696e6773 dc fa00"
    + "ca00000000" * 64000
    + "a5 7368617065 93 01 cd0200 7d"
)
MARKER = "82" + TYPE + "a6 4d61726b6572 a2 6964 00"
WORD = "83" + TYPE + "a4 576f7264 a4 74657874 a5 48656c6c6f aa 73746172745f74696d65 cb 3fdeb851eb851eb8"
END_WORD = "82" + TYPE + "a7 456e64576f7264 a9 73746f705f74696d65 cb 3fe999999999999a"
STEP = (
    "84"
    + TYPE
    + "a4 53746570 a8 737465705f696478 cd0198 a3 707273 94"
    + "ca3f000000" * 4
    + "ac 62756666657265645f70636d cd5640"
)
OGG_OPUS = "82" + TYPE + "a7 4f67674f707573 a4 64617461 96 4f 67 67 53 00 ccff"

WRITTEN = {
    "Ready": (READY, messages.ready()),
    "Error": (NO_FREE_CHANNELS, messages.error(messages.NO_FREE_CHANNELS)),
    "Text": (TEXT, messages.spoken_text("Hello", 0.24, 0.64)),
    "Audio": (AUDIO, messages.audio(np.zeros(1920, np.float32))),
    "Voice": (VOICE, messages.voice(np.zeros((1, 512, 125), np.float32))),
    "Marker": (MARKER, messages.marker(0)),
    "Word": (WORD, messages.word("Hello", 0.48)),
    "EndWord": (END_WORD, messages.end_word(0.8)),
    "Step": (STEP, messages.step(408, (0.5, 0.5, 0.5, 0.5), 22080)),
    "OggOpus": (OGG_OPUS, messages.ogg_opus(b"OggS\0\xff")),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_message_has_bytes_of_moshi_server(name: str) -> None:
    expected, written = WRITTEN[name]
    assert written == bytes.fromhex(expected)


def test_speech_messages_are_read() -> None:
    assert read_speech_message(bytes.fromhex(EOS)) == Eos()
    assert read_speech_message(b"\0") == Eos()
    assert read_speech_message(bytes.fromhex(TEXT)) == Text("Hello")
    assert read_speech_message('{"type":"Eos"}') == Text('{"type":"Eos"}')
    voice = read_speech_message(bytes.fromhex(VOICE))
    assert isinstance(voice, Voice)
    assert voice.embeddings.shape == (1, 512, 125)


def test_recognition_messages_are_read() -> None:
    audio = read_recognition_message(bytes.fromhex(AUDIO))
    assert isinstance(audio, Audio)
    assert np.array_equal(messages.audio_samples(audio), np.zeros(1920, np.float32))
    for packed in (bytes.fromhex(OGG_OPUS), msgspec.msgpack.encode(OggOpus(b"OggS\0\xff"))):
        opus = read_recognition_message(packed)
        assert isinstance(opus, OggOpus)
        assert messages.ogg_bytes(opus) == b"OggS\0\xff"
    assert read_recognition_message(bytes.fromhex(MARKER)) == Marker(0)
    assert read_recognition_message(msgspec.msgpack.encode({"id": -3, "type": "Marker"})) == Marker(-3)
    assert read_recognition_message(msgspec.msgpack.encode({"type": "Init"})) == Init()


FLOATS = st.floats(-1, 1, width=32)


@given(st.lists(FLOATS, max_size=40), st.sampled_from(["single", "double", "mixed"]), st.booleans())
def test_samples_of_any_number_type_are_read(values: list[float], kind: str, last: bool) -> None:
    numbers: list[float | int] = [round(v) if kind == "mixed" and i % 2 else v for i, v in enumerate(values)]
    pcm = (
        messages.pack_floats(np.array(values, np.float32))
        if kind == "single"
        else msgspec.msgpack.encode(numbers)
    )
    fields = {"type": "Audio", "pcm": msgspec.Raw(pcm), "more": None}
    packed = msgspec.msgpack.encode(dict(reversed(fields.items())) if last else fields)
    audio = read_recognition_message(packed)
    assert isinstance(audio, Audio)
    expected = np.array(values if kind != "mixed" else numbers, np.float32)
    assert np.array_equal(messages.audio_samples(audio), expected)


@pytest.mark.parametrize("type_last", [False, True])
@pytest.mark.parametrize("single", [False, True])
def test_large_audio_message_is_read(type_last: bool, single: bool) -> None:
    wave = np.sin(np.arange(400_000) / 50).astype(np.float32)
    pcm = messages.pack_floats(wave) if single else msgspec.msgpack.encode(wave.astype(float).tolist())
    head, kind = b"\xa3pcm" + pcm, b"\xa4type\xa5Audio"
    audio = read_recognition_message(b"\x82" + (head + kind if type_last else kind + head))
    assert isinstance(audio, Audio)
    assert np.array_equal(messages.audio_samples(audio), wave)


def test_longest_voice_fits_into_message() -> None:
    assert isinstance(read_speech_message(messages.voice(np.ones((1, 512, 400), np.float32))), Voice)
    with pytest.raises(BadMessage, match="1 to 400"):
        read_speech_message(messages.voice(np.ones((1, 512, 401), np.float32)))


def test_samples_beyond_full_scale_are_clipped() -> None:
    audio = read_recognition_message(msgspec.msgpack.encode({"type": "Audio", "pcm": [2.5, -1e30, 0.5]}))
    assert isinstance(audio, Audio)
    assert messages.audio_samples(audio).tolist() == [1.0, -1.0, 0.5]
