"""Sentences with a pause inside, spoken by Kokoro, for the measurement of turns."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import chain, islice, product, zip_longest

import numpy as np
import soxr

from benchmarks.recognition.clips import (
    JUDGING_VOICES,
    SAMPLE_RATE,
    VOICES,
    judging_sentences,
    sentences,
)
from benchmarks.sentences import SPOKEN_TO_AN_ASSISTANT
from kani.composition import settings
from kani.core.types import Samples, Segment
from kani.engines.kokoro.engine import KokoroEngine
from kani.engines.kokoro.settings import KokoroSettings
from kani.engines.plugin import Resources

LANGUAGES = ("es", "en")
TEXTS_OF_A_HALF = 25
"""Texts by language of the half that tunes, and of the half that judges."""

CUTS = 2
"""Cases of a text: the pause is in an earlier and in a later part of it."""

PAUSES_S = (0.3, 1.2)
"""Range of the silence that is put into a sentence."""

PLACES = (0.3, 0.85)
"""Place of the pause, as a share of the sentence's words."""

BEFORE_S, AFTER_S = 0.5, 3.0
ROOM_DB = -65.0
"""Level of the noise of the room, relative to full scale."""

_AUDIBLE = 0.01  # of the loudest sample


Spoken = tuple[Samples, list[tuple[float, str]]]
"""Speech at 16 kHz, and its words, each with its end in seconds."""

Speak = Callable[[str, str, str], Awaitable[Spoken]]
"""Speaks, in a language and by a voice, a text."""


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """A sentence with a pause inside. Times are in seconds of its samples."""

    language: str
    voice: str
    text: str
    before: str  # its words before the pause
    samples: Samples  # 16 kHz
    pause_s: tuple[float, float]
    end_s: float  # last sound


def texts(language: str, *, judging: bool) -> list[str]:
    """Return the texts of one half."""
    spoken = SPOKEN_TO_AN_ASSISTANT[language]
    half = len(spoken) // 2
    written = judging_sentences(language) if judging else sentences(language)
    own = spoken[half:] if judging else spoken[:half]
    mixed = [text for text in chain(*zip_longest(own, written)) if text is not None]
    return mixed[:TEXTS_OF_A_HALF]


async def cases(count: int, *, judging: bool) -> list[Case]:
    """Return cases of one half, languages in turns; the speech is cached between runs."""
    voices = JUDGING_VOICES if judging else VOICES
    made = []
    async with speaker() as speak:
        for at, language in islice(product(range(TEXTS_OF_A_HALF), LANGUAGES), count // CUTS):
            text = texts(language, judging=judging)[at]
            voice = voices[language][at % len(voices[language])]
            speech, words = await speak(language, voice, text)
            for cut in range(CUTS):
                random = np.random.default_rng((at, LANGUAGES.index(language), judging, cut))
                made.append(case(language, voice, text, speech, words, cut, random))
    return made


@asynccontextmanager
async def speaker() -> AsyncIterator[Speak]:
    """Yield a function that speaks a text, or takes it from the cache; Kokoro starts when it is needed."""
    cache_dir = settings.Settings().cache_dir
    # In the user's own folder, as unpickling foreign files is unsafe.
    folder = cache_dir / "benchmark-turns"
    folder.mkdir(parents=True, exist_ok=True)
    engine = KokoroEngine(KokoroSettings(), Resources(cache_dir))
    async with AsyncExitStack() as started:

        async def speak_or_load(language: str, voice: str, text: str) -> Spoken:
            name = hashlib.sha256(f"{language}|{voice}|{text}".encode()).hexdigest()[:24]
            kept = folder / f"{name}.pickle"
            if not kept.exists():
                if not started_once:
                    await engine.start()
                    started.push_async_callback(engine.stop)
                    started_once.append(True)
                kept.write_bytes(pickle.dumps(await speak(engine, language, voice, text)))
            found: Spoken = pickle.loads(kept.read_bytes())
            return found

        started_once = list[bool]()
        yield speak_or_load


async def speak(engine: KokoroEngine, language: str, voice: str, text: str) -> Spoken:
    """Return speech at 16 kHz, and each word with its end in seconds."""
    chunks = [chunk async for chunk in engine.synthesize(Segment(text, voice, language))]
    whole = np.concatenate([chunk.samples for chunk in chunks])
    samples = soxr.resample(whole, chunks[0].sample_rate, SAMPLE_RATE).astype(np.float32)
    words = [(span.end_s, text[span.start : span.end]) for chunk in chunks for span in chunk.spans]
    return samples, [(end_s, word) for end_s, word in words if word.strip()]


def case(
    language: str,
    voice: str,
    text: str,
    speech: Samples,
    words: list[tuple[float, str]],
    part: int,
    random: np.random.Generator,
) -> Case:
    """Put silence after one of the words, in one of ``CUTS`` parts of the sentence."""
    low, high = PLACES[0] + (PLACES[1] - PLACES[0]) * np.array((part, part + 1)) / CUTS
    last = int(np.clip(round(random.uniform(low, high) * len(words)), 1, len(words) - 1)) - 1
    cut = round(words[last][0] * SAMPLE_RATE)
    length = round(random.uniform(*PAUSES_S) * SAMPLE_RATE)
    before, after = (np.zeros(round(seconds * SAMPLE_RATE), np.float32) for seconds in (BEFORE_S, AFTER_S))
    pieces = [before, _faded(speech[:cut], -1), np.zeros(length, np.float32), _faded(speech[cut:], 1), after]
    samples = np.concatenate(pieces)
    end = int(np.flatnonzero(np.abs(samples) > _AUDIBLE * np.abs(samples).max())[-1])
    noise = random.standard_normal(len(samples)).astype(np.float32) * np.float32(10 ** (ROOM_DB / 20))
    start_s = BEFORE_S + cut / SAMPLE_RATE
    said = " ".join(word.strip() for _, word in words[: last + 1])
    return Case(
        language,
        voice,
        text,
        said,
        samples + noise,
        (start_s, start_s + length / SAMPLE_RATE),
        end / SAMPLE_RATE,
    )


def _faded(samples: Samples, direction: int) -> Samples:
    """Return the samples with a fade of 10 ms: -1 at their end, 1 at their start."""
    faded, length = samples.copy(), min(len(samples), SAMPLE_RATE // 100)
    if length:
        ramp = np.linspace(0, 1, length, dtype=np.float32)
        if direction > 0:
            faded[:length] *= ramp
        else:
            faded[-length:] *= ramp[::-1]
    return faded
