"""The video of a result: the words that are lit over the waveform, with the sound."""

import io
import json
import wave
from typing import Any

import av
import numpy as np
import pytest
from playwright.sync_api import Page

from tests.page.conftest import TEXT, in_both
from tests.page.visitor import Visitor

SHAPES = {"square": (1080, 1080), "wide": (1920, 1080)}
ENVELOPE_S = 0.01
ENCODERS = "() => 'VideoEncoder' in window && 'AudioEncoder' in window"
MARKER = "() => getComputedStyle(document.documentElement).getPropertyValue('--marker').trim()"


def envelope(samples: np.ndarray[Any, Any], rate: int) -> np.ndarray[Any, Any]:
    each = round(rate * ENVELOPE_S)
    whole = samples[: len(samples) // each * each].astype(float).reshape(-1, each)
    return np.sqrt((whole**2).mean(axis=1))


def likeness(one: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> float:
    """Correlation of two envelopes, which begin together."""
    length = min(len(one), len(other))
    return float(np.corrcoef(one[:length], other[:length])[0, 1])


def decoded(file: bytes) -> tuple[list[av.VideoFrame], np.ndarray[Any, Any], int]:
    with av.open(io.BytesIO(file)) as video:
        frames = list(video.decode(video=0))
    with av.open(io.BytesIO(file)) as video:
        rate = video.streams.audio[0].rate
        mono = av.AudioResampler("flt", "mono")
        pieces = [made.to_ndarray()[0] for frame in video.decode(audio=0) for made in mono.resample(frame)]
    return frames, np.concatenate(pieces), rate


@in_both
def test_videos_are_encoded_with_the_words_that_are_heard(spoken: Visitor) -> None:
    visitor = spoken
    if not visitor.page.evaluate(ENCODERS):
        pytest.skip("this browser has no encoders")
    with wave.open(io.BytesIO(visitor.download())) as saved:
        heard = np.frombuffer(saved.readframes(saved.getnframes()), "<i2")
        heard_rate = saved.getframerate()
    words = json.loads(visitor.download("#json"))["words"]
    marker = visitor.page.evaluate(MARKER).lstrip("#")
    colour = [int(marker[n : n + 2], 16) for n in (0, 2, 4)]
    for shape, size in SHAPES.items():
        file = visitor.download(f"#{shape}")
        assert visitor.text("#problem") == ""
        frames, samples, rate = decoded(file)
        # Encoded, not recorded: no moment before the sound, nor after it.
        with av.open(io.BytesIO(file)) as video:
            assert video.duration == pytest.approx(1e6 * len(heard) / heard_rate, abs=1e5)
        assert likeness(envelope(samples, rate), envelope(heard, heard_rate)) > 0.95

        places = []
        for word in words:
            middle = (word["start"] + word["end"]) / 2
            shown = [frame for frame in frames if frame.time is not None and frame.time <= middle][-1]
            assert (shown.width, shown.height) == size
            lit = np.abs(shown.to_ndarray(format="rgb24").astype(int) - colour).max(axis=2) < 24
            rows, columns = np.nonzero(lit)
            assert len(rows) > 1000, word
            places.append((round(rows.mean(), -2), columns.mean()))
        # One line after the other, from left to right.
        assert len(words) == 6 and places == sorted(places)


@pytest.mark.parametrize(
    ("text", "runs"),
    [
        ("at*| |9:45*|.| |(|Yes*|!|)", "at*/ /9:45*./ /(Yes*!)"),
        ("太陽*|が*|出*|。|「|はい*|」", "太陽*/が*/出*。/「はい*」"),
        ("¿|Qué*|?| |—|No*|…", "¿Qué*?/ /—No*…"),
    ],
)
def test_marks_stay_with_their_words(modules: Page, text: str, runs: str) -> None:
    """The tokens of a text, an asterisk after each word."""
    script = """async (texts) => {
      const { runs } = await import("/static/video-picture.js");
      const made = runs(texts.map((text) => ({ text, from: 0, to: text.endsWith("*") ? 1 : 0 })));
      return made.map(({ tokens }) => tokens.map(({ text }) => text).join("")).join("/");
    }"""
    assert modules.evaluate(script, text.split("|")) == runs


@in_both
@pytest.mark.parametrize(
    "hindrance",
    [
        "delete window.VideoEncoder",
        "() => { VideoEncoder.prototype.encode = () => { throw new DOMException('', 'EncodingError'); }; }",
    ],
    ids=["no encoder", "an encoder that fails"],
)
def test_video_is_recorded_where_it_cannot_be_encoded(visitor: Visitor, hindrance: str) -> None:
    visitor.say(TEXT, "en")
    visitor.page.evaluate(hindrance)
    frames, samples, _ = decoded(visitor.download("#square"))
    # A busy machine draws few pictures in the time of the sound.
    assert frames and np.abs(samples).max() > 0.1
    assert visitor.text("#problem") == ""
