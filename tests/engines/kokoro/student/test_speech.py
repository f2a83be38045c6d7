"""Speech of the students that ship: understood, as loud as Kokoro, emotional, and while text is written."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.kokoro.measures import long_pauses, pitch
from kani.core.audio.prosody_filter import split_prosody
from kani.core.emotions import EMOTIONS
from kani.core.types import Prosody, Samples
from kani.engines.kokoro.engine import KokoroEngine
from kani.engines.kokoro.incremental import PieceTiming
from kani.engines.kokoro.network.onnx_model import SAMPLE_RATE
from kani.engines.kokoro.pitch_control import NATIVE_PROSODY_FIELDS
from kani.engines.kokoro.timing import speech_level
from tests.engines.kokoro.student.spoken import STUDENTS, Spoken
from tests.judges.judge import hear, word_error_rate, wrong_words


@pytest.fixture(params=STUDENTS)
def spoken(request: pytest.FixtureRequest) -> Spoken:
    return STUDENTS[request.param]


async def test_speech_is_as_loud_as_kokoros(student: KokoroEngine, spoken: Spoken) -> None:
    """Its voice is the same one, so a session by either is to be as loud as the other."""
    (facts,) = (each for each in student._synthesizer.facts if each.voice == spoken.voice)  # type: ignore[attr-defined]
    levels = [speech_level((await spoken.say(student, text))[0]) for text in (spoken.text, *spoken.written)]
    gained = facts.level * student._voices.gain(spoken.voice) ** 2
    assert 10 * np.log10(np.mean(levels) / gained) == pytest.approx(0, abs=1.5)


@pytest.mark.heard
@pytest.mark.parametrize("speed", [1.0, 0.8])
async def test_speech_is_understood(student: KokoroEngine, spoken: Spoken, speed: float) -> None:
    text = spoken.written[0]
    samples, _ = await spoken.say(student, text, speed=speed)
    heard = hear(samples, SAMPLE_RATE, spoken.language)
    assert word_error_rate(text, heard, spoken.language) <= 0.05, heard


@pytest.mark.parametrize("spare_s", [0.0, 1.0])
async def test_text_that_is_being_written_is_as_long_as_whole_without_new_pauses(
    student: KokoroEngine, spoken: Spoken, monkeypatch: pytest.MonkeyPatch, spare_s: float
) -> None:
    """With and without audio left at the listener, so that pieces of one word to five are spoken."""
    monkeypatch.setattr(PieceTiming, "spare_s", spare_s)
    lengths = np.zeros(2)
    for text in spoken.written:
        (samples, spans), (whole, _) = await spoken.write(student, text), await spoken.say(student, text)
        assert len(spans) == len(text.split())
        assert long_pauses(samples) <= long_pauses(whole)
        lengths += len(samples), len(whole)
    assert 0.97 <= lengths[0] / lengths[1] <= 1.05


@pytest.mark.heard
@pytest.mark.parametrize("spare_s", [0.0, 1.0])
async def test_text_that_is_being_written_is_understood_as_whole(
    student: KokoroEngine, spoken: Spoken, monkeypatch: pytest.MonkeyPatch, spare_s: float
) -> None:
    monkeypatch.setattr(PieceTiming, "spare_s", spare_s)
    wrong = np.zeros(2, int)
    for text in spoken.written:
        both = await spoken.write(student, text), await spoken.say(student, text)
        for at, (samples, _) in enumerate(both):
            # Whisper goes on by itself after speech without any silence at its end.
            heard = hear(np.pad(samples, (0, SAMPLE_RATE // 2)), SAMPLE_RATE, spoken.language)
            wrong[at] += wrong_words(text, heard, spoken.language)[0]
    assert wrong[0] <= wrong[1], wrong


def emotional(emotion: str) -> Prosody:
    """The part of an emotion that the engine renders itself."""
    return split_prosody(EMOTIONS[emotion], NATIVE_PROSODY_FIELDS)[0]


async def test_emotions_are_apart(student: KokoroEngine, spoken: Spoken) -> None:
    level, spread = _semitones((await spoken.say(student, spoken.text))[0])
    levels = [level]
    for emotion in ("sad", "happy", "excited"):
        wanted = emotional(emotion)
        own_level, own_spread = _semitones((await spoken.say(student, spoken.text, prosody=wanted))[0])
        assert own_level - level == pytest.approx(wanted.pitch, abs=0.7)
        assert (own_spread > spread) == (wanted.pitch_range > 1)
        levels.append(own_level)
    assert np.diff(sorted(levels)).min() > 0.3


@pytest.mark.heard
@pytest.mark.parametrize("emotion", ["happy", "excited", "sad"])
async def test_emotions_are_understood(student: KokoroEngine, spoken: Spoken, emotion: str) -> None:
    changed, _ = await spoken.say(student, spoken.text, prosody=emotional(emotion))
    heard = hear(changed, SAMPLE_RATE, spoken.language)
    assert word_error_rate(spoken.text, heard, spoken.language) <= 0.06, heard


def _semitones(samples: Samples) -> tuple[float, float]:
    found = pitch(samples)
    low, middle, high = np.percentile(12 * np.log2(found[~np.isnan(found)]), (10, 50, 90))
    return float(middle), float(high - low)
