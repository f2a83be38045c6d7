"""Speaks many streams at once: one frame of each per step, in two threads.

The first thread reads texts and samples latents, all streams of a language in one batch: it waits for memory,
since every step reads the whole model. The second decodes latents to audio, which is arithmetic. Two cores
are busy at the same time, and a stream joins, leaves or is cancelled between two frames of the others.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from itertools import groupby

import numpy as np
import torch

from kani.engines.pocket.codec import Codec
from kani.engines.pocket.stream import Ending, Listener, Samples, State, Stream, Utterance

log = logging.getLogger(__name__)

MAX_LEAD_S = 2.0
"""Seconds of audio that a stream may be ahead of its listener."""

FRAMES_A_CALL = 4
"""Most frames of a stream that are decoded together, where decoding is behind."""

_FADE_S = 0.005


class Scheduler:
    """The threads around one codec."""

    def __init__(self, codec: Codec, *, slots: int, sample_rate: int, threads: int) -> None:
        """slots: streams at once; sample_rate: hertz; threads: cores that one step is computed with."""
        self._codec = codec
        self._slots = slots
        self._threads = threads
        self._frame = codec.samples
        self._max_lead = round(MAX_LEAD_S * sample_rate)
        # A fresh decoder begins with a small step, which is heard as a click.
        self._fade = np.linspace(0, 1, round(_FADE_S * sample_rate), dtype=np.float32)
        self._changed = threading.Condition()
        self._stopping = False
        self._waiting: deque[Stream] = deque()
        self._running: list[Stream] = []
        self.steps = 0
        """Steps that sampled a frame; a cancel takes effect within one."""
        self._sampler = threading.Thread(target=self._sample_loop, name="pocket", daemon=True)
        self._decoder = threading.Thread(target=self._decode_loop, name="pocket-codec", daemon=True)

    def start(self) -> None:
        """Start the threads."""
        self._sampler.start()
        self._decoder.start()

    def stop(self) -> None:
        """Cancel every stream and end the threads."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._sampler.join()
        self._decoder.join()
        with self._changed:
            streams = [*self._waiting, *self._running]
            self._waiting.clear()
            self._running.clear()
        for stream in streams:
            self._emit(stream, Ending.CANCELLED)

    def submit(self, utterance: Utterance, listener: Listener) -> Stream:
        """Queue an utterance. Raises RuntimeError once the scheduler has been stopped."""
        stream = Stream(utterance, listener)
        with self._changed:
            if self._stopping:
                raise RuntimeError("the Pocket model has been stopped")
            self._waiting.append(stream)
            self._changed.notify_all()
        return stream

    def cancel(self, stream: Stream) -> None:
        """Stop a stream; its listener receives CANCELLED once nothing of it is computed any more."""
        with self._changed:
            stream.cancelled = True
            self._changed.notify_all()

    def acknowledge(self, stream: Stream, samples: int) -> None:
        """Report that the listener has consumed ``samples`` samples of those it received."""
        with self._changed:
            stream.consumed += samples
            self._changed.notify_all()

    @property
    def counts(self) -> dict[str, int]:
        """Number of streams that wait and that are being spoken."""
        with self._changed:
            return {"waiting": len(self._waiting), "running": len(self._running)}

    def _sample_loop(self) -> None:
        torch.set_num_threads(self._threads)
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._stopping or self._next() or self._due())
                if self._stopping:
                    return
                new, due = self._next(), self._due()
                if new is not None:
                    self._waiting.remove(new)
                    self._running.append(new)
            if new is not None:
                self._guarded([new], self._read)
            for _, streams in groupby(sorted(due, key=_language), _language):
                self._guarded(list(streams), self._step)

    def _next(self) -> Stream | None:
        """The stream to read next: a cancelled one is only ended, for which there is always room."""
        full = len(self._running) >= self._slots
        return next((stream for stream in self._waiting if stream.cancelled or not full), None)

    def _due(self) -> list[Stream]:
        """The running streams with a next frame that may be sampled."""
        return [
            stream
            for stream in self._running
            if stream.state is not None
            and not (stream.complete or stream.cancelled or stream.ending)
            and stream.frames * self._frame - stream.consumed <= self._max_lead
        ]

    def _guarded(self, streams: list[Stream], step: Callable[[list[Stream]], None]) -> None:
        try:
            step(streams)
        except (RuntimeError, MemoryError):
            log.exception("a step of the Pocket model failed with %d streams", len(streams))
            with self._changed:
                for stream in streams:
                    stream.ending = Ending.FAILED
                self._changed.notify_all()

    def _read(self, streams: list[Stream]) -> None:
        """Read the voice and the text of a new stream."""
        (stream,) = streams
        if stream.cancelled:
            with self._changed:
                self._changed.notify_all()
            return
        wanted = stream.utterance
        cache, condition = wanted.language.read_text(wanted.voice, wanted.tokens, wanted.max_frames)
        decoder = self._codec.new_state()
        with self._changed:
            stream.state = State(cache, condition, decoder)
        self._step(streams)

    def _step(self, streams: list[Stream]) -> None:
        """Sample a frame of each stream, and read it for the next one."""
        language = streams[0].utterance.language
        noise = torch.stack([stream.draw_noise(language.latent_size) for stream in streams])
        frames = language.sample(torch.cat([stream.begun.condition for stream in streams]), noise)
        decodable = language.to_codec(frames.latents)
        logits = frames.end_logits.tolist()
        with self._changed:
            self.steps += 1
            for index, stream in enumerate(streams):
                stream.count_frame(logits[index])
                stream.undecoded.append(decodable[index])
            self._changed.notify_all()
        going = [index for index, stream in enumerate(streams) if not (stream.complete or stream.cancelled)]
        if going:
            caches = [streams[index].begun.cache for index in going]
            conditions = language.advance(caches, frames.latents[going])
            for row, index in enumerate(going):
                streams[index].begun.condition = conditions[row : row + 1]

    def _decode_loop(self) -> None:
        torch.set_num_threads(self._threads)
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._stopping or self._ended() or self._decodable())
                if self._stopping:
                    return
                ended = self._ended()
                for stream in ended:
                    self._running.remove(stream)
                streams = self._decodable()
                count = min([FRAMES_A_CALL, *(len(stream.undecoded) for stream in streams)])
                latents = [stream.undecoded[:count] for stream in streams]
                for stream in streams:
                    del stream.undecoded[:count]
                self._changed.notify_all()
            for stream in ended:
                self._emit(stream, _ending(stream))
            if streams:
                self._decode(streams, torch.stack([torch.stack(each) for each in latents]))

    def _ended(self) -> list[Stream]:
        """The running streams with nothing left to compute."""
        return [
            stream
            for stream in self._running
            if stream.cancelled or stream.ending or (stream.complete and not stream.undecoded)
        ]

    def _decodable(self) -> list[Stream]:
        return [stream for stream in self._running if stream.undecoded and not stream.ending]

    def _decode(self, streams: list[Stream], latents: torch.Tensor) -> None:
        try:
            samples = self._codec.decode(latents, [stream.begun.decoder for stream in streams])
        except (RuntimeError, MemoryError):
            log.exception("the audio of %d streams could not be decoded", len(streams))
            with self._changed:
                for stream in streams:
                    stream.ending = Ending.FAILED
            return
        for stream, piece in zip(streams, samples.numpy(), strict=True):
            if not stream.started:
                stream.started = True
                piece[: len(self._fade)] *= self._fade
            if not stream.cancelled:
                self._emit(stream, piece)

    def _emit(self, stream: Stream, event: Samples | Ending) -> None:
        try:
            stream.listener(event)
        except Exception:  # the caller's code must not affect the other streams
            log.exception("a listener failed")
            stream.cancelled = True


def _ending(stream: Stream) -> Ending:
    if stream.cancelled:
        return Ending.CANCELLED
    return stream.ending or Ending.FINISHED


def _language(stream: Stream) -> int:
    return id(stream.utterance.language)
