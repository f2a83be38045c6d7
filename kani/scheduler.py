"""Which stream runs when: the loop between those who want speech and the runner that makes it.

Continuous batching, a frame at a time: streams join and leave between frames, whatever the others
are doing. A turn of the loop is: let go of who was cancelled; take out who is far ahead of its
listener; fill free slots, paused streams first, then new ones, whose prompts are read a piece a
turn; make one frame for each stream that runs; speak what is due.
"""

from __future__ import annotations

import logging
import math
import threading
from collections import deque
from dataclasses import dataclass

import numpy as np
import torch

from kani.lfm2 import RESPONSE_TOKENS
from kani.runner import Prefill, Runner, Samples
from kani.sequence import Attempt, End, Ending, Listener, SequenceState, SpeechSequence, Utterance

log = logging.getLogger(__name__)

MAX_ATTEMPTS = 3
"""How often a segment is tried, with another seed each time, before anything of it is heard."""


@dataclass(eq=False, slots=True)
class _Reading:
    """Prompts that are being read together; each has a slot in prospect."""

    streams: list[SpeechSequence]
    prefill: Prefill | None = None


class Scheduler:
    """The loop, in a thread of its own, around one runner."""

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
        """sample_rate in hertz, frame_s in seconds: the codec's; ahead_s: seconds of audio that a
        stream may be ahead of what its listener has taken; prompts_at_once, tokens_a_turn: how much
        is read between two frames of those that run."""
        self._runner = runner
        self._sample_rate = sample_rate
        self._frame_s = frame_s
        self._ahead = round(max_lead_s * sample_rate)
        self._prompts_at_once = max_prefill_prompts
        self._tokens_a_turn = prefill_tokens_per_step
        self._changed = threading.Condition()
        self._stopping = False
        self._waiting: deque[SpeechSequence] = deque()
        self._reading: _Reading | None = None
        self._running: list[SpeechSequence] = []
        self._paused: deque[SpeechSequence] = deque()
        self.frames = 0
        """Frames made so far, by all streams together; a cancel is obeyed within one."""
        self._thread = threading.Thread(target=self._loop, name="kani", daemon=True)

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def stop(self) -> None:
        """Cancel every stream and end the thread."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join()

    def submit(self, utterance: Utterance, listener: Listener) -> SpeechSequence:
        """Say ``utterance``.

        Raises ValueError for one that is longer than the runner's slots, or has tokens that no
        prompt may have or a speaker that is none, RuntimeError where the loop has ended.
        """
        speaker = utterance.speaker
        if speaker and (len(speaker) != self._runner.speaker_size or not all(map(math.isfinite, speaker))):
            raise ValueError(f"a speaker is {self._runner.speaker_size} finite numbers")
        # It takes the place of a token, and what the makers' model says itself follows a text.
        least, most = (
            (RESPONSE_TOKENS + 1, self._runner.max_prompt_tokens - 1)
            if speaker
            else (1, self._runner.max_prompt_tokens)
        )
        if not least <= len(utterance.prompt) <= most:
            raise ValueError(f"a prompt has {least} to {most} tokens")
        if not all(0 <= token < self._runner.layout.audio_start for token in utterance.prompt):
            raise ValueError(f"a prompt's tokens are 0 to {self._runner.layout.audio_start - 1}")
        if not 0 < utterance.max_frames <= self._runner.max_frames:
            raise ValueError(f"speech has 1 to {self._runner.max_frames} frames")
        stream = SpeechSequence(utterance, listener, self._frame_s)
        with self._changed:
            if self._stopping:
                raise RuntimeError("the Kani model has been stopped")
            self._waiting.append(stream)
            self._changed.notify()
        return stream

    def cancel(self, stream: SpeechSequence) -> None:
        """Say no more of it; its listener is told CANCELLED when its slot is free."""
        with self._changed:
            stream.cancelled = True
            self._changed.notify()

    def acknowledge(self, stream: SpeechSequence, samples: int) -> None:
        """The listener has taken so many samples of what it was told of."""
        with self._changed:
            stream.unconsumed_samples -= samples
            self._changed.notify()

    @property
    def counts(self) -> dict[str, int]:
        """How many streams wait (those whose prompt is being read among them), run and are paused."""
        with self._changed:
            reading = self._reading
            return {
                "waiting": len(self._waiting) + (len(reading.streams) if reading else 0),
                "running": len(self._running),
                "paused": len(self._paused),
            }

    def _loop(self) -> None:
        end = End(Ending.FAILED, "the model's loop failed")
        try:
            while True:
                with self._changed:
                    self._changed.wait_for(lambda: self._stopping or self._has_work())
                    if self._stopping:
                        end = End(Ending.CANCELLED)
                        return
                try:
                    self._turn()
                except RuntimeError as error:
                    # What the device's library breaks with: nobody's slot can be trusted any more.
                    log.exception("a turn of the Kani model failed with %d streams", len(self._running))
                    scarce = isinstance(error, torch.OutOfMemoryError)
                    self._end_all(End(Ending.FAILED, "out of memory" if scarce else "the model failed"))
                    self._runner.release_all()
        finally:
            # Whatever it was that ended the loop, nobody waits for it.
            with self._changed:
                self._stopping = True
            self._end_all(end)

    def _has_work(self) -> bool:
        if self._running or self._waiting or self._reading:
            return True
        return any(stream.cancelled or self._wanted(stream) for stream in self._paused)

    def _turn(self) -> None:
        self._let_go()
        self._pause()
        self._resume()
        self._read()
        if not self._running:
            return
        codes = self._runner.sample(len(self._running))
        self.frames += 1
        for stream, frame in zip(self._running, codes.tolist(), strict=True):
            self._take(stream.attempt, stream.utterance.max_frames, frame)
        if self._runner.overlaps:
            self._runner.advance(len(self._running))
        self._speak()
        self._end()
        if self._running and not self._runner.overlaps:
            self._runner.advance(len(self._running))

    def _let_go(self) -> None:
        with self._changed:
            cancelled = [s for s in (*self._waiting, *self._paused) if s.cancelled]
            for stream in cancelled:
                (self._waiting if stream.state is SequenceState.WAITING else self._paused).remove(stream)
        if self._reading and all(stream.cancelled for stream in self._reading.streams):
            cancelled += self._reading.streams
            self._reading = None
        for stream in cancelled:
            self._tell_end(stream, End(Ending.CANCELLED))
        for stream in [s for s in self._running if s.cancelled]:
            self._leave(stream)
            self._tell_end(stream, End(Ending.CANCELLED))

    def _wanted(self, stream: SpeechSequence) -> bool:
        """Whether a paused stream's listener has come near enough."""
        return stream.unconsumed_samples <= self._ahead // 2

    def _pause(self) -> None:
        for stream in [s for s in self._running if s.unconsumed_samples > self._ahead]:
            stream.saved = self._runner.save(self._running.index(stream))
            self._leave(stream)
            stream.state = SequenceState.PAUSED
            self._paused.append(stream)

    def _resume(self) -> None:
        for stream in [s for s in self._paused if self._wanted(s)]:
            if not self._free:
                return
            assert stream.saved is not None
            self._runner.restore(len(self._running), stream.saved)
            self._paused.remove(stream)
            stream.saved = None
            stream.state = SequenceState.RUNNING
            self._running.append(stream)

    @property
    def _free(self) -> int:
        reading = len(self._reading.streams) if self._reading else 0
        return self._runner.slots - len(self._running) - reading

    def _read(self) -> None:
        """Read a piece of the prompts at hand, or of the next ones; who is through runs."""
        if self._reading is None:
            with self._changed:
                count = min(self._free, self._prompts_at_once, len(self._waiting))
                streams = [self._waiting.popleft() for _ in range(count)]
            if not streams:
                return
            for stream in streams:
                stream.state = SequenceState.PREFILLING
            self._reading = _Reading(streams)
        reading = self._reading
        ended: list[tuple[SpeechSequence, End]] = []
        try:
            if reading.prefill is None:
                said = [stream.utterance for stream in reading.streams]
                reading.prefill = self._runner.start_prefill(
                    [utterance.prompt for utterance in said], [utterance.speaker for utterance in said]
                )
            self._runner.prefill_chunk(reading.prefill, self._tokens_a_turn)
            if not reading.prefill.done:
                return
            for row, stream in enumerate(reading.streams):
                if stream.cancelled:
                    ended.append((stream, End(Ending.CANCELLED)))
                    continue
                self._runner.admit(len(self._running), reading.prefill, row, stream.attempt.sampling)
                stream.state = SequenceState.RUNNING
                self._running.append(stream)
        except torch.OutOfMemoryError:
            log.exception("a prompt of the Kani model could not be read")
            failed = End(Ending.FAILED, "out of memory")
            ended = [
                (stream, failed) for stream in reading.streams if stream.state is SequenceState.PREFILLING
            ]
        # Its slot is free once a listener is told.
        self._reading = None
        for stream, end in ended:
            self._tell_end(stream, end)

    def _take(self, attempt: Attempt, longest: int, frame: list[int]) -> None:
        """Another frame of a stream, or its end."""
        if frame[0] >= self._runner.layout.codebook_size:
            attempt.ending = End(Ending.FINISHED)
            return
        attempt.pending.append(frame)
        trouble = None if attempt.greedy else attempt.guard.check_frame(frame)
        if trouble:
            attempt.ending = End(Ending.ANOMALY, trouble.value)
        elif attempt.decoded_frames + len(attempt.pending) == longest:
            attempt.ending = End(Ending.MAX_LENGTH)

    def _speak(self) -> None:
        """Decode what is due and, since they cost little more then, whole calls of the other streams."""
        if not any(stream.attempt.ready_to_decode for stream in self._running):
            return
        most = self._runner.frames_per_call
        left: dict[int, int] = {}  # frames that each slot's stream still has to say now
        for slot, stream in enumerate(self._running):
            pending = len(stream.attempt.pending)
            count = pending if stream.attempt.ready_to_decode else pending - pending % most
            if count and not stream.cancelled:
                left[slot] = count
        pieces: dict[int, list[Samples]] = {slot: [] for slot in left}
        while left:
            size = min(max(left.values()), most)
            slots = [slot for slot, count in left.items() if min(count, most) == size]
            attempts = [self._running[slot].attempt for slot in slots]
            codes = np.array([attempt.pending[:size] for attempt in attempts], np.int64)
            try:
                samples = self._runner.decode_audio(slots, codes)
            except torch.OutOfMemoryError:
                log.exception("%d streams could not be spoken", len(slots))
                for slot, attempt in zip(slots, attempts, strict=True):
                    attempt.ending = End(Ending.FAILED, "out of memory")
                    del left[slot]
                continue
            for slot, attempt, piece in zip(slots, attempts, samples, strict=True):
                pieces[slot].append(piece)
                attempt.decoded_frames += size
                del attempt.pending[:size]
                left[slot] -= size
                if not left[slot]:
                    del left[slot]
        for slot, parts in pieces.items():
            if parts:
                self._send(self._running[slot], np.concatenate(parts))

    def _send(self, stream: SpeechSequence, piece: Samples) -> None:
        """Pass audio on, but keep back what is silent before the first sound."""
        attempt = stream.attempt
        if attempt.greedy:
            self._tell(stream, piece)
            return
        trouble = attempt.guard.check_audio(piece, self._sample_rate)
        if trouble and attempt.ending is None:
            attempt.ending = End(Ending.ANOMALY, trouble.value)
        attempt.withheld.append(piece)
        if attempt.guard.audible:
            for held in attempt.withheld:
                self._tell(stream, held)
            attempt.withheld.clear()

    def _end(self) -> None:
        """Let go of who has ended, or try it again if nothing of it was heard yet."""
        for stream in [s for s in self._running if s.attempt.ending is not None]:
            attempt = stream.attempt
            ending = attempt.ending
            assert ending is not None
            if stream.cancelled:
                ending = End(Ending.CANCELLED)
            elif not attempt.greedy and ending.ending in (Ending.FINISHED, Ending.MAX_LENGTH):
                trouble = attempt.guard.check_end()
                ending = End(Ending.ANOMALY, trouble.value) if trouble else ending
            self._leave(stream)
            if ending.ending is Ending.ANOMALY:
                whose = {"request": stream.utterance.request_id}
                log.warning("attempt %d at a segment: %s", attempt.number, ending.detail, extra=whose)
                if not stream.sent and attempt.number < MAX_ATTEMPTS:
                    stream.retry()
                    with self._changed:
                        self._waiting.appendleft(stream)
                    continue
            self._tell_end(stream, ending)

    def _leave(self, stream: SpeechSequence) -> None:
        """Take a stream out of its slot; the last one that runs moves there."""
        slot = self._running.index(stream)
        self._runner.release(slot, len(self._running))
        self._running[slot] = self._running[-1]
        self._running.pop()

    def _tell(self, stream: SpeechSequence, piece: Samples) -> None:
        stream.sent = True
        with self._changed:
            stream.unconsumed_samples += len(piece)
        self._call(stream, piece)

    def _tell_end(self, stream: SpeechSequence, end: End) -> None:
        stream.state = SequenceState.ENDED
        stream.saved = None
        self._call(stream, end)

    def _call(self, stream: SpeechSequence, event: Samples | End) -> None:
        try:
            stream.listener(event)
        except Exception:  # it is the caller's code, and the other streams are not its affair
            log.exception("a listener failed")
            stream.cancelled = True

    def _end_all(self, end: End) -> None:
        with self._changed:
            streams = [*self._waiting, *self._paused, *self._running]
            # Of those that were read together some may run already.
            streams += (
                [s for s in self._reading.streams if s.state is SequenceState.PREFILLING]
                if self._reading
                else []
            )
            self._waiting.clear()
            self._paused.clear()
            self._running.clear()
            self._reading = None
        for stream in streams:
            self._tell_end(stream, end)
