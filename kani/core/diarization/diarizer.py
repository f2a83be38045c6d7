"""Finds the turns of speakers in a recording that is read piece by piece.

    samples ──▶ voiced stretches ──▶ an embedding each 0.5 s ──▶ clusters ──▶ labels ──▶ turns

A stretch lasts until a pause, so that few embeddings hold two speakers. Only embeddings are kept: 2 KB a
second of speech, however long the recording is.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Protocol

import numpy as np

from kani.core.audio.decoding import run_in_pool
from kani.core.audio.resampling import Resampler
from kani.core.diarization.clustering import Array, find_speakers, smooth, with_known
from kani.core.diarization.turns import SpeakerTurn
from kani.core.errors import InvalidRequest
from kani.core.turns.speech_gate import SpeechGate
from kani.core.types import Samples

SAMPLE_RATE = 16_000
MAX_SPEAKERS = 32
"""Speakers that are told apart in one recording."""

POOL = ThreadPoolExecutor(1, thread_name_prefix="diarization")
"""One recording after the other, piece by piece: each piece keeps a core busy for a moment."""

STEP_S = 0.5
"""Seconds between the starts of two windows of an embedding."""

# Voiced stretches: pauses inside one, the shortest that has an embedding, and the longest.
_MAX_PAUSE_S, _MIN_STRETCH_S, _MAX_STRETCH_S = 0.12, 0.4, 20.0
# Turns of one speaker with a shorter pause between them are one.
_JOINED_S = 0.35
# Costs of a change of the speaker, in cosines: inside a stretch, and at a pause.
_CHANGE_INSIDE, _CHANGE_AT_PAUSE = 0.20, 0.05


class VoiceStream(Protocol):
    """Voice detector of one recording."""

    def feed(self, samples: Samples) -> list[float]:
        """Accept more samples; return the probability of speech in each ``VOICE_CHUNK_S``."""


class VoiceDetector(Protocol):
    """Makes voice detectors."""

    def recording(self) -> VoiceStream:
        """Return the detector of a new recording, however quiet that is."""


class SpeakerEncoder(Protocol):
    """Makes speaker embeddings. Safe for use by several threads."""

    def embed_stretches(self, stretches: Sequence[Samples], step_s: float) -> list[Array]:
        """Return the embeddings [n, m] of windows of each stretch of speech, ``step_s`` apart; n > 0."""


@dataclass(frozen=True, slots=True, eq=False)
class _Stretch:
    """Speech without a pause; times in seconds since the recording began."""

    start_s: float
    end_s: float
    embeddings: Array  # [n, m]; empty for a short one


class Diarizer:
    """Opens the diarization of each recording."""

    def __init__(self, detector: Callable[[], VoiceDetector], encoder: Callable[[], SpeakerEncoder]) -> None:
        """The arguments return the networks, and are called when these are first needed."""
        self._detector, self._encoder = cache(detector), cache(encoder)

    def voices(self) -> VoiceStream:
        """Return the voice detector of a new recording, at 16 kHz.

        Blocks. Raises EngineUnavailable where the network cannot be loaded.
        """
        return self._detector().recording()

    async def probabilities(self, audio: AsyncIterator[Samples], found: list[float]) -> None:
        """Add to ``found`` the probability of a voice in each ``VOICE_CHUNK_S`` of ``audio``, 16 kHz.

        Raises as ``voices``.
        """
        detector = await run_in_pool(POOL, self.voices)
        async for samples in audio:
            found += await run_in_pool(POOL, detector.feed, samples)

    def stream(self, sample_rate: int) -> SpeakerStream:
        """Return the diarization of a new recording; sample_rate: of its samples, in hertz.

        Blocks. Raises EngineUnavailable where the networks cannot be loaded.
        """
        return SpeakerStream(self.voices(), self._encoder(), sample_rate)

    def voice(self, samples: Samples, sample_rate: int) -> Array:
        """Return the embedding of one speaker's voice, of length 1; sample_rate: of ``samples``, in hertz.

        Blocks. Raises EngineUnavailable as ``stream``, and InvalidRequest without speech.
        """
        stream = self.stream(sample_rate)
        stream.feed(samples)
        return stream.voice()


class SpeakerStream:
    """Diarization of one recording. For one thread at a time; every method blocks."""

    def __init__(self, voices: VoiceStream, encoder: SpeakerEncoder, sample_rate: int) -> None:
        self._voices = voices
        self._encoder = encoder
        self._resampler = Resampler(sample_rate, SAMPLE_RATE)
        self._gate = SpeechGate()
        self._open: tuple[float, float] | None = None
        self._kept = np.zeros(0, np.float32)
        self._kept_from = 0
        self._stretches: list[_Stretch] = []
        self._finished = False

    def feed(self, samples: Samples) -> None:
        """Accept more of the recording; 0.5 s for 20 s of speech."""
        self._take(self._resampler.feed(samples))

    def finish(self, speakers: int | None = None, known: Sequence[Array] = ()) -> tuple[SpeakerTurn, ...]:
        """Return the turns of the whole recording, in order; may be called again for another number.

        speakers: the greatest number of them, from 1 to ``MAX_SPEAKERS``; None finds it. known: embeddings
        of speakers (``Diarizer.voice``); some of them may not speak.
        """
        self._end()
        return tuple(_joined(_numbered(self._labelled(speakers, known), len(known))))

    def voice(self) -> Array:
        """Return the mean embedding of the recording, of length 1. Raises InvalidRequest without speech."""
        self._end()
        embeddings = [stretch.embeddings for stretch in self._stretches if len(stretch.embeddings)]
        if not embeddings:
            raise InvalidRequest("file", "holds no speech")
        mean = np.concatenate(embeddings).mean(axis=0)
        return np.asarray(mean / np.linalg.norm(mean), np.float32)

    def _end(self) -> None:
        """Take the rest of the recording, once."""
        if not self._finished:
            self._finished = True
            self._take(self._resampler.finish())
            self._embed([self._open] if self._open is not None else [])

    def _take(self, samples: Samples) -> None:
        self._kept = np.concatenate([self._kept, samples])
        ended = list[tuple[float, float]]()
        for voice in self._voices.feed(samples):
            self._gate.feed(voice)
            if self._gate.speaking:
                begun_s = self._open[0] if self._open is not None else self._gate.onset_s
                if self._open is not None and self._gate.onset_s > self._open[1] + _MAX_PAUSE_S:
                    ended.append(self._open)
                    begun_s = self._gate.onset_s
                elif self._gate.now_s - begun_s >= _MAX_STRETCH_S:
                    ended.append((begun_s, self._gate.now_s))
                    begun_s = self._gate.now_s
                self._open = (begun_s, self._gate.now_s)
            elif self._open is not None and self._gate.silence_s > _MAX_PAUSE_S:
                ended.append(self._open)
                self._open = None
        self._embed(ended)
        needed_s = self._open[0] if self._open is not None else self._gate.now_s - 1.0
        needed = max(round(needed_s * SAMPLE_RATE) - self._kept_from, 0)
        self._kept, self._kept_from = self._kept[needed:].copy(), self._kept_from + needed

    def _embed(self, spans_s: Sequence[tuple[float, float]]) -> None:
        """Add the stretches, and compute the embeddings of those that are long enough."""
        long_enough = [span for span in spans_s if span[1] - span[0] >= _MIN_STRETCH_S]
        embedded = self._encoder.embed_stretches([self._samples(*span) for span in long_enough], STEP_S)
        found = dict(zip(long_enough, embedded, strict=True))
        none = np.zeros((0, 0), np.float32)
        self._stretches += [_Stretch(*span, found.get(span, none)) for span in spans_s if span[1] > span[0]]

    def _samples(self, start_s: float, end_s: float) -> Samples:
        first = max(round(start_s * SAMPLE_RATE) - self._kept_from, 0)
        return self._kept[first : round(end_s * SAMPLE_RATE) - self._kept_from]

    def _labelled(self, speakers: int | None, known: Sequence[Array]) -> list[SpeakerTurn]:
        """Return the stretches, cut where a label changes inside one."""
        with_voice = [stretch for stretch in self._stretches if len(stretch.embeddings)]
        if not with_voice:
            # Nothing tells the speakers of a few short sounds apart, nor from the known ones.
            return [SpeakerTurn(stretch.start_s, stretch.end_s, len(known)) for stretch in self._stretches]
        embeddings = np.concatenate([stretch.embeddings for stretch in with_voice])
        centroids = find_speakers(embeddings, speakers, MAX_SPEAKERS)
        owners = with_known(centroids, known)
        firsts = np.cumsum([0, *(len(stretch.embeddings) for stretch in with_voice)])
        penalties = np.full(len(embeddings), _CHANGE_INSIDE, np.float32)
        penalties[firsts[:-1]] = _CHANGE_AT_PAUSE
        labels = smooth(embeddings @ centroids.T, penalties)
        labels = owners[labels]
        turns, number, last = list[SpeakerTurn](), 0, int(labels[0])
        for stretch in self._stretches:
            if not len(stretch.embeddings):
                # A short sound belongs to who spoke last.
                turns.append(SpeakerTurn(stretch.start_s, stretch.end_s, last))
                continue
            own = labels[firsts[number] : firsts[number + 1]]
            number, last = number + 1, int(own[-1])
            edges = np.linspace(stretch.start_s, stretch.end_s, len(own) + 1)
            turns += [
                SpeakerTurn(float(start_s), float(end_s), int(label))
                for (start_s, end_s), label in zip(pairwise(edges), own, strict=True)
            ]
        return turns


def _numbered(turns: Sequence[SpeakerTurn], known: int) -> Iterator[SpeakerTurn]:
    """Number the speakers after the first ``known`` in the order in which they are first heard."""
    numbers = {speaker: speaker for speaker in range(known)}
    for turn in turns:
        yield SpeakerTurn(turn.start_s, turn.end_s, numbers.setdefault(turn.speaker, len(numbers)))


def _joined(turns: Iterator[SpeakerTurn]) -> Iterator[SpeakerTurn]:
    last: SpeakerTurn | None = None
    for turn in turns:
        if last is not None and last.speaker == turn.speaker and turn.start_s - last.end_s < _JOINED_S:
            last = SpeakerTurn(last.start_s, turn.end_s, last.speaker)
            continue
        if last is not None:
            yield last
        last = turn
    if last is not None:
        yield last
