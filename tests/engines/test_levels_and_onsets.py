"""All voices have one level, with peaks that are limited; first consonants are heard as written."""

import numpy as np
import pytest

from kani.core.audio.pcm import LEVEL_LUFS, leveled
from kani.core.types import Segment
from kani.engines.espeak.engine import EspeakEngine
from kani.engines.kokoro.engine import KokoroEngine
from kani.engines.kokoro.lead_in import with_beginning, with_rise
from kani.engines.kokoro.network.parts import PredictedProsody
from kani.engines.kokoro.text.phonemes import Utterance, Word
from kani.engines.kokoro.voices import Voices, voice_or_mix
from tests.engines.packages.life import started
from tests.judges.judge import hear, words_of
from tools.kokoro_data.sentences import SENTENCES
from tools.loudness import loudness

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
    [
        *((LOUD, "it", False), (QUIET, "en", False), ("ef_dora", "es", False), ("ef_dora", "es", True)),
        *(("espeak:es", "es", False), ("espeak:fr", "fr", False)),
    ],
)
async def test_voice_has_the_level_of_all(
    engine: KokoroEngine, voice: str, language: str, light: bool
) -> None:
    async with started(EspeakEngine()) as espeak:
        speaker = espeak if voice.startswith("espeak") else engine
        segments = [Segment(text, voice, language, light=light) for text in SENTENCES[language][:3]]
        samples = [chunk.samples for segment in segments async for chunk in speaker.synthesize(segment)]
        heard = loudness(np.concatenate(samples), speaker.info.sample_rate)
    assert heard.lufs == pytest.approx(LEVEL_LUFS, abs=1.5) and heard.true_peak_db < PEAK_DB


def test_first_consonant_is_longer_and_words_keep_their_symbols() -> None:
    plain = Utterance("“bˌaxo la.", (Word(0, 4, 1, 6, (1, 3, 4, 5)), Word(5, 7, 7, 9)))
    words = Word(0, 4, 1, 7, (1, 4, 5, 6)), Word(5, 7, 8, 10)
    assert with_beginning(plain, "es-MX") == Utterance("“mbˌaxo la.", words)
    assert with_beginning(plain, "en") is plain
    assert with_beginning(Utterance("pˈan.", ()), "es").symbols == "pˈan."
    assert with_beginning(Utterance("mˈeza.", ()), "pt-BR").symbols == "mmˈeza."


def test_beginning_rises() -> None:
    """Voice does before a trilled r: its pitch, and energy that grows. A nasal becomes louder."""
    energy, pitch = np.append(np.full(12, -9.0), [6, 7, 8, 8]), np.append(np.zeros(13), [150, 160, 170])
    curves = [curve[np.newaxis].astype(np.float32) for curve in (pitch, energy)]
    flat = PredictedProsody(np.zeros((1, 1, 16), np.float32), *curves, np.array([6, 4]), 5.0)
    risen = with_rise(flat, "rˈoxo.", "es")
    assert np.array_equal(np.delete(risen.energy[0], range(4, 12)), np.delete(energy, range(4, 12)))
    assert np.all(np.diff(risen.energy[0, 3:13]) > 0) and np.all(risen.pitch[0, 4:13] == 150)
    assert with_rise(flat, "mmˈeza.", "pt") is with_rise(flat, "rˈoxo.", "it") is flat
    assert with_rise(flat, "mbˈoæ.", "pt-BR").gain == pytest.approx([0] * 13 + [1 / 9, 4 / 9, 1])


@pytest.mark.parametrize(
    ("text", "voice", "language", "light"),
    [
        ("Rojo es el color de su coche.", "ef_dora", "es", False),
        ("Guarda los libros en el armario.", "em_alex", "es", False),
        ("Bajo la mesa duerme el gato.", "ef_dora", "es", True),
        ("Ganamos el partido por dos goles.", "ef_dora", "es", True),
        ("Menina, venha jantar agora.", "pm_alex", "pt", False),
        ("Bananas e laranjas estão na mesa.", "pm_alex", "pt", False),
        ("Ganhei um presente do meu tio.", "pf_dora", "pt", True),
    ],
)
async def test_word_is_heard(engine: KokoroEngine, text: str, voice: str, language: str, light: bool) -> None:
    segment = Segment(text, voice, language, light=light)
    samples = np.concatenate([chunk.samples async for chunk in engine.synthesize(segment)])
    assert words_of(hear(samples, 24_000, language), language)[0] == words_of(text, language)[0]
