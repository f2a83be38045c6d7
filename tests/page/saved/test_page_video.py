"""Saved sound and video are what was heard: its samples, and the words that are lit over the waveform."""

import io
import json
import wave
from typing import Any

import av
import numpy as np
import pytest
from playwright.sync_api import Page, expect

from tests.page.conftest import TEXT, Visit, in_both
from tests.page.node import run
from tests.page.visitor import Visitor

FRAMES = {"mp3": 576, "opus": 960}
"""Samples of a frame at the file's rate: an MP3's at 24 kHz and below, 20 ms of Opus."""

EXACT_S = 4.0


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


def decoded(file: bytes) -> tuple[np.ndarray, int]:
    """Samples in [-1, 1] as a player plays them, and their rate in hertz."""
    with av.open(io.BytesIO(file), "r") as container:
        mono = av.AudioResampler("flt", "mono")
        made = [one.to_ndarray()[0] for frame in container.decode(audio=0) for one in mono.resample(frame)]
        return np.concatenate(made), container.streams.audio[0].codec_context.sample_rate


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
        samples, rate = decoded(file)
        # Encoded, not recorded: no moment before the sound, nor after it.
        with av.open(io.BytesIO(file)) as video:
            frames = list(video.decode(video=0))
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


@in_both
@pytest.mark.parametrize(
    "hindrance",
    [
        "VideoEncoder.prototype.encode = () => { throw new DOMException('', 'EncodingError'); }",
        "HTMLCanvasElement.prototype.getContext = () => null",
    ],
    ids=["an encoder that fails", "no canvas"],
)
def test_video_that_cannot_be_encoded_is_told_of(visitor: Visitor, hindrance: str) -> None:
    visitor.say(TEXT, "en")
    problem = visitor.page.locator("#problem")
    visitor.page.evaluate(f"() => {{ {hindrance}; }}")
    # Another one may be tried.
    for shape in SHAPES:
        visitor.unfold(f"#{shape}")
        visitor.page.click(f"#{shape}")
        expect(problem).to_have_text("This browser cannot make videos, or only over https.")
        expect(visitor.page.locator("#status")).to_have_text("")
        problem.evaluate("(problem) => { problem.textContent = ''; }")


@pytest.mark.parametrize("encoder", ["VideoEncoder", "AudioEncoder"])
def test_videos_are_offered_where_the_browser_has_encoders(visit: Visit, encoder: str) -> None:
    visitor = visit(ready=False)
    visitor.page.add_init_script(f"delete window.{encoder}")
    visitor.arrive()
    visitor.say(TEXT, "en")
    visitor.unfold("#square")
    expect(visitor.page.locator("#mp3")).to_be_visible()
    for shape in SHAPES:
        expect(visitor.page.locator(f"#{shape}")).to_be_hidden()


def test_a_file_that_a_dead_line_never_brings_is_given_up(visitor: Visitor, page: Page) -> None:
    visitor.say(TEXT, "en")
    page.evaluate("AbortSignal.timeout = () => AbortSignal.abort()")
    visitor.unfold("#mp3")
    page.click("#mp3")
    expect(page.locator("#problem")).to_have_text("It took too long and was ended. Try a shorter text.")
    expect(page.locator("#status")).to_have_text("")


LIMIT_S = """
  globalThis.document = { baseURI: "http://localhost/" };
  globalThis.fetch = async () => new Response("");
  let limit;
  AbortSignal.timeout = (ms) => void (limit = ms);
  await m.server.audioFile({ pieces: [], sampleRate: 24000, seconds: a[0] }, "mp3");
  return limit / 1000;
"""


def test_an_hour_may_take_an_hour_to_be_encoded() -> None:
    assert run("server.js", LIMIT_S, 3) < 200
    assert run("server.js", LIMIT_S, 3600) > 3600


def spectra(samples: np.ndarray, rate: int) -> np.ndarray:
    """The loudness of each 20 ms below 6 kHz, in decibels, one row each."""
    each = rate // 50
    whole = samples[: len(samples) // each * each].reshape(-1, each) * np.hanning(each)
    return np.asarray(10 * np.log10(np.abs(np.fft.rfft(whole))[:, : 6000 // 50] ** 2 / rate**2 + 1e-12))


@pytest.mark.parametrize("kind", list(FRAMES))
def test_a_compressed_file_is_what_was_heard(visitor: Visitor, page: Page, kind: str) -> None:
    """With a pronunciation, an exact length and a second emotion, which no other interface takes."""
    visitor.unfold("#parameter-fields")
    visitor.wait_for("#parameter-lexicon")
    visitor.feel("excited")
    page.select_option("#parameter-blend", "sad")
    page.fill("#parameter-lexicon", "Kani = wonderful strawberry")
    page.fill("#parameter-duration", str(EXACT_S))
    visitor.say("Kani is here, and Kani will stay with us.", "en")
    assert visitor.text("#problem") == ""
    sent = visitor.requests[-1]
    assert sent["lexicon"] and sent["duration"] and "," in sent["emotion"]
    rate = visitor.frames[0].metadata["sample_rate"]
    heard = np.frombuffer(visitor.pcm(), "<i2") / 32768
    assert abs(len(heard) / rate - EXACT_S) < 0.1
    samples, file_rate = decoded(visitor.download(f"#{kind}"))
    assert abs(len(samples) / file_rate - len(heard) / rate) <= FRAMES[kind] / file_rate
    # The same words at the same times: nothing was spoken anew.
    saved, known = spectra(samples, file_rate), spectra(heard, rate)
    most = min(len(saved), len(known))
    assert np.corrcoef(saved[:most].ravel(), known[:most].ravel())[0, 1] > 0.9
    assert len(visitor.requests) == 1
