"""All voices have one level: the tables of gains, the limit of peaks, and voices that are heard."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.kokoro_data.sentences import SENTENCES
from benchmarks.loudness import loudness
from kani.core.audio.level import LEVEL_LUFS, leveled
from kani.core.types import Segment
from kani.engines.espeak.engine import EspeakEngine
from kani.engines.kokoro.engine import KokoroEngine
from kani.engines.kokoro.voice_mix import voice_or_mix
from kani.engines.kokoro.voices import Voices

LOUD, QUIET = "if_sara", "am_michael"
PEAK_DB = -1.0


def test_peaks_are_bent_sample_by_sample() -> None:
    """Pieces give the samples of the whole, quiet ones are multiplied only, and none is at the limit."""
    samples = np.linspace(-3, 3, 1001, dtype=np.float32)
    whole = leveled(samples, 1.5)
    assert np.array_equal(np.concatenate([leveled(part, 1.5) for part in np.split(samples, [1, 400])]), whole)
    assert np.all(np.diff(whole) >= 0) and np.abs(whole).max() < 10 ** (PEAK_DB / 20)
    quiet = np.abs(samples) < 0.39
    assert np.array_equal(whole[quiet], samples[quiet] * np.float32(1.5))


def test_mix_has_gain_between_its_voices() -> None:
    voices = Voices()
    loud, quiet = voices.gain(LOUD), voices.gain(QUIET)
    assert loud < 0.6 and quiet > 1.3
    mix = voices.gain(voice_or_mix(f"{LOUD}(3)+{QUIET}(1)"))
    assert mix == pytest.approx(loud**0.75 * quiet**0.25)
    assert all(voices.gain(voice.id) != 1 for voice in voices.all if voice.language == "pt-BR")


@pytest.mark.parametrize(
    ("voice", "language", "light"),
    [(LOUD, "it", False), (QUIET, "en", False), ("ef_dora", "es", False), ("ef_dora", "es", True)],
)
async def test_kokoro_has_the_level_of_all_voices(
    engine: KokoroEngine, voice: str, language: str, light: bool
) -> None:
    segments = [Segment(text, voice, language, light=light) for text in SENTENCES[language][:3]]
    samples = [chunk.samples for segment in segments async for chunk in engine.synthesize(segment)]
    heard = loudness(np.concatenate(samples), 24_000)
    assert heard.lufs == pytest.approx(LEVEL_LUFS, abs=1.5) and heard.true_peak_db < PEAK_DB


@pytest.mark.parametrize("language", ["es", "fr"])
async def test_espeak_has_the_level_of_all_voices(language: str) -> None:
    engine = EspeakEngine()
    await engine.start()
    segment = Segment(" ".join(SENTENCES[language][:3]), f"espeak:{language}", language)
    samples = [chunk.samples async for chunk in engine.synthesize(segment)]
    await engine.stop()
    heard = loudness(np.concatenate(samples), engine.info.sample_rate)
    assert heard.lufs == pytest.approx(LEVEL_LUFS, abs=1.5) and heard.true_peak_db < PEAK_DB
