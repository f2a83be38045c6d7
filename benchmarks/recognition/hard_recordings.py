"""Recordings that recognisers repeat or lose words of: joined, repeated and accented speech of Kokoro.

Made by a fixed seed from ``utterances``; each utterance is synthesised once and kept between runs.
"""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr

from benchmarks.recognition.utterances import COUNTS, TUNING, UTTERANCES, Utterance
from kani.composition import settings
from kani.core.types import Samples, Segment
from kani.engines.kokoro.engine import KokoroEngine
from kani.engines.kokoro.settings import KokoroSettings
from kani.engines.kokoro.voices import Voices
from kani.engines.plugin import Resources
from kani.runtime.voice_detector import SAMPLE_RATE

LANGUAGES = tuple(UTTERANCES)
GAPS_S = (0.03, 0.06, 0.2, 0.3, 0.5, 1.0)
"""Silence between two sentences, from speech that a program has joined to a speaker's pause."""

EDGE_S = 0.3
PAUSE_S = 0.25
"""Silence between the sentences of an utterance that is said once."""

ACCENTED_LANGUAGES = ("en", "en", "en", "es", "fr", "en", "it", "pt")
"""Languages that voices of another one speak: the sounds of the text, with the other's timbre and rhythm."""

_SILENT = 0.005


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """Speech with a known text."""

    kind: str  # "plain", "joined", "repeated" or "accented"
    language: str  # of the text
    text: str
    how: str  # its voices and its gap
    tuning: bool  # whether its texts may tune the recogniser
    samples: Samples  # at ``SAMPLE_RATE``


class Speaker:
    """Speaks by Kokoro, each text and voice once."""

    def __init__(self, engine: KokoroEngine, folder: Path) -> None:
        """folder: keeps what was said."""
        self._engine = engine
        self._folder = folder

    async def say(self, text: str, voice: str, language: str) -> Samples:
        """Return the speech at ``SAMPLE_RATE``, without silence around it."""
        key = hashlib.sha256(f"{language}|{voice}|{text}".encode()).hexdigest()[:24]
        kept = self._folder / f"{key}.npy"
        if kept.exists():
            return np.asarray(np.load(kept), np.float32)
        # With audio ahead its prosody is predicted at once, not in steps by how busy the machine is.
        segment = Segment(text, voice, language, ahead_s=math.inf)
        chunks = [chunk async for chunk in self._engine.synthesize(segment)]
        whole = np.concatenate([chunk.samples for chunk in chunks])
        samples = np.asarray(soxr.resample(whole, chunks[0].sample_rate, SAMPLE_RATE), np.float32)
        loud = np.flatnonzero(np.abs(samples) > _SILENT)
        samples = samples[loud[0] : loud[-1] + 1]
        np.save(kept, samples)
        return samples


@asynccontextmanager
async def speaker() -> AsyncIterator[Speaker]:
    """Start Kokoro with the decoder of onnxruntime, and yield the one who speaks by it."""
    cache_dir = settings.Settings().cache_dir
    folder = cache_dir / "benchmark-utterances"
    folder.mkdir(parents=True, exist_ok=True)
    engine = KokoroEngine(KokoroSettings(), Resources(cache_dir))
    await engine.start()
    try:
        yield Speaker(engine, folder)
    finally:
        await engine.stop()


def voices_by_language() -> dict[str, list[str]]:
    """Return the ids of Kokoro's voices by primary subtag."""
    found = defaultdict(list)
    for voice in Voices().all:
        found[voice.language.partition("-")[0]].append(voice.id)
    return found


def silence(seconds: float) -> Samples:
    """Return zeros."""
    return np.zeros(round(seconds * SAMPLE_RATE), np.float32)


def joined(pieces: Sequence[Samples], gap_s: float) -> Samples:
    """Return the pieces with silence between and around them."""
    parts = [silence(EDGE_S)]
    for piece in pieces:
        parts += [piece, silence(gap_s)]
    return np.concatenate([*parts[:-1], silence(EDGE_S)])


async def plain(speaker: Speaker, count: int) -> AsyncIterator[Recording]:
    """Yield the utterances as they are, languages in turns."""
    for number in range(count):
        one = _utterance(number)
        samples = joined(await _said(speaker, number, one), PAUSE_S)
        yield Recording("plain", one.language, one.text, _voice(number), _is_tuning(number), samples)


async def hard(speaker: Speaker, count: int, first: int = 0) -> AsyncIterator[Recording]:
    """Yield joined, repeated and accented speech in turns, ``count`` in all, from the ``first`` on."""
    makers = (_joined, _repeated, _accented)
    for number in range(first, first + count):
        yield await makers[number % len(makers)](speaker, number // len(makers))


async def _joined(speaker: Speaker, number: int) -> Recording:
    """Two utterances of two voices; every fourth time two sentences, and both again."""
    other = _next_of_its_part(number)
    one, two, gap_s = _utterance(number), _utterance(other), _gap(number)
    pieces = [*await _said(speaker, number, one), *await _said(speaker, other, two)]
    texts = [one.opening, one.sentence, two.opening, two.sentence]
    if number % 4 == 3:
        pieces, texts = [pieces[1], pieces[3]] * 2, [texts[1], texts[3]] * 2
    how = f"{_voice(number)}+{_voice(other)} {gap_s:g} s"
    samples = joined(pieces, gap_s)
    return Recording("joined", one.language, " ".join(texts), how, _is_tuning(number), samples)


async def _repeated(speaker: Speaker, number: int) -> Recording:
    """A sentence, an opening, both or a count, two to four times."""
    one, gap_s, voice = _utterance(number), _gap(number), _voice(number)
    turn = number // len(LANGUAGES)
    pieces, texts = await _said(speaker, number, one), [one.opening, one.sentence]
    match turn % 4:
        case 0:
            pieces, texts = pieces[1:], texts[1:]
        case 1:
            pieces, texts = pieces[:1], texts[:1]
        case 2 if one.language in COUNTS:
            texts = [COUNTS[one.language]]
            pieces = [await speaker.say(texts[0], voice, one.language)]
    times = 2 + turn % 3
    how = f"{voice} {times} times {gap_s:g} s"
    samples = joined(pieces * times, gap_s)
    return Recording("repeated", one.language, " ".join(texts * times), how, _is_tuning(number), samples)


async def _accented(speaker: Speaker, number: int) -> Recording:
    """A sentence, or an utterance, by a voice of another language."""
    language = ACCENTED_LANGUAGES[number % len(ACCENTED_LANGUAGES)]
    own = UTTERANCES[language]
    at = number % len(own)
    others = [voice for code, ids in voices_by_language().items() if code != language for voice in ids]
    voice = others[7 * number % len(others)]
    texts = [own[at].opening, own[at].sentence][number % 3 == 0 :]
    pieces = [await speaker.say(text, voice, language) for text in texts]
    samples = joined(pieces, PAUSE_S)
    return Recording("accented", language, " ".join(texts), voice, at < TUNING, samples)


async def _said(speaker: Speaker, number: int, one: Utterance) -> list[Samples]:
    voice = _voice(number)
    return [await speaker.say(text, voice, one.language) for text in (one.opening, one.sentence)]


def _own(number: int) -> tuple[tuple[Utterance, ...], int]:
    """Return the utterances of one language, and the place of one among them."""
    own = UTTERANCES[LANGUAGES[number % len(LANGUAGES)]]
    return own, number // len(LANGUAGES) % len(own)


def _utterance(number: int) -> Utterance:
    own, at = _own(number)
    return own[at]


def _voice(number: int) -> str:
    own, at = _own(number)
    voices = voices_by_language()[own[0].language]
    return voices[at % len(voices)]


def _is_tuning(number: int) -> bool:
    return _own(number)[1] < TUNING


def _next_of_its_part(number: int) -> int:
    """Return the number of the next utterance of the language that tunes, or judges, as this one does."""
    own, at = _own(number)
    first, length = (0, TUNING) if at < TUNING else (TUNING, len(own) - TUNING)
    following = first + (at - first + 1) % length
    return number + (following - at) * len(LANGUAGES)


def _gap(number: int) -> float:
    return GAPS_S[number // len(LANGUAGES) % len(GAPS_S)]
