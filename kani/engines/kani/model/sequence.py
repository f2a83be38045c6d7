"""Utterances being generated: the request, the events that it emits, and the progress of all of them."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import Enum

import numpy as np

from kani.engines.kani.model.lfm2 import RESPONSE_TOKENS
from kani.engines.kani.model.output_guard import Anomaly, Flags, OutputGuard, Whole, last_audible, with_row
from kani.engines.kani.model.runner import MAX_CHUNK_FRAMES, Codes, Runner, Samples
from kani.engines.kani.model.sampler import Sampling
from kani.engines.kani.model.tokens import TokenLayout

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


NOBODY = -1
"""No slot, or no seat."""

_FINISHED, _MAX_LENGTH = 4, 5
_ENDS = {
    **{int(anomaly): End(Ending.ANOMALY, anomaly.detail) for anomaly in Anomaly},
    _FINISHED: End(Ending.FINISHED),
    _MAX_LENGTH: End(Ending.MAX_LENGTH),
}
"""Ends of attempts by their numbers; 0: it goes on."""


class Progress:
    """Frames made and handed over of many voices. Each has a seat, a row of the table; most arguments and
    results are arrays over some seats."""

    def __init__(self, layout: TokenLayout, *, frame_s: float, sample_rate: int) -> None:
        """frame_s: seconds of a frame; sample_rate: hertz."""
        self._end_of_speech = layout.codebook_size
        self._guard = OutputGuard(layout.codebooks, frame_s=frame_s, sample_rate=sample_rate)
        # codes, places: of the latest frames, frame n at n modulo their number; guarded: not greedy, which is
        # emitted exactly as the model has it, anomalies included; hurried: what is pending is due.
        fields = [
            ("frames", np.int64),
            ("decoded", np.int64),
            ("max_frames", np.int64),
            ("codes", np.int32, (MAX_CHUNK_FRAMES, layout.codebooks)),
            ("places", np.int64, MAX_CHUNK_FRAMES),
            ("end", np.int8),
            ("guarded", np.bool_),
            ("hurried", np.bool_),
        ]
        self._rows = np.zeros(1, np.dtype(fields, align=True))

    def begin(self, seat: int, utterance: Utterance) -> None:
        """Begin an attempt."""
        self._rows = with_row(self._rows, seat)
        guarded = utterance.sampling.temperature > 0
        self._rows[seat] = (0, 0, utterance.max_frames, 0, 0, 0, guarded, False)
        self._guard.begin(seat, utterance.predicted_s)

    def add_frames(self, seats: Whole, codes: Codes, places: Whole) -> None:
        """Add the next frame of each voice, with audio at a place of the runner's; it may end the attempt."""
        rows = self._rows
        spoken = codes[:, 0] < self._end_of_speech
        if not spoken.all():
            rows["end"][seats[~spoken]] = _FINISHED
            seats, codes, places = seats[spoken], codes[spoken], places[spoken]
        frames = rows["frames"][seats]
        rows["codes"][seats, frames % MAX_CHUNK_FRAMES] = codes
        rows["places"][seats, frames % MAX_CHUNK_FRAMES] = places
        rows["frames"][seats] = frames + 1
        end = np.where(frames + 1 == rows["max_frames"][seats], _MAX_LENGTH, 0)
        guarded = rows["guarded"][seats]
        anomalies = self._guard.check_frames(seats[guarded], frames[guarded], codes[guarded])
        end[guarded] = np.where(anomalies, anomalies, end[guarded])
        rows["end"][seats] = end

    def take_audio(self, runner: Runner, seats: Whole) -> tuple[Whole, Iterable[Samples]]:
        """The voices with audio that is due, and that audio, which came with the frames."""
        rows = self._rows
        new = seats[rows["end"][seats] != _FINISHED]
        latest = rows["places"][new, (rows["frames"][new] - 1) % MAX_CHUNK_FRAMES]
        self._guard.hear(new, runner.sounding(latest), runner.samples_per_frame)
        seats = seats[self._due(seats)]
        counts = self._pending(seats)
        places = np.take_along_axis(rows["places"][seats], self._next(seats, MAX_CHUNK_FRAMES), axis=1)
        rows["decoded"][seats] += counts
        chunks = zip(places, counts.tolist(), strict=True)
        return seats, (runner.audio(places[:count]) for places, count in chunks)

    def decode_audio(self, runner: Runner, seats: Whole) -> tuple[Whole, Iterable[Samples]]:
        """Decode the frames that are due and, since they cost little more then, full calls of the others.

        seats: by their slots. Returns the voices with audio, and that audio.
        """
        due, left, most = self._due(seats), self._pending(seats), runner.frames_per_call
        left = np.where(due, left, left - left % most) if due.any() else np.zeros_like(left)
        pieces: dict[int, list[Samples]] = {slot: [] for slot in np.flatnonzero(left).tolist()}
        while left.any():
            size = min(int(left.max()), most)
            slots = np.flatnonzero(np.minimum(left, most) == size)
            chosen = seats[slots]
            codes = self._rows["codes"][chosen[:, None], self._next(chosen, size)].astype(np.int64)
            samples = runner.decode_audio(slots.tolist(), codes)
            self._guard.hear(chosen, last_audible(samples), samples.shape[1])
            self._rows["decoded"][chosen] += size
            left[slots] -= size
            for slot, piece in zip(slots.tolist(), samples, strict=True):
                pieces[slot].append(piece)
        return seats[list(pieces)], map(np.concatenate, pieces.values())

    def _pending(self, seats: Whole) -> Whole:
        """The number of frames that have not been handed over."""
        pending: Whole = self._rows["frames"][seats] - self._rows["decoded"][seats]
        return pending

    def _due(self, seats: Whole) -> Flags:
        """True where the pending frames should be handed over: one frame at first, then more and more.

        Chunks of an eighth of what was decoded before are ready in time even where a single frame is made in
        seven eighths of real time, as on a slow CPU.
        """
        rows = self._rows
        decoded, pending = rows["decoded"][seats], self._pending(seats)
        size = np.minimum(decoded // 8, MAX_CHUNK_FRAMES)
        size -= np.where(size >= _CHUNK_STEP, size % _CHUNK_STEP, size % 2)
        hurried = rows["hurried"][seats] | (rows["end"][seats] > 0)
        due: Flags = (pending > 0) & ((pending >= size) | hurried)
        return due

    def hurry(self, seat: int, *, hurried: bool) -> None:
        """Have whatever is pending handed over at once, or no longer."""
        self._rows["hurried"][seat] = hurried

    def _next(self, seats: Whole, count: int) -> Whole:
        return (self._rows["decoded"][seats, None] + np.arange(count)) % MAX_CHUNK_FRAMES

    def check_audio(self, seats: Whole) -> list[bool]:
        """Check what was heard so far; long silence ends an attempt.

        Returns True for the voices with audio that may be emitted now. Silence before the first sound is
        withheld: an attempt can be retried while nothing was emitted.
        """
        rows = self._rows
        guarded = rows["guarded"][seats]
        silent = guarded & self._guard.silent(seats) & (rows["end"][seats] == 0)
        rows["end"][seats[silent]] = Anomaly.SILENCE
        emitted: list[bool] = (~guarded | self._guard.audible(seats)).tolist()
        return emitted

    def ended(self, seats: Whole) -> list[int]:
        """The seats of attempts that have ended."""
        ended: list[int] = seats[self._rows["end"][seats] > 0].tolist()
        return ended

    def end(self, seat: int) -> End:
        """The end of an attempt: an anomaly if nothing audible was decoded."""
        number, guarded = (int(self._rows[field][seat]) for field in ("end", "guarded"))
        if guarded and number in (_FINISHED, _MAX_LENGTH) and not self._guard.audible(np.array([seat]))[0]:
            number = Anomaly.SILENCE
        return _ENDS[number]


class SpeechSequence:
    """One utterance being generated; made by ``Scheduler.submit``."""

    def __init__(self, utterance: Utterance, listener: Listener) -> None:
        self.utterance = utterance
        self.listener = listener
        self.sampling = utterance.sampling
        self.attempt = 1
        self.slot = self.seat = NOBODY
        self.cancelled = False
        self.sent_samples = 0  # written by the scheduler's thread only
        self.consumed_samples = 0  # written by the listener's thread only
        self.withheld: list[Samples] = []  # audio held back while only silence was decoded

    @property
    def unconsumed_samples(self) -> int:
        """Samples that the listener has received and not consumed."""
        return self.sent_samples - self.consumed_samples

    def retry(self) -> None:
        """Discard the attempt and start another with a different seed."""
        # Any other seed will do; this one is the same each time the utterance is requested.
        self.sampling = replace(self.sampling, seed=(self.sampling.seed + 0x9E3779B9) % 2**63)
        self.attempt += 1
        self.withheld = []


class Seats:
    """Slots of running sequences, without a gap, and seats, which they keep until they leave."""

    def __init__(self, slots: int) -> None:
        self.running: list[SpeechSequence] = []  # by their slots
        self.of_slots = np.full(slots, NOBODY)
        self._seated: list[SpeechSequence] = []
        self._free: list[int] = []

    def __getitem__(self, seat: int) -> SpeechSequence:
        return self._seated[seat]

    def sit(self, sequence: SpeechSequence) -> None:
        """Give a sequence a seat."""
        if self._free:
            sequence.seat = self._free.pop()
            self._seated[sequence.seat] = sequence
        else:
            sequence.seat = len(self._seated)
            self._seated.append(sequence)

    def run(self, sequence: SpeechSequence) -> None:
        """Put a seated sequence into the next slot."""
        sequence.slot = len(self.running)
        self.of_slots[sequence.slot] = sequence.seat
        self.running.append(sequence)

    def release(self, sequence: SpeechSequence) -> None:
        """Free a sequence's slot; the last running sequence moves there."""
        slot = sequence.slot
        last = self.running[slot] = self.running[-1]
        self.running.pop()
        last.slot, self.of_slots[slot] = slot, last.seat
        sequence.slot = NOBODY

    def rise(self, sequence: SpeechSequence) -> None:
        """Free a sequence's seat, if it has one."""
        if sequence.seat != NOBODY:
            self._free.append(sequence.seat)
        sequence.seat = NOBODY
