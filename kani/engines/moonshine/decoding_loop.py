"""Passes of many streams in one thread: answers join and leave a loop of steps, one token each a step."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch

from kani.core.types import Samples
from kani.engines.moonshine.checkpoint import FRAME_SAMPLES, SAMPLE_RATE
from kani.engines.moonshine.decoder import Decoder, Memory, Next, Sequence
from kani.engines.moonshine.encoder import Encoder

log = logging.getLogger(__name__)

# Audio that the encoder takes of one stream in a step beside others: they wait for it.
_SLICE = SAMPLE_RATE


class StreamState:
    """State that a stream's passes keep: the encoded audio, and the last answer, which the next begins with.

    Used by the loop's thread only.
    """

    def __init__(self, encoder: Encoder, decoder: Decoder) -> None:
        self._networks = encoder, decoder
        self._start = -1
        self._heard = 0
        self._encoding, self.memory = encoder.stream(), Memory(decoder)
        self.draft: tuple[int, ...] = ()
        """Tokens of the last answer, with those that it was given."""

    def hear(self, samples: Samples, start: int, most: int) -> bool:
        """Encode what is new of ``samples``, ``most`` of them; returns whether that is all.

        start: of the samples, in samples of the stream; from another start than before they are heard anew.
        """
        encoder, decoder = self._networks
        if start != self._start:
            self._start, self._heard = start, 0
            self._encoding, self.memory = encoder.stream(), Memory(decoder)
        until = min(len(samples), self._heard + most) // FRAME_SAMPLES * FRAME_SAMPLES
        self.memory.add(self._encoding.feed(torch.tensor(samples[self._heard : until])))
        self._heard = until
        return until + FRAME_SAMPLES > len(samples)

    def draft_after(self, prefix: tuple[int, ...]) -> list[int]:
        """Return the tokens that the last answer had after ``prefix``, or after where it has that."""
        for at in range(len(self.draft) - len(prefix) + 1):
            if self.draft[at : at + len(prefix)] == prefix:
                return list(self.draft[at + len(prefix) :])
        return []


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """Tokens after the prefix, without the one that ends the text."""

    tokens: tuple[int, ...]
    log_probabilities: tuple[float, ...]
    attention: npt.NDArray[np.float32]
    """To the encoder's rows, of each token of prefix and answer, and of the end: [tokens + 1, rows]."""
    ended: bool
    """False if it has as many tokens as were allowed, or was stopped."""


@dataclass(slots=True, eq=False)
class Pass:
    """One answer to be written."""

    stream: StreamState
    samples: Samples  # 16 kHz, all that may be attended to
    start: int  # of the samples, in samples of the stream
    prefix: tuple[int, ...]  # tokens that the answer follows
    most: int  # tokens of the answer
    stopped: Callable[[], bool]  # returns True once nothing needs the answer
    answer: Future[Answer] = field(default_factory=Future)
    tokens: list[int] = field(default_factory=list)
    log_probabilities: list[float] = field(default_factory=list)
    draft: list[int] = field(default_factory=list)
    sequence: Sequence | None = None

    def begin(self, decoder: Decoder) -> Sequence:
        """Return the sequence of the first step: it looks at a whole draft at once."""
        self.draft = self.stream.draft_after(self.prefix)[: self.most]
        tokens = [decoder.sizes.first, *self.prefix, *self.draft]
        most = 1 + len(self.prefix) + self.most
        self.sequence = decoder.sequence(self.stream.memory, tokens, len(self.draft) + 1, most)
        return self.sequence

    def take(self, following: Next, ends: frozenset[int]) -> bool:
        """Take the tokens that follow; returns whether the answer is complete.

        Of the draft those tokens are kept that the model would have written.
        """
        sequence, kept = self.sequence, 0
        assert sequence is not None
        if self.draft:
            while kept < len(self.draft) and following.tokens[kept] == self.draft[kept]:
                kept += 1
            sequence.cut(1 + len(self.prefix) + kept)
            self.tokens, self.draft = self.draft[:kept], []
            self.log_probabilities = following.log_probabilities[:kept]
        token = following.tokens[kept]
        ended = token in ends
        if ended or len(self.tokens) >= self.most or self.stopped():
            self.finish(ended=ended)
            return True
        self.tokens.append(token)
        self.log_probabilities.append(following.log_probabilities[kept])
        sequence.tokens, sequence.asked = [token], 1
        return False

    def finish(self, *, ended: bool) -> None:
        """Set the answer."""
        rows = self.sequence.attention if self.sequence is not None else []
        attention = torch.stack(rows).numpy() if rows else np.zeros((1, 0), np.float32)
        self.stream.draft = (*self.prefix, *self.tokens)
        self.answer.set_result(Answer(tuple(self.tokens), tuple(self.log_probabilities), attention, ended))


class DecodingLoop:
    """Writes answers; any thread may ask for one."""

    def __init__(self, encoder: Encoder, decoder: Decoder) -> None:
        self._encoder = encoder
        self._decoder = decoder
        # One thread: OpenMP's helpers stay with it.
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="moonshine")
        self._lock = threading.Lock()
        self._joining: list[Pass] = []
        self._running = False
        self.steps = 0
        """Steps of the decoder so far."""

    def stream(self) -> StreamState:
        """Return the state of a new stream."""
        return StreamState(self._encoder, self._decoder)

    def run(self, one: Pass) -> Answer:
        """Return the answer of a pass; blocks. Raises RuntimeError."""
        with self._lock:
            self._joining.append(one)
            if not self._running:
                self._running = True
                self._pool.submit(self._run)
        return one.answer.result()

    def stop(self) -> None:
        """Return when no pass is left; no further one may be asked for."""
        self._pool.shutdown()

    @torch.inference_mode()
    def _run(self) -> None:
        hearing: list[Pass] = []
        writing: list[Pass] = []
        while True:
            with self._lock:
                hearing += self._joining
                self._joining.clear()
                if not hearing and not writing:
                    self._running = False
                    return
            try:
                hearing, joining = self._hear(hearing, beside=len(hearing) + len(writing) > 1)
                writing += joining
                writing = self._step(writing) if writing else []
            except Exception as error:  # whatever it is, no thread may wait for an answer without end
                log.exception("a step of the recogniser failed for %d passes", len(hearing) + len(writing))
                for one in (*hearing, *writing):
                    if not one.answer.done():
                        one.answer.set_exception(RuntimeError(f"a step of the recogniser failed: {error}"))
                hearing, writing = [], []

    def _hear(self, hearing: list[Pass], *, beside: bool) -> tuple[list[Pass], list[Pass]]:
        """Encode audio of each pass; returns those that have more, and those that begin to write."""
        more, begun = list[Pass](), list[Pass]()
        for one in hearing:
            if one.stopped():
                one.finish(ended=False)
                continue
            try:
                heard = one.stream.hear(one.samples, one.start, _SLICE if beside else len(one.samples))
            except RuntimeError as error:
                one.answer.set_exception(error)
                continue
            if not heard:
                more.append(one)
            elif not one.stream.memory.rows:
                one.finish(ended=True)
            else:
                one.begin(self._decoder)
                begun.append(one)
        return more, begun

    def _step(self, writing: list[Pass]) -> list[Pass]:
        """Make one step of all answers; returns those that go on."""
        sequences = [one.sequence for one in writing if one.sequence is not None]
        found = self._decoder.step(sequences)
        self.steps += 1
        ends = self._decoder.sizes.ends
        return [one for one, following in zip(writing, found, strict=True) if not one.take(following, ends)]
