"""Good recordings as people make them for a voice: sentences with pauses between."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmarks import single_engine
from benchmarks.kokoro_data.sentences import SENTENCES
from benchmarks.voices.emotions_speech import Sentence, rendering
from kani.core.engine import Engine
from kani.core.types import Recording, Samples
from kani.server import settings
from kani.text.languages import primary

VOICES = tuple(
    "ef_dora em_alex em_santa af_heart af_bella af_nicole af_nova am_michael am_fenrir am_onyx am_puck "
    "bf_emma bf_lily bm_george bm_lewis ff_siwis if_sara im_nicola pf_dora pm_alex".split()
)
"""Kokoro's, each for two clips."""

EXPRESSIVE_VOICES = ("ef_dora", "em_alex", "af_heart", "am_michael")
MANNERS = tuple((emotion, 1.0) for emotion in ("happy", "sad", "angry", "excited", "calm"))
SPEEDS = (("neutral", 1.5), ("neutral", 2.0), ("neutral", 0.7))

ESPEAK_VOICES = tuple(f"espeak:{name}" for name in ("es", "en-us", "fr", "it", "pt"))

SENTENCES_A_CLIP = (2, 6, 3, 4)
"""By turns; clips are 4–20 s long."""

PAUSES_S = (0.15, 0.7)
"""The silence between two sentences is drawn between these."""


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """Some sentences of one voice."""

    kind: str  # "plain", "expressive" (or fast, or slow) or "espeak"
    voice: str
    language: str
    recording: Recording


@dataclass(frozen=True, slots=True)
class _Wanted:
    kind: str
    voice: str
    emotion: str = "neutral"
    speed: float = 1.0


def _wanted() -> list[_Wanted]:
    plain = [_Wanted("plain", voice) for voice in VOICES for _ in range(2)]
    expressive = [
        _Wanted("expressive", voice, emotion, speed)
        for voice in EXPRESSIVE_VOICES
        for emotion, speed in (*MANNERS, *SPEEDS)
    ]
    return [*plain, *expressive, *(_Wanted("espeak", voice) for voice in ESPEAK_VOICES)]


def clips() -> list[Clip]:
    """All clips; kept in the cache folder between runs."""
    wanted = _wanted()
    what = repr((wanted, SENTENCES_A_CLIP, PAUSES_S, sorted(SENTENCES.items())))
    name = hashlib.sha256(what.encode()).hexdigest()[:16]
    kept = settings.load({}).cache_dir / f"benchmark-recording-judge-{name}.npz"
    if not kept.exists():
        made = asyncio.run(_made(wanted))
        kept.parent.mkdir(parents=True, exist_ok=True)
        columns: dict[str, npt.NDArray[np.generic]] = {
            "rates": np.array([clip.recording.sample_rate for clip in made]),
            "languages": np.array([clip.language for clip in made]),
        }
        columns |= {f"samples{at}": clip.recording.samples for at, clip in enumerate(made)}
        with kept.open("wb") as file:
            np.savez(file, allow_pickle=False, **columns)
    with np.load(kept) as file:
        return [
            Clip(
                one.kind,
                one.voice,
                str(file["languages"][at]),
                Recording(file[f"samples{at}"], int(file["rates"][at])),
            )
            for at, one in enumerate(wanted)
        ]


async def _made(wanted: list[_Wanted]) -> list[Clip]:
    async with (
        single_engine.started_engine("kokoro") as kokoro,
        single_engine.started_engine("espeak") as espeak,
    ):
        return [
            await _clip(espeak if one.kind == "espeak" else kokoro, one, at) for at, one in enumerate(wanted)
        ]


async def _clip(engine: Engine, one: _Wanted, number: int) -> Clip:
    random = np.random.default_rng(number)
    language = next(voice.language for voice in engine.info.voices if voice.id == one.voice)
    texts = SENTENCES[primary(language)]
    first = int(random.integers(len(texts)))
    count = SENTENCES_A_CLIP[number % len(SENTENCES_A_CLIP)]
    rate = engine.info.sample_rate
    pieces: list[Samples] = [_silence(random.uniform(*PAUSES_S), rate)]
    for at in range(first, first + count):
        sentence = Sentence(texts[at % len(texts)], language, one.voice)
        pieces += [
            chunk.samples async for chunk in rendering(engine, sentence, one.emotion, one.speed).chunks()
        ]
        pieces.append(_silence(random.uniform(*PAUSES_S), rate))
    return Clip(one.kind, one.voice, language, Recording(np.concatenate(pieces), rate))


def _silence(seconds: float, rate: int) -> Samples:
    return np.zeros(round(seconds * rate), np.float32)
