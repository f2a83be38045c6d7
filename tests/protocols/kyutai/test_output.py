"""Exact frames, and the four formats they go out in."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from kani.core.audio.ogg_opus import OggOpusDecoder
from kani.core.types import SpeechChunk
from kani.protocols.kyutai.output import Frames, OutputEncoder
from kani.protocols.kyutai.query import AudioFormat
from kani.protocols.kyutai.words import TimedWord

RATES = (24_000, 22_050, 16_000)
TONE = np.sin(np.arange(24_000) / 20).astype(np.float32)


@pytest.mark.parametrize("rate", RATES)
def test_frames_are_exact_and_lose_nothing(rate: int) -> None:
    samples = (1.2 * np.sin(np.arange(rate + 17) / 30)).astype(np.float32)
    frames = Frames()
    out = []
    for at in range(0, len(samples), 1000):
        out += frames.feed(SpeechChunk(samples[at : at + 1000], rate, at / rate))
    out += frames.finish()
    assert {len(frame) for frame in out} == {1920}
    whole = np.concatenate(out)
    expected = round(len(samples) * 24_000 / rate)
    assert len(out) == -(-expected // 1920)
    assert not whole[expected:].any()
    assert np.abs(whole).max() <= np.float32(0.99)
    if rate == 24_000:
        assert np.array_equal(whole[:expected], np.clip(samples, -0.99, 0.99))


def test_no_speech_gives_no_frame() -> None:
    assert Frames().finish() == []


def sent(form: AudioFormat) -> list[bytes]:
    output = OutputEncoder(form)
    messages = output.start_messages()
    messages += [output.word(TimedWord("tono", 0.0, 1.0))]
    messages += [output.frame(TONE[at : at + 1920]) for at in range(0, 23_040, 1920)]
    messages += output.end_messages()
    messages += [output.error("why")]
    return [message for message in messages if message]


def test_pcm_message_pack() -> None:
    decoded = [msgspec.msgpack.decode(message) for message in sent(AudioFormat.PCM_MESSAGE_PACK)]
    assert [message["type"] for message in decoded] == ["Ready", "Text", *["Audio"] * 12, "Text", "Error"]
    assert decoded[-2] == {"type": "Text", "text": "", "start_s": 0.0, "stop_s": 0.0}
    pcm = np.concatenate([message["pcm"] for message in decoded if message["type"] == "Audio"])
    assert np.array_equal(pcm.astype(np.float32), TONE[:23_040])


def test_pcm() -> None:
    messages = sent(AudioFormat.PCM)
    assert {len(message) for message in messages} == {7680}
    assert np.array_equal(np.frombuffer(b"".join(messages), "<f4"), TONE[:23_040])


def heard(pages: bytes) -> np.ndarray:
    return OggOpusDecoder(24_000).feed(pages)


def test_ogg_opus() -> None:
    messages = sent(AudioFormat.OGG_OPUS)
    assert messages[0].startswith(b"OggS") and b"OpusHead" in messages[0] and b"OpusTags" in messages[0]
    assert all(message.startswith(b"OggS") for message in messages)
    samples = heard(b"".join(messages))
    assert len(samples) == 23_040
    assert np.corrcoef(samples[2400:-2400], TONE[2400 : 23_040 - 2400])[0, 1] > 0.98


def test_ogg_opus_message_pack() -> None:
    decoded = [msgspec.msgpack.decode(message) for message in sent(AudioFormat.OGG_OPUS_MESSAGE_PACK)]
    kinds = [message["type"] for message in decoded]
    assert kinds[:3] == ["Ready", "OggOpus", "Text"] and kinds[-2:] == ["Text", "Error"]
    data = [bytes(message["data"]) for message in decoded if message["type"] == "OggOpus"]
    assert b"".join(data) == b"".join(sent(AudioFormat.OGG_OPUS))
