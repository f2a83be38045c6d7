"""Conversations with known speakers: voices of Kokoro and espeak-ng, and human readings."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import av
import numpy as np
import soxr

from benchmarks.recognition.hard_recordings import Speaker, speaker
from benchmarks.sentences import EVERYDAY
from kani.core.diarization.turns import SpeakerTurn
from kani.core.types import Samples, Segment
from kani.core.voices.recording_quality import true_runs
from kani.engines.espeak.engine import EspeakEngine
from kani.runtime.voice_detector import SAMPLE_RATE

TUNING = (
    *("af_heart", "af_nicole", "am_adam", "bf_emma", "af_bella", "am_michael", "bf_isabella", "bm_lewis"),
    *("espeak:es", "espeak:en-us"),
)
JUDGING = (
    *("af_sarah", "af_nova", "am_puck", "am_onyx", "bf_lily", "bf_alice", "bm_george", "bm_fable"),
    "espeak:en-gb-x-rp",
)
"""Voices of the recordings that may tune the clustering, and of those that only judge it."""

SENTENCES = 4
"""Sentences that each voice says."""

GAPS_S = (0.15, 0.3, 0.6, 1.0)
"""Silence between two turns."""

_JOINED_S = 0.35
"""Pause below which speech of one speaker is one turn, as references are written."""

_SILENT = 0.01
_SILENCE_S = 0.25
_HUMAN_PART_S = (2.0, 6.0)


@dataclass(frozen=True, slots=True, eq=False)
class Conversation:
    """A recording, and who speaks when in it."""

    kind: str
    samples: Samples  # at ``SAMPLE_RATE``
    turns: tuple[SpeakerTurn, ...]
    speakers: int


@asynccontextmanager
async def spoken() -> AsyncIterator[SentencesOfVoices]:
    """Start both engines, and yield what makes each voice's sentences."""
    espeak = EspeakEngine()
    await espeak.start()
    try:
        async with speaker() as kokoro:
            yield SentencesOfVoices(kokoro, espeak)
    finally:
        await espeak.stop()


class SentencesOfVoices:
    """Makes the sentences of a voice."""

    def __init__(self, kokoro: Speaker, espeak: EspeakEngine) -> None:
        self._kokoro = kokoro
        self._espeak = espeak

    async def of(self, voice: str) -> list[Samples]:
        """Return the sentences that ``voice`` says, without silence around them."""
        if voice == "espeak:es":
            return [await self._robotic(text, voice, "es") for text in EVERYDAY["es"][:SENTENCES]]
        texts = EVERYDAY["en"][:SENTENCES]
        if voice.startswith("espeak:"):
            return [await self._robotic(text, voice, "en") for text in texts]
        return [await self._kokoro.say(text, voice, "en") for text in texts]

    async def _robotic(self, text: str, voice: str, language: str) -> Samples:
        chunks = [chunk async for chunk in self._espeak.synthesize(Segment(text, voice, language))]
        whole = np.concatenate([chunk.samples for chunk in chunks])
        samples = np.asarray(soxr.resample(whole, chunks[0].sample_rate, SAMPLE_RATE), np.float32)
        loud = np.flatnonzero(np.abs(samples) > _SILENT)
        return samples[loud[0] : loud[-1] + 1]


def read(path: Path) -> Samples:
    """Return the samples of an audio file, mono at ``SAMPLE_RATE``."""
    with av.open(str(path)) as file:
        resampler = av.AudioResampler("flt", "mono", SAMPLE_RATE)
        frames = [part for frame in file.decode(audio=0) for part in resampler.resample(frame)]
        return np.concatenate([frame.to_ndarray()[0] for frame in [*frames, *resampler.resample(None)]])


def human_parts(path: Path) -> list[Samples]:
    """Return a reading's parts of 2 to 6 s, divided at its pauses."""
    samples = read(path)
    size = round(0.03 * SAMPLE_RATE)
    loud = np.abs(samples[: len(samples) // size * size]).reshape(-1, size).max(axis=1) > 2 * _SILENT
    parts, begin, end = list[Samples](), None, 0
    for first, last in true_runs(loud):
        if begin is not None and first - end > _SILENCE_S / 0.03 and (end - begin) * 0.03 > _HUMAN_PART_S[0]:
            parts.append(samples[begin * size : end * size])
            begin = None
        begin, end = first if begin is None else begin, last
    if begin is not None and (end - begin) * 0.03 > _HUMAN_PART_S[0]:
        parts.append(samples[begin * size : end * size])
    return parts


def conversation(
    kind: str, said: Mapping[str, Sequence[Samples]], turns: int, rng: np.random.Generator
) -> Conversation:
    """Return a conversation of ``turns`` turns, of one or two sentences each, by the voices of ``said``.

    Each voice has its own loudness, and noise of 35 dB below the speech is added.
    """
    names = list(said)
    at = {name: int(rng.integers(len(said[name]))) for name in names}
    gains = {name: 10 ** (rng.uniform(-6, 6) / 20) for name in names}
    pieces, spoken_by, now = [np.zeros(SAMPLE_RATE // 2, np.float32)], list[SpeakerTurn](), SAMPLE_RATE // 2
    speaking = -1
    for number in range(turns):
        others = [other for other in range(len(names)) if other != speaking] or [0]
        # Everyone speaks once before anyone speaks by chance.
        speaking = number if number < len(names) else int(rng.choice(others))
        name = names[speaking]
        for _ in range(int(rng.integers(1, 3))):
            one = said[name][at[name] % len(said[name])]
            at[name] += 1
            level = float(np.sqrt(np.mean(np.square(one))))
            gap = np.zeros(round(float(rng.choice(GAPS_S)) * SAMPLE_RATE), np.float32)
            pieces += [one * np.float32(0.05 * gains[name] / level), gap]
            spoken_by += [
                SpeakerTurn((now + first) / SAMPLE_RATE, (now + last) / SAMPLE_RATE, speaking)
                for first, last in _loud(one)
            ]
            now += len(one) + len(gap)
    samples = np.concatenate(pieces)
    samples += np.float32(0.05 * 10 ** (-35 / 20)) * rng.standard_normal(len(samples), np.float32)
    return Conversation(kind, samples, tuple(_joined(spoken_by)), len(names))


def _loud(samples: Samples) -> list[tuple[int, int]]:
    """Return the first and the last sample of each part without a pause that divides turns."""
    loud = np.flatnonzero(np.abs(samples) > _SILENT)
    if not len(loud):
        return []
    pauses = np.flatnonzero(np.diff(loud) > _JOINED_S * SAMPLE_RATE)
    firsts, lasts = loud[[0, *(pauses + 1)]], loud[[*pauses, -1]]
    return list(zip(firsts.tolist(), lasts.tolist(), strict=True))


def _joined(turns: Sequence[SpeakerTurn]) -> list[SpeakerTurn]:
    """Join sentences of one speaker that follow within the shortest gaps."""
    joined = list[SpeakerTurn]()
    for _, group in groupby(turns, key=lambda turn: turn.speaker):
        for turn in group:
            if joined and joined[-1].speaker == turn.speaker and turn.start_s - joined[-1].end_s < _JOINED_S:
                joined[-1] = SpeakerTurn(joined[-1].start_s, turn.end_s, turn.speaker)
            else:
                joined.append(turn)
    return joined
