"""Schedules sequences onto the runner's slots: continuous batching, one frame per step.

Sequences are admitted and released between frames, whatever the others are doing. A step ends cancelled
sequences, pauses those with a listener that lags, resumes paused ones, prefills new ones for free slots a
chunk at a time, begins a frame of each running sequence, and handles a frame: it checks the stop conditions,
emits the audio that is due, and finishes the sequences that have ended.

A GPU has the next frame to make while the last one is handled, so it never waits for Python. A stop is then
seen one frame late, and that frame is thrown away. A CPU, which makes its frames in this thread, handles each
at once. What is kept of each sequence is a row of arrays (its seat), so that a step costs a few operations on
arrays and whatever is due or ends, however many sequences run.
"""

import logging
import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch

from kani.engines.kani.model.graphs import Frame
from kani.engines.kani.model.output_guard import Whole
from kani.engines.kani.model.runner import Prefill, Runner, Samples, SavedSlot
from kani.engines.kani.model.sequence import (
    NOBODY,
    End,
    Ending,
    Listener,
    Progress,
    Seats,
    SpeechSequence,
    Utterance,
)

log = logging.getLogger(__name__)

MAX_ATTEMPTS = 3
"""Attempts at a segment, each with another seed, before anything of it was emitted."""


@dataclass(eq=False, slots=True)
class _PrefillBatch:
    """Sequences with prompts that are read together; a slot is reserved for each."""

    sequences: list[SpeechSequence]
    prefill: Prefill | None = None


class Scheduler:
    """The generation loop around one runner, in a thread of its own."""

    def __init__(
        self,
        runner: Runner,
        *,
        sample_rate: int,
        frame_s: float,
        max_lead_s: float,
        max_prefill_prompts: int,
        prefill_tokens_per_step: int,
    ) -> None:
        """sample_rate: hertz; frame_s: seconds of a frame; max_lead_s: seconds of audio that a sequence may
        be ahead of its listener; max_prefill_prompts, prefill_tokens_per_step: limits of what is prefilled
        between two frames of the running sequences.
        """
        self._runner = runner
        self._max_lead = round(max_lead_s * sample_rate)
        self._max_prefill_prompts = max_prefill_prompts
        self._prefill_tokens_per_step = prefill_tokens_per_step
        self._changed = threading.Condition()
        self._stopping = False
        self._waiting: deque[SpeechSequence] = deque()
        self._prefilling: _PrefillBatch | None = None
        self._seats = Seats(runner.slots)
        # On a GPU, the frame that it makes while one is handled, and the seats of its rows.
        self._ahead: tuple[Frame, Whole] | None = None
        self._paused: dict[SpeechSequence, SavedSlot] = {}
        self._progress = Progress(runner.layout, frame_s=frame_s, sample_rate=sample_rate)
        # Events of sequences since the last step.
        self._cancelled: list[SpeechSequence] = []
        self._leading: list[SpeechSequence] = []  # too far ahead of their listeners
        self._caught_up: dict[SpeechSequence, None] = {}  # paused ones with listeners that no longer lag
        self.frames = 0  # steps that began a frame; a cancel takes effect within one, on a GPU within two
        self._thread = threading.Thread(target=self._loop, name="kani", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join()

    def submit(self, utterance: Utterance, listener: Listener) -> SpeechSequence:
        """Queue an utterance.

        Raises ValueError for one that does not fit the runner's slots, or has invalid tokens or an invalid
        speaker, RuntimeError once the loop has ended.
        """
        utterance.check(self._runner)
        sequence = SpeechSequence(utterance, listener)
        with self._changed:
            if self._stopping:
                raise RuntimeError("the Kani model has been stopped")
            self._waiting.append(sequence)
            self._changed.notify()
        return sequence

    def cancel(self, sequence: SpeechSequence) -> None:
        """Stop a sequence; its listener receives CANCELLED once its slot is free."""
        with self._changed:
            sequence.cancelled = True
            self._cancelled.append(sequence)
            self._changed.notify()

    def acknowledge(self, sequence: SpeechSequence, samples: int) -> None:
        """Report that the listener has consumed ``samples`` samples of those it received."""
        # Without the lock, which the loop would wait for: only the listener's thread writes this number. A
        # sequence that is being paused now is looked at again once it is paused.
        sequence.consumed_samples += samples
        if sequence in self._paused:
            self._note_if_caught_up(sequence)

    def _note_if_caught_up(self, sequence: SpeechSequence) -> None:
        with self._changed:
            if sequence in self._paused and sequence.unconsumed_samples <= self._max_lead // 2:
                self._caught_up[sequence] = None
                self._changed.notify()

    @property
    def _running(self) -> list[SpeechSequence]:
        """The running sequences, by their slots."""
        return self._seats.running

    @property
    def counts(self) -> dict[str, int]:
        """Number of sequences that wait (being prefilled included), run, and are paused."""
        with self._changed:
            batch = self._prefilling
            return {
                "waiting": len(self._waiting) + (len(batch.sequences) if batch else 0),
                "running": len(self._running),
                "paused": len(self._paused),
            }

    def _loop(self) -> None:
        end = End(Ending.FAILED, "the model's loop failed")
        try:
            self._runner.warm_up_thread()
            while True:
                with self._changed:
                    self._changed.wait_for(lambda: self._stopping or self._has_work())
                    if self._stopping:
                        end = End(Ending.CANCELLED)
                        return
                try:
                    self._step()
                except RuntimeError as error:
                    # The device's library failed: the state of every slot is undefined.
                    log.exception("a step of the Kani model failed with %d sequences", len(self._running))
                    scarce = isinstance(error, torch.OutOfMemoryError)
                    self._end_all(End(Ending.FAILED, "out of memory" if scarce else "the model failed"))
                    self._runner.release_all()
        finally:
            # No listener may wait for a loop that has ended, by whatever cause.
            with self._changed:
                self._stopping = True
            self._end_all(end)

    def _has_work(self) -> bool:
        made = self._running or self._waiting or self._prefilling or self._ahead
        return bool(made or self._cancelled or self._caught_up)

    def _step(self) -> None:
        self._end_cancelled()
        self._pause()
        self._resume()
        self._prefill()
        begun, self._ahead = self._ahead, self._begin_frame() if self._running else None
        if not self._runner.whole_frames:
            begun, self._ahead = self._ahead, None
        if begun is not None:
            self._handle(*begun)
        if self._running:
            self._runner.advance(len(self._running))

    def _end_cancelled(self) -> None:
        with self._changed:
            ended = [s for s in self._waiting if s.cancelled] if self._cancelled else []
            for sequence in ended:
                self._waiting.remove(sequence)
            # Those without a seat have ended already, or are being prefilled.
            seated = [s for s in dict.fromkeys(self._cancelled) if s.seat != NOBODY]
            self._cancelled.clear()
        if self._prefilling and all(sequence.cancelled for sequence in self._prefilling.sequences):
            ended += self._prefilling.sequences
            self._prefilling = None
        for sequence in (*ended, *seated):
            self._leave(sequence)
            self._emit(sequence, End(Ending.CANCELLED))

    def _pause(self) -> None:
        """Pause the sequences that are too far ahead of their listeners."""
        leading, self._leading = self._leading, []
        for sequence in leading:
            if sequence.slot == NOBODY or sequence.unconsumed_samples <= self._max_lead:
                continue
            saved = self._runner.save(sequence.slot)
            self._release(sequence)
            # A frame of it may be made still: that is emitted at once, as its audio is not kept for long.
            self._progress.hurry(sequence.seat, hurried=True)
            with self._changed:
                self._paused[sequence] = saved
            self._note_if_caught_up(sequence)

    def _resume(self) -> None:
        with self._changed:
            caught_up = list(self._caught_up)[: self._free_slots]
        for sequence in caught_up:
            self._runner.restore(len(self._running), self._paused[sequence])
            with self._changed:
                del self._caught_up[sequence], self._paused[sequence]
            self._progress.hurry(sequence.seat, hurried=False)
            self._seats.run(sequence)

    @property
    def _free_slots(self) -> int:
        reserved = len(self._prefilling.sequences) if self._prefilling else 0
        return self._runner.slots - len(self._running) - reserved

    def _prefill(self) -> None:
        """Read a chunk of the current prompts, or of the next ones; complete ones are admitted."""
        batch = self._prefilling = self._prefilling or self._next_batch()
        if batch is None:
            return
        ended: list[tuple[SpeechSequence, End]] = []
        try:
            if batch.prefill is None:
                utterances = [sequence.utterance for sequence in batch.sequences]
                batch.prefill = self._runner.start_prefill(
                    [utterance.prompt for utterance in utterances],
                    [utterance.speaker for utterance in utterances],
                )
            self._runner.prefill_chunk(batch.prefill, self._prefill_tokens_per_step)
            if not batch.prefill.done:
                return
            for row, sequence in enumerate(batch.sequences):
                if sequence.cancelled:
                    ended.append((sequence, End(Ending.CANCELLED)))
                    continue
                self._runner.admit(len(self._running), batch.prefill, row, sequence.sampling)
                self._seats.sit(sequence)
                self._progress.begin(sequence.seat, sequence.utterance)
                self._seats.run(sequence)
        except torch.OutOfMemoryError:
            log.exception("a prompt of the Kani model could not be read")
            failed = End(Ending.FAILED, "out of memory")
            ended = [(s, failed) for s in batch.sequences if s.slot == NOBODY]
        # A listener may count on the slot being free.
        self._prefilling = None
        for sequence, end in ended:
            self._emit(sequence, end)

    def _next_batch(self) -> _PrefillBatch | None:
        with self._changed:
            count = min(self._free_slots, self._max_prefill_prompts, len(self._waiting))
            sequences = [self._waiting.popleft() for _ in range(count)]
        return _PrefillBatch(sequences) if sequences else None

    def _begin_frame(self) -> tuple[Frame, Whole]:
        self.frames += 1
        count = len(self._running)
        return self._runner.begin_frame(count), self._seats.of_slots[:count].copy()

    def _handle(self, frame: Frame, seats: Whole) -> None:
        """Add a frame to each sequence that it was begun for, emit what is due, and finish what has ended."""
        rows = np.flatnonzero(seats != NOBODY)
        if not len(rows):
            return
        seats = seats[rows]
        self._progress.add_frames(seats, self._runner.end_frame(frame)[rows], frame.place + rows)
        if self._runner.whole_frames:
            self._emit_checked(*self._progress.take_audio(self._runner, seats))
        else:
            self._emit_checked(*self._progress.decode_audio(self._runner, seats))
        self._finish(seats)

    def _finish(self, seats: Whole) -> None:
        """Release sequences that have ended; retry those with an anomaly before anything was emitted."""
        ended = [self._seats[seat] for seat in self._progress.ended(seats)]
        # The last slots first: the last running sequence moves to a slot that is freed.
        for sequence in sorted(ended, key=lambda sequence: -sequence.slot):
            end = End(Ending.CANCELLED) if sequence.cancelled else self._progress.end(sequence.seat)
            self._leave(sequence)
            if end.ending is Ending.ANOMALY:
                fields = {"request": sequence.utterance.request_id}
                log.warning("attempt %d at a segment: %s", sequence.attempt, end.detail, extra=fields)
                if not sequence.sent_samples and sequence.attempt < MAX_ATTEMPTS:
                    sequence.retry()
                    with self._changed:
                        self._waiting.appendleft(sequence)
                    continue
            self._emit(sequence, end)

    def _release(self, sequence: SpeechSequence) -> None:
        """Free a sequence's slot; the last running sequence moves there."""
        self._runner.release(sequence.slot, len(self._running))
        self._seats.release(sequence)

    def _leave(self, sequence: SpeechSequence) -> None:
        """Free a sequence's slot and seat; the frame of it that is being made will be thrown away."""
        if sequence.slot != NOBODY:
            self._release(sequence)
        with self._changed:
            self._paused.pop(sequence, None)
            self._caught_up.pop(sequence, None)
        if self._ahead is not None:
            seats = self._ahead[1]
            seats[seats == sequence.seat] = NOBODY
        self._seats.rise(sequence)

    def _emit_checked(self, seats: Whole, decoded: Iterable[Samples]) -> None:
        """Check decoded audio, and emit what may be emitted now."""
        allowed = self._progress.check_audio(seats)
        for seat, samples, emitted in zip(seats.tolist(), decoded, allowed, strict=True):
            sequence = self._seats[seat]
            if sequence.cancelled:
                continue
            if not emitted:
                sequence.withheld.append(samples)
                continue
            pieces = (*sequence.withheld, samples)
            sequence.withheld.clear()
            for piece in pieces:
                sequence.sent_samples += len(piece)
                self._emit(sequence, piece)
            if sequence.unconsumed_samples > self._max_lead:
                self._leading.append(sequence)

    def _emit(self, sequence: SpeechSequence, event: Samples | End) -> None:
        try:
            sequence.listener(event)
        except Exception:  # the caller's code must not affect the other sequences
            log.exception("a listener failed")
            self.cancel(sequence)

    def _end_all(self, end: End) -> None:
        with self._changed:
            sequences = [*self._waiting, *self._paused, *self._running]
            if self._prefilling:
                # Others of the batch may run already.
                sequences += [s for s in self._prefilling.sequences if s.slot == NOBODY]
            for some in (self._waiting, self._paused, self._caught_up, self._leading):
                some.clear()
            self._prefilling = self._ahead = None
            self._seats = Seats(self._runner.slots)
        for sequence in sequences:
            sequence.slot = sequence.seat = NOBODY
            self._emit(sequence, end)
