"""Schedules sequences onto the runner's slots: continuous batching, one frame per step.

Sequences are admitted and released between frames, whatever the others are doing. A step reaps cancelled
sequences, preempts those with a listener that lags, resumes paused ones, prefills new ones for free slots a
chunk at a time, samples a frame of each running sequence, checks the stop conditions, decodes the audio
that is due, and finishes the sequences that have ended.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from dataclasses import dataclass

import numpy as np
import torch

from kani.engines.kani.model.runner import Codes, Prefill, Runner, Samples
from kani.engines.kani.model.sequence import End, Ending, Listener, SpeechSequence, Utterance

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
        self._sample_rate = sample_rate
        self._frame_s = frame_s
        self._max_lead = round(max_lead_s * sample_rate)
        self._max_prefill_prompts = max_prefill_prompts
        self._prefill_tokens_per_step = prefill_tokens_per_step
        self._changed = threading.Condition()
        self._stopping = False
        self._waiting: deque[SpeechSequence] = deque()
        self._prefilling: _PrefillBatch | None = None
        self._running: list[SpeechSequence] = []
        self._paused: deque[SpeechSequence] = deque()
        self.frames = 0  # steps that sampled a frame; a cancel takes effect within one
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
        sequence = SpeechSequence(utterance, listener, self._frame_s)
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
            self._changed.notify()

    def acknowledge(self, sequence: SpeechSequence, samples: int) -> None:
        """Report that the listener has consumed ``samples`` samples of those it received."""
        with self._changed:
            sequence.unconsumed_samples -= samples
            self._changed.notify()

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
        if self._running or self._waiting or self._prefilling:
            return True
        return any(sequence.cancelled or self._may_resume(sequence) for sequence in self._paused)

    def _step(self) -> None:
        self._reap_cancelled()
        self._preempt()
        self._resume()
        self._prefill()
        if not self._running:
            return
        codes = self._runner.sample(len(self._running))
        self.frames += 1
        self._check_stop(codes)
        if self._runner.whole_frames:
            self._take_audio()
        else:
            self._decode_audio()
        self._finish()
        if self._running:
            self._runner.advance(len(self._running))

    def _reap_cancelled(self) -> None:
        with self._changed:
            cancelled = [s for s in (*self._waiting, *self._paused) if s.cancelled]
            for sequence in cancelled:
                (self._waiting if sequence in self._waiting else self._paused).remove(sequence)
        if self._prefilling and all(sequence.cancelled for sequence in self._prefilling.sequences):
            cancelled += self._prefilling.sequences
            self._prefilling = None
        for sequence in cancelled:
            self._emit_end(sequence, End(Ending.CANCELLED))
        for sequence in [s for s in self._running if s.cancelled]:
            self._release(sequence)
            self._emit_end(sequence, End(Ending.CANCELLED))

    def _preempt(self) -> None:
        """Pause the sequences that are too far ahead of their listeners."""
        for sequence in [s for s in self._running if s.unconsumed_samples > self._max_lead]:
            sequence.saved = self._runner.save(self._running.index(sequence))
            self._release(sequence)
            self._paused.append(sequence)

    def _may_resume(self, sequence: SpeechSequence) -> bool:
        """Check if a paused sequence's listener has caught up."""
        return sequence.unconsumed_samples <= self._max_lead // 2

    def _resume(self) -> None:
        for sequence in [s for s in self._paused if self._may_resume(s)]:
            if not self._free_slots:
                return
            assert sequence.saved is not None
            self._runner.restore(len(self._running), sequence.saved)
            self._paused.remove(sequence)
            sequence.saved = None
            self._running.append(sequence)

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
                self._runner.admit(len(self._running), batch.prefill, row, sequence.attempt.sampling)
                self._running.append(sequence)
        except torch.OutOfMemoryError:
            log.exception("a prompt of the Kani model could not be read")
            failed = End(Ending.FAILED, "out of memory")
            ended = [(s, failed) for s in batch.sequences if s not in self._running]
        # A listener may count on the slot being free.
        self._prefilling = None
        for sequence, end in ended:
            self._emit_end(sequence, end)

    def _next_batch(self) -> _PrefillBatch | None:
        with self._changed:
            count = min(self._free_slots, self._max_prefill_prompts, len(self._waiting))
            sequences = [self._waiting.popleft() for _ in range(count)]
        return _PrefillBatch(sequences) if sequences else None

    def _check_stop(self, codes: Codes) -> None:
        """Add a frame to each running sequence; it may end the sequence's attempt."""
        for sequence, frame in zip(self._running, codes.tolist(), strict=True):
            longest = sequence.utterance.max_frames
            sequence.attempt.add_frame(frame, longest, end_of_speech=self._runner.layout.codebook_size)

    def _take_audio(self) -> None:
        """Keep the frames' audio, which came with their codes, and emit the chunks that are due."""
        audio = self._runner.audio(len(self._running))
        for sequence, samples in zip(self._running, audio, strict=True):
            attempt = sequence.attempt
            if len(attempt.decoded) < len(attempt.pending):
                attempt.decoded.append(samples.copy())
            if attempt.ready_to_decode and not sequence.cancelled:
                piece = np.concatenate(attempt.decoded)
                attempt.decoded_frames += len(attempt.pending)
                attempt.pending, attempt.decoded = [], []
                self._emit_checked(sequence, piece)

    def _decode_audio(self) -> None:
        """Decode the frames that are due and, since they cost little more then, full calls of the others."""
        if not any(sequence.attempt.ready_to_decode for sequence in self._running):
            return
        most = self._runner.frames_per_call
        left: dict[int, int] = {}  # frames to decode now, by slot
        for slot, sequence in enumerate(self._running):
            pending = len(sequence.attempt.pending)
            count = pending if sequence.attempt.ready_to_decode else pending - pending % most
            if count and not sequence.cancelled:
                left[slot] = count
        pieces: dict[int, list[Samples]] = {slot: [] for slot in left}
        while left:
            size = min(max(left.values()), most)
            slots = [slot for slot, count in left.items() if min(count, most) == size]
            attempts = [self._running[slot].attempt for slot in slots]
            codes = np.array([attempt.pending[:size] for attempt in attempts], np.int64)
            samples = self._runner.decode_audio(slots, codes)
            for slot, attempt, piece in zip(slots, attempts, samples, strict=True):
                pieces[slot].append(piece)
                attempt.decoded_frames += size
                del attempt.pending[:size]
                left[slot] -= size
                if not left[slot]:
                    del left[slot]
        for slot, parts in pieces.items():
            if parts:
                self._emit_checked(self._running[slot], np.concatenate(parts))

    def _finish(self) -> None:
        """Release sequences that have ended; retry those with an anomaly before anything was emitted."""
        for sequence in [s for s in self._running if s.attempt.ending is not None]:
            attempt = sequence.attempt
            end = End(Ending.CANCELLED) if sequence.cancelled else attempt.final_end()
            self._release(sequence)
            if end.ending is Ending.ANOMALY:
                fields = {"request": sequence.utterance.request_id}
                log.warning("attempt %d at a segment: %s", attempt.number, end.detail, extra=fields)
                if not sequence.sent and attempt.number < MAX_ATTEMPTS:
                    sequence.retry()
                    with self._changed:
                        self._waiting.appendleft(sequence)
                    continue
            self._emit_end(sequence, end)

    def _release(self, sequence: SpeechSequence) -> None:
        """Free a sequence's slot; the last running sequence moves there."""
        slot = self._running.index(sequence)
        self._runner.release(slot, len(self._running))
        self._running[slot] = self._running[-1]
        self._running.pop()

    def _emit_checked(self, sequence: SpeechSequence, decoded: Samples) -> None:
        """Check decoded audio, and emit what may be emitted now."""
        for piece in sequence.attempt.add_audio(decoded, self._sample_rate):
            sequence.sent = True
            with self._changed:
                sequence.unconsumed_samples += len(piece)
            self._emit(sequence, piece)

    def _emit_end(self, sequence: SpeechSequence, end: End) -> None:
        sequence.saved = None
        self._emit(sequence, end)

    def _emit(self, sequence: SpeechSequence, event: Samples | End) -> None:
        try:
            sequence.listener(event)
        except Exception:  # the caller's code must not affect the other sequences
            log.exception("a listener failed")
            sequence.cancelled = True

    def _end_all(self, end: End) -> None:
        with self._changed:
            sequences = [*self._waiting, *self._paused, *self._running]
            if self._prefilling:
                # Others of the batch may run already.
                sequences += [s for s in self._prefilling.sequences if s not in self._running]
            self._waiting.clear()
            self._paused.clear()
            self._running.clear()
            self._prefilling = None
        for sequence in sequences:
            self._emit_end(sequence, end)
