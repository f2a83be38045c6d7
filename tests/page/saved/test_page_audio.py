"""A saved file is what was heard: its samples, whatever was chosen for them."""

import io

import av
import numpy as np
import pytest

from tests.page.visitor import Visitor

FRAMES = {"mp3": 576, "opus": 960}
"""Samples of a frame at the file's rate: an MP3's at 24 kHz and below, 20 ms of Opus."""

EXACT_S = 4.0


def decoded(file: bytes) -> tuple[np.ndarray, int]:
    """Samples in [-1, 1] as a player plays them, and their rate in hertz."""
    with av.open(io.BytesIO(file), "r") as container:
        mono = av.AudioResampler("flt", "mono")
        made = [one.to_ndarray()[0] for frame in container.decode(audio=0) for one in mono.resample(frame)]
        return np.concatenate(made), container.streams.audio[0].codec_context.sample_rate


def spectra(samples: np.ndarray, rate: int) -> np.ndarray:
    """The loudness of each 20 ms below 6 kHz, in decibels, one row each."""
    each = rate // 50
    whole = samples[: len(samples) // each * each].reshape(-1, each) * np.hanning(each)
    return np.asarray(10 * np.log10(np.abs(np.fft.rfft(whole))[:, : 6000 // 50] ** 2 / rate**2 + 1e-12))


@pytest.mark.parametrize("kind", list(FRAMES))
def test_a_compressed_file_is_what_was_heard(visitor: Visitor, kind: str) -> None:
    """With a pronunciation, an exact length and a second emotion, which no other interface takes."""
    page = visitor.page
    visitor.unfold("#parameter-fields")
    visitor.wait_for("#parameter-lexicon")
    visitor.feel("excited")
    page.select_option("#parameter-blend", "sad")
    page.fill("#parameter-lexicon", "Kani = wonderful strawberry")
    page.fill("#parameter-duration", str(EXACT_S))
    visitor.speak("Kani is here, and Kani will stay with us.", "en")
    visitor.wait_for_end()
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
