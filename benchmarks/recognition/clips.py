"""Clips for the recogniser with known words and times: Kokoro's sentences, with pauses between."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr

from benchmarks.sentences import (
    ABOUT_4_S,
    ABOUT_7_S,
    EVERYDAY,
    HELD_OUT,
    WITH_EARLY_PHRASE,
    WITHOUT_EARLY_PHRASE,
    WITHOUT_INNER_MARK,
)
from kani.composition import settings
from kani.core.types import Samples, Segment
from kani.engines.kokoro.engine import KokoroEngine
from kani.engines.kokoro.settings import KokoroSettings
from kani.engines.plugin import Resources

SAMPLE_RATE = 16_000

Voices = Mapping[str, Sequence[str]]
Texts = Mapping[str, Sequence[str]]
"""Voices and sentences by language."""

VOICES = {
    "es": ("ef_dora", "em_alex", "em_santa"),
    "en": ("af_heart", "am_michael", "bf_emma"),
    "fr": ("ff_siwis",),
}
LANGUAGES = tuple(VOICES)

JUDGING_VOICES = {**VOICES, "en": ("af_bella", "am_fenrir", "bm_george")}
"""Voices of the clips for judging: English ones that tune nothing; the other languages have no others."""

SENTENCES_A_CLIP = 4
PAUSES_S = (0.4, 2.0)
"""Range of the silence between two sentences, in seconds."""

BEFORE_S, BEHIND_S = 0.7, 1.5


@dataclass(frozen=True, slots=True)
class SpokenWord:
    """A written word, with its times in seconds of the clip."""

    text: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """Some sentences of one voice."""

    language: str
    voice: str
    samples: Samples  # 16 kHz
    words: tuple[SpokenWord, ...]
    sentences: tuple[tuple[float, float], ...]  # start and end of each, in seconds

    @property
    def text(self) -> str:
        """The words of the clip."""
        return " ".join(word.text for word in self.words)

    @property
    def duration_s(self) -> float:
        """Length of the clip in seconds."""
        return len(self.samples) / SAMPLE_RATE


def sentences(language: str) -> list[str]:
    """Return long and short sentences in turns; none is held out, as the recogniser is tuned on these."""
    groups = (ABOUT_7_S, ABOUT_4_S, WITHOUT_INNER_MARK, WITH_EARLY_PHRASE, WITHOUT_EARLY_PHRASE)
    columns = [group[language] for group in groups if language in group]
    return [text for row in zip(*columns, strict=False) for text in row]


def judging_sentences(language: str) -> list[str]:
    """Return sentences on which the recogniser is not tuned."""
    return [*HELD_OUT.get(language, ()), *EVERYDAY[language]]


async def clips(words: int) -> list[Clip]:
    """Return clips with at least ``words`` words in each language; cached between runs."""
    return await _kept_or_made(words, VOICES, {language: sentences(language) for language in LANGUAGES})


async def judging_clips(words: int) -> list[Clip]:
    """Return clips like those of ``clips``, but of speech on which the recogniser is not tuned."""
    texts = {language: judging_sentences(language) for language in LANGUAGES}
    return await _kept_or_made(words, JUDGING_VOICES, texts)


async def _kept_or_made(words: int, voices: Voices, texts: Texts) -> list[Clip]:
    kept = _kept(words, voices, texts)
    return pickle.loads(kept.read_bytes()) if kept.exists() else await _made(words, voices, texts, kept)


def _kept(words: int, voices: Voices, by_language: Texts) -> Path:
    parameters = repr((words, voices, SENTENCES_A_CLIP, PAUSES_S, BEFORE_S, BEHIND_S))
    texts = repr(list(by_language.values()))
    name = hashlib.sha256((parameters + texts).encode()).hexdigest()[:16]
    # In the user's own folder, as unpickling foreign files is unsafe.
    return settings.Settings().cache_dir / f"benchmark-listening-{name}.pickle"


async def _made(words: int, voices: Voices, by_language: Texts, kept: Path) -> list[Clip]:
    cache_dir = settings.Settings().cache_dir
    engine = KokoroEngine(KokoroSettings(), Resources(cache_dir))
    await engine.start()
    made = []
    for language in LANGUAGES:
        texts, said, number = by_language[language], 0, 0
        while said < words:
            first = number * SENTENCES_A_CLIP
            some = [texts[at % len(texts)] for at in range(first, first + SENTENCES_A_CLIP)]
            voice = voices[language][number % len(voices[language])]
            clip = await _clip(engine, language, voice, some, np.random.default_rng(number))
            made.append(clip)
            said += len(clip.words)
            number += 1
    await engine.stop()
    # Languages in turns, so that the first clips cover all of them.
    made = [made[at] for at in sorted(range(len(made)), key=lambda at: _turn(made, at))]
    kept.write_bytes(pickle.dumps(made))  # noqa: ASYNC240
    return made


def _turn(made: list[Clip], at: int) -> int:
    return sum(other.language == made[at].language for other in made[:at])


async def _clip(
    engine: KokoroEngine, language: str, voice: str, texts: list[str], random: np.random.Generator
) -> Clip:
    pieces = [np.zeros(int(BEFORE_S * SAMPLE_RATE), np.float32)]
    words, spoken, at = list[SpokenWord](), list[tuple[float, float]](), len(pieces[0])
    for text in texts:
        chunks = [chunk async for chunk in engine.synthesize(Segment(text, voice, language))]
        whole = np.concatenate([chunk.samples for chunk in chunks])
        samples = soxr.resample(whole, chunks[0].sample_rate, SAMPLE_RATE).astype(np.float32)
        begun_s = at / SAMPLE_RATE
        for chunk in chunks:
            for span in chunk.spans:
                own = text[span.start : span.end].strip()
                words.append(SpokenWord(own, begun_s + span.start_s, begun_s + span.end_s))
        spoken.append((begun_s, begun_s + len(samples) / SAMPLE_RATE))
        silence = np.zeros(int(random.uniform(*PAUSES_S) * SAMPLE_RATE), np.float32)
        pieces += [samples, silence]
        at += len(samples) + len(silence)
    pieces.append(np.zeros(int(BEHIND_S * SAMPLE_RATE), np.float32))
    return Clip(language, voice, np.concatenate(pieces), tuple(words), tuple(spoken))


def with_noise(samples: Samples, decibels: float, seed: int) -> Samples:
    """Add white noise, ``decibels`` below the power of the speech."""
    speech = samples[np.abs(samples) > 0.01]
    power = float(np.mean(np.square(speech)))
    noise = np.random.default_rng(seed).standard_normal(len(samples)).astype(np.float32)
    return samples + noise * np.float32(np.sqrt(power / 10 ** (decibels / 10)))
