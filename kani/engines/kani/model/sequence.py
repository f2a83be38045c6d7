"""One utterance being generated: the request, the attempts at it, and the events it emits."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import Enum

from kani.engines.kani.model.lfm2 import RESPONSE_TOKENS
from kani.engines.kani.model.output_guard import OutputGuard
from kani.engines.kani.model.runner import Runner, Samples, SavedSlot
from kani.engines.kani.model.sampler import Sampling

MAX_CHUNK_FRAMES = 24
"""The most frames that are decoded at once."""
_CHUNK_STEP = 4
"""Larger chunks are multiples of this: on a CPU the codec decodes this many frames at a time."""


@dataclass(frozen=True, slots=True)
class Utterance:
    prompt: tuple[int, ...]  # tokens, as ``TokenLayout.prompt`` returns them
    sampling: Sampling
    max_frames: int  # longer speech is cut
    predicted_s: float  # rough duration in seconds
    request_id: str = ""  # for log lines
    speaker: tuple[float, ...] = ()  # a speaker embedding, or empty

    def check(self, runner: Runner) -> None:
        """Raise ValueError if it does not fit the runner's slots, or has an invalid token or speaker."""
        speaker = self.speaker
        if speaker and (len(speaker) != runner.speaker_size or not all(map(math.isfinite, speaker))):
            raise ValueError(f"a speaker has {runner.speaker_size} finite numbers")
        # A speaker replaces a token, and the tokens of the response follow a text.
        least, most = (
            (RESPONSE_TOKENS + 1, runner.max_prompt_tokens - 1) if speaker else (1, runner.max_prompt_tokens)
        )
        if not least <= len(self.prompt) <= most:
            raise ValueError(f"a prompt has {least} to {most} tokens")
        if not all(0 <= token < runner.layout.audio_start for token in self.prompt):
            raise ValueError(f"a prompt's tokens are 0 to {runner.layout.audio_start - 1}")
        if not 0 < self.max_frames <= runner.max_frames:
            raise ValueError(f"speech has 1 to {runner.max_frames} frames")


class Ending(Enum):
    FINISHED = "finished"
    MAX_LENGTH = "maximum length"
    ANOMALY = "anomaly"
    CANCELLED = "cancelled"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, eq=False)
class End:
    ending: Ending
    detail: str = ""  # what went wrong


Listener = Callable[[Samples | End], None]
"""Receives each piece of audio (float32 [samples], in order) and the end, in the loop's thread.

If it raises, its sequence is cancelled; others are not affected.
"""


@dataclass(eq=False, slots=True)
class Attempt:
    number: int
    sampling: Sampling
    guard: OutputGuard
    decoded_frames: int = 0
    pending: list[list[int]] = field(default_factory=list)  # frames sampled and not yet decoded or checked
    decoded: list[Samples] = field(default_factory=list)  # audio of these, where it comes with the frames
    withheld: list[Samples] = field(default_factory=list)  # audio held back while only silence was decoded
    ending: End | None = None

    @property
    def greedy(self) -> bool:
        """Greedy speech is emitted exactly as the model has it, anomalies included."""
        return self.sampling.temperature == 0

    @property
    def ready_to_decode(self) -> bool:
        """Check if the pending frames should be decoded now: one frame at first, then more and more.

        Chunks of an eighth of what was decoded before are ready in time even where a single frame is made in
        seven eighths of real time, as on a slow CPU.
        """
        if not self.pending:
            return False
        frames = min(self.decoded_frames // 8, MAX_CHUNK_FRAMES)
        frames -= frames % _CHUNK_STEP if frames >= _CHUNK_STEP else frames % 2
        return len(self.pending) >= max(frames, 1) or self.ending is not None

    def add_frame(self, frame: list[int], max_frames: int, *, end_of_speech: int) -> None:
        """Append a sampled frame; ends the attempt at the end of speech, an anomaly, or the maximum."""
        if frame[0] >= end_of_speech:
            self.ending = End(Ending.FINISHED)
            return
        self.pending.append(frame)
        anomaly = None if self.greedy else self.guard.check_frame(frame)
        if anomaly:
            self.ending = End(Ending.ANOMALY, anomaly.value)
        elif self.decoded_frames + len(self.pending) == max_frames:
            self.ending = End(Ending.MAX_LENGTH)

    def add_audio(self, piece: Samples, sample_rate: int) -> list[Samples]:
        """Check decoded audio; returns what may be emitted now.

        Silence before the first sound is withheld: an attempt can be retried while nothing was emitted.
        """
        if self.greedy:
            return [piece]
        anomaly = self.guard.check_audio(piece, sample_rate)
        if anomaly and self.ending is None:
            self.ending = End(Ending.ANOMALY, anomaly.value)
        self.withheld.append(piece)
        if not self.guard.audible:
            return []
        emitted, self.withheld = self.withheld, []
        return emitted

    def final_end(self) -> End:
        """The end of the attempt: an anomaly if nothing audible was decoded."""
        assert self.ending is not None
        if self.greedy or self.ending.ending not in (Ending.FINISHED, Ending.MAX_LENGTH):
            return self.ending
        anomaly = self.guard.check_end()
        return End(Ending.ANOMALY, anomaly.value) if anomaly else self.ending


class SpeechSequence:
    """One utterance being generated; made by ``Scheduler.submit``."""

    def __init__(self, utterance: Utterance, listener: Listener, frame_s: float) -> None:
        self.utterance = utterance
        self.listener = listener
        self._frame_s = frame_s
        self.attempt = Attempt(1, utterance.sampling, OutputGuard(utterance.predicted_s, frame_s))
        self.cancelled = False
        self.sent = False
        self.unconsumed_samples = 0
        self.saved: SavedSlot | None = None

    def retry(self) -> None:
        """Discard the attempt and start another with a different seed."""
        # Any other seed will do; this one is the same each time the utterance is requested.
        seed = (self.attempt.sampling.seed + 0x9E3779B9) % 2**63
        sampling = replace(self.attempt.sampling, seed=seed)
        guard = OutputGuard(self.utterance.predicted_s, self._frame_s)
        self.attempt = Attempt(self.attempt.number + 1, sampling, guard)
