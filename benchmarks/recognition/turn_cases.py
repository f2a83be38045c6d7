"""Sentences with a pause inside, spoken by Kokoro, for the measurement of turns."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import accumulate, chain, islice, pairwise, product, zip_longest
from typing import Protocol

import numpy as np
import numpy.typing as npt
import soxr

from benchmarks.recognition.clips import (
    JUDGING_VOICES,
    SAMPLE_RATE,
    VOICES,
    judging_sentences,
    sentences,
)
from benchmarks.sentences import SPOKEN_TO_AN_ASSISTANT, TURNS_WITH_PAUSES
from kani.composition import settings
from kani.core.types import Samples, Segment
from kani.engines.kokoro.engine import KokoroEngine
from kani.engines.kokoro.settings import KokoroSettings
from kani.engines.plugin import Resources

LANGUAGES = ("es", "en")
TEXTS_OF_A_HALF = 25
"""Texts by language of the half that tunes, and of the half that judges."""

TURN_VOICES = {
    "es": ("ef_dora", "em_alex", "em_santa"),
    "en": ("af_bella", "am_michael", "bf_emma", "bm_george", "af_heart"),
    "fr": ("ff_siwis",),
    "it": ("if_sara", "im_nicola", "if_sara"),
    "pt": ("pf_dora", "pm_alex", "pm_santa"),
}
TEMPOS = (1.0, 0.85, 1.2, 1.0, 0.9, 1.1, 1.35)
"""Factors of the voices' own tempos, in turns."""

CUTS = 2
"""Cases of a text: the pause is in an earlier and in a later part of it."""

PAUSES_S = (0.3, 1.2)
"""Range of the silence that is put into a sentence."""

LONGER_PAUSES_S = (0.3, 1.5)
"""Range of the silence at unfinished places."""

PLACES = (0.3, 0.85)
"""Place of the pause, as a share of the sentence's words."""

BEFORE_S, AFTER_S = 0.5, 3.0
ROOM_DB = -65.0
"""Level of the noise of the room, relative to full scale."""

_AUDIBLE = 0.01  # of the loudest sample


Spoken = tuple[Samples, list[tuple[float, str]]]
"""Speech at 16 kHz, and its words, each with its end in seconds."""


class Speak(Protocol):
    """Speaks, in a language and by a voice, a text."""

    async def __call__(self, language: str, voice: str, text: str, speed: float = 1.0) -> Spoken:
        """Return the speech; speed: factor of the voice's own tempo."""


@dataclass(frozen=True, slots=True)
class Pause:
    """A silence within a turn, in seconds of the samples."""

    before: str  # the words before it
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """A turn with its pauses."""

    language: str
    voice: str
    samples: Samples  # 16 kHz
    pauses: tuple[Pause, ...]
    end_s: float  # last sound, in seconds of the samples


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
                last = _last_word(len(words), cut, random)
                parts = _cut(speech, words, (last,))
                made.append(case(language, voice, parts, PAUSES_S, random))
    return made


async def cases_of_places(count: int, *, judging: bool) -> list[Case]:
    """Return cases of one half with pauses at unfinished places, and some without; languages in turns.

    Every other turn is cut from a whole sentence; of the others, each part is spoken by itself.
    """
    made = []
    half = len(TURNS_WITH_PAUSES["es"]) // 2
    async with speaker() as speak:
        for at, language in islice(product(range(half), TURN_VOICES), count):
            written = TURNS_WITH_PAUSES[language][at + half * judging].split("|")
            voice = TURN_VOICES[language][at % len(TURN_VOICES[language])]
            speed = TEMPOS[at % len(TEMPOS)]
            random = np.random.default_rng((at, [*TURN_VOICES].index(language), judging, 2))
            if at % 2:
                spoken = [(await speak(language, voice, part.strip(), speed))[0] for part in written]
                parts = [*zip(map(_trimmed, spoken), map(str.strip, written), strict=True)]
            else:
                speech, words = await speak(language, voice, " ".join(map(str.strip, written)), speed)
                counts = accumulate(len(part.split()) for part in written)
                parts = _cut(speech, words, [words_so_far - 1 for words_so_far in counts][:-1])
            made.append(case(language, voice, parts, LONGER_PAUSES_S, random))
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

        async def speak_or_load(language: str, voice: str, text: str, speed: float = 1.0) -> Spoken:
            own = f"|{speed}" if speed != 1 else ""
            name = hashlib.sha256(f"{language}|{voice}|{text}{own}".encode()).hexdigest()[:24]
            kept = folder / f"{name}.pickle"
            if not kept.exists():
                if not started_once:
                    await engine.start()
                    started.push_async_callback(engine.stop)
                    started_once.append(True)
                kept.write_bytes(pickle.dumps(await speak(engine, language, voice, text, speed)))
            found: Spoken = pickle.loads(kept.read_bytes())
            return found

        started_once = list[bool]()
        yield speak_or_load


async def speak(engine: KokoroEngine, language: str, voice: str, text: str, speed: float = 1.0) -> Spoken:
    """Return speech at 16 kHz, and each word with its end in seconds."""
    chunks = [chunk async for chunk in engine.synthesize(Segment(text, voice, language, speed))]
    whole = np.concatenate([chunk.samples for chunk in chunks])
    samples = soxr.resample(whole, chunks[0].sample_rate, SAMPLE_RATE).astype(np.float32)
    words = [(span.end_s, text[span.start : span.end]) for chunk in chunks for span in chunk.spans]
    return samples, [(end_s, word) for end_s, word in words if word.strip()]


Part = tuple[Samples, str]
"""Speech between two pauses, and its words."""


def case(
    language: str,
    voice: str,
    parts: Sequence[Part],
    pauses_s: tuple[float, float],
    random: np.random.Generator,
) -> Case:
    """Put silence of a length within ``pauses_s`` between the parts of a turn."""
    pieces, pauses, now_s = [_silence(BEFORE_S)], list[Pause](), BEFORE_S
    for at, (speech, words) in enumerate(parts):
        speech = _faded(speech, 1) if at else speech
        now_s += len(speech) / SAMPLE_RATE
        if at == len(parts) - 1:
            pieces.append(speech)
            break
        pieces += _faded(speech, -1), _silence(random.uniform(*pauses_s))
        pauses.append(Pause(words, now_s, now_s := now_s + len(pieces[-1]) / SAMPLE_RATE))
    samples = np.concatenate([*pieces, _silence(AFTER_S)])
    end = int(_audible(samples)[-1])
    noise = random.standard_normal(len(samples)).astype(np.float32) * np.float32(10 ** (ROOM_DB / 20))
    return Case(language, voice, samples + noise, tuple(pauses), end / SAMPLE_RATE)


def _last_word(words: int, part: int, random: np.random.Generator) -> int:
    """Return the place of the word before a pause, in one of ``CUTS`` parts of a sentence."""
    low, high = PLACES[0] + (PLACES[1] - PLACES[0]) * np.array((part, part + 1)) / CUTS
    return int(np.clip(round(random.uniform(low, high) * words), 1, words - 1)) - 1


def _cut(speech: Samples, words: list[tuple[float, str]], lasts: Sequence[int]) -> list[Part]:
    """Cut speech after each of ``lasts``, places of words."""
    bounds = pairwise((0, *(last + 1 for last in lasts), None))
    said = [" ".join(word.strip() for _, word in words[begin:end]) for begin, end in bounds]
    places = [round(words[last][0] * SAMPLE_RATE) for last in lasts]
    return [*zip(np.split(speech, places), said, strict=True)]


def _silence(length_s: float) -> Samples:
    return np.zeros(round(length_s * SAMPLE_RATE), np.float32)


def _audible(samples: Samples) -> npt.NDArray[np.intp]:
    return np.flatnonzero(np.abs(samples) > _AUDIBLE * np.abs(samples).max())


def _trimmed(samples: Samples) -> Samples:
    heard = _audible(samples)
    return samples[heard[0] : heard[-1] + 1]


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
