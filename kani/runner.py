"""The device's side of speaking: language model, sampler and codec over one set of slots.

Streams that run are in slots 0 to n − 1. A frame is made in two halves: ``complete`` draws its four
codes, reading three of them back in; ``begin`` reads the fourth and rates the next frame's first
code. So the codec can speak a frame before the language model reads on. Which stream runs when is
the scheduler's affair.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from kani.codec.nanocodec import NanoCodec
from kani.errors import OutOfMemory
from kani.lfm2 import SPEAKER_POSITION, LanguageModel
from kani.sampler import SamplerState, Sampling, SavedDraws
from kani.state import LanguageState, SavedSequence

Codes = npt.NDArray[np.int64]
Samples = npt.NDArray[np.float32]

_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
_SPANS = (256, 512, 1024)
_RESERVE = 0.9
_MEMORY = Path("/proc/meminfo")

# torch gives these two no types.
_new_stream = cast("Callable[[], torch.cuda.Stream]", torch.cuda.Stream)
_new_event = cast("Callable[[], torch.cuda.Event]", torch.cuda.Event)


@dataclass(frozen=True, slots=True)
class SavedSlot:
    """All that a stream has in its slot, kept elsewhere while it is paused."""

    language: SavedSequence
    draws: SavedDraws
    logits: Tensor
    codec: Tensor


class Prefill:
    """Prompts that are being read, in a state of their own: the streams that run don't notice."""

    def __init__(
        self, model: LanguageModel, prompts: Sequence[Sequence[int]], speakers: Sequence[Sequence[float]]
    ) -> None:
        self.speakers = {
            row: model.project_speaker(speaker) for row, speaker in enumerate(speakers) if speaker
        }
        rows = [list(prompt) for prompt in prompts]
        for row in self.speakers:
            rows[row].insert(SPEAKER_POSITION, 0)
        self.lengths = [len(row) for row in rows]
        longest = max(self.lengths)
        self.tokens = torch.zeros((len(rows), longest), dtype=torch.long, device=model.device)
        for number, tokens in enumerate(rows):
            self.tokens[number, : len(tokens)] = torch.tensor(tokens, device=model.device)
        self.state = model.new_state(len(rows), longest)
        self.hidden = torch.zeros((len(prompts), model.config.hidden), device=model.device)
        self.tokens_read = 0

    @property
    def done(self) -> bool:
        """Whether all prompts have been read."""
        return self.tokens_read == self.tokens.shape[1]


class Runner:
    """Slots on a device. Not thread-safe: one thread calls it."""

    def __init__(
        self, model: LanguageModel, codec: NanoCodec, *, slots: int, max_prompt_tokens: int, max_frames: int
    ) -> None:
        """longest_prompt in tokens, longest_frames in frames: what one stream may have at most.

        Raises OutOfMemory where so many slots don't fit.
        """
        self.layout = model.layout
        self.slots = slots
        self.max_frames = max_frames
        self.max_prompt_tokens = max_prompt_tokens
        self._model = model
        self._codec = codec
        self._check_memory(slots)
        device = model.device
        try:
            self._language = model.new_state(slots)
            self._sampler = SamplerState(model.layout, slots=slots, frames=max_frames + 1, device=device)
            self._audio = codec.new_state(slots)
        except RuntimeError as error:
            raise OutOfMemory(f"{slots} slots do not fit into memory: fewer --slots") from error
        self._logits = torch.zeros((slots, model.layout.codebook_size + 1), device=device)
        self._codes = torch.zeros((slots, model.layout.codebooks), dtype=torch.long, device=device)
        self._live = torch.zeros(slots, dtype=torch.long, device=device)
        self._read = [0] * slots
        self._graphs: dict[tuple[int, int, bool], torch.cuda.CUDAGraph] = {}
        self._on_gpu = device.type == "cuda"
        # The codec's: it speaks beside the language model.
        self._second = _new_stream() if self._on_gpu else None
        self._pool = torch.cuda.graph_pool_handle() if self._on_gpu else None

    @staticmethod
    def capacity(longest_prompt: int, longest_frames: int, codebooks: int) -> int:
        """Tokens that the language model has to have room for."""
        return longest_prompt + codebooks * (longest_frames + 1)

    @property
    def speaker_size(self) -> int:
        """Numbers of a speaker embedding; 0: the model takes none."""
        return self._model.config.speaker_size

    @property
    def slot_bytes(self) -> int:
        """Bytes that one stream takes: keys and values, contexts, draws, the codec's memory."""
        capacity = self._model.capacity
        language = LanguageState.nbytes(
            self._model.config,
            capacity=capacity,
            cache=self._model.cache_precision,
            context=self._model.activations,
        )
        draws = 4 * self.layout.codebooks * (self.max_frames + 1) + self.layout.codebooks * (
            self.layout.codebook_size + 1
        )
        return language + draws + self._codec.new_state(1).nbytes

    def _check_memory(self, slots: int) -> None:
        device = self._model.device
        if device.type == "cuda":
            free = torch.cuda.mem_get_info(device)[0]
        elif _MEMORY.exists():
            # Not what is free, but what can be: files that were read lately fill the rest.
            fields = dict(line.split(":") for line in _MEMORY.read_text("ascii").splitlines())
            free = int(fields["MemAvailable"].split()[0]) * 1024
        else:
            return
        needed = slots * self.slot_bytes
        if needed > free * _RESERVE:
            fitting = int(free * _RESERVE) // self.slot_bytes
            raise OutOfMemory(
                f"{slots} slots need {needed / 2**30:.1f} GiB of {free / 2**30:.1f} GiB that are free: "
                + (f"at most --slots {fitting}" if fitting else "not even one fits")
            )

    @torch.inference_mode()
    def start_prefill(
        self, prompts: Sequence[Sequence[int]], speakers: Sequence[Sequence[float]] = ()
    ) -> Prefill:
        """Prompts to be read, each of 1 to ``longest_prompt`` tokens.

        speakers: whom each is to be said by, ``speaker`` numbers, which take the place of one token, or
        none. Raises ValueError for another number of them.
        """
        return Prefill(self._model, prompts, speakers)

    @torch.inference_mode()
    def prefill_chunk(self, prefill: Prefill, tokens: int) -> None:
        """Read up to so many more tokens of each prompt."""
        start, end = prefill.tokens_read, min(prefill.tokens_read + tokens, prefill.tokens.shape[1])
        hidden = self._model.prefill(
            prefill.tokens[:, start:end], prefill.lengths, prefill.state, start, prefill.speakers
        )
        for row, length in enumerate(prefill.lengths):
            if start < length <= end:
                prefill.hidden[row] = hidden[row]
        prefill.tokens_read = end

    @torch.inference_mode()
    def admit(self, slot: int, prefill: Prefill, row: int, sampling: Sampling) -> None:
        """The prompt in ``row`` has been read: its stream runs in ``slot`` from the next frame on."""
        length = prefill.lengths[row]
        self._language.copy_from(slot, prefill.state, row, length)
        self._read[slot] = length
        self._logits[slot] = self._model.head(prefill.hidden[row, None], 0)[0]
        self._sampler.reset(slot, sampling)
        self._codec.reset(self._audio, torch.tensor([slot], device=self._model.device))
        self._live[slot] = 1

    @torch.inference_mode()
    def release(self, slot: int, count: int) -> None:
        """Free ``slot`` of ``count`` that run; the last of them moves there."""
        last = count - 1
        if slot != last:
            self._language.copy_from(slot, self._language, last, self._read[last])
            self._sampler.move(last, slot)
            self._logits[slot] = self._logits[last]
            self._codes[slot] = self._codes[last]
            self._audio.rows[slot] = self._audio.rows[last]
            self._read[slot] = self._read[last]
        self._live[last] = 0

    def release_all(self) -> None:
        """No stream runs any more."""
        self._live.zero_()

    @torch.inference_mode()
    def save(self, slot: int) -> SavedSlot:
        """A copy of a stream whose frame has begun, on the host, for ``restore``."""
        language, draws = self._language.save(slot, self._read[slot]), self._sampler.save(slot)
        # There may be many of them, and a GPU's memory was shared out among the slots.
        return SavedSlot(
            replace(language, cache=language.cache.cpu(), context=language.context.cpu()),
            SavedDraws(tuple(numbers.cpu() for numbers in draws.tensors)),
            self._logits[slot].clone().cpu(),
            self._audio.rows[slot].clone().cpu(),
        )

    @torch.inference_mode()
    def restore(self, slot: int, saved: SavedSlot) -> None:
        """Put a paused stream into ``slot``: it runs again from the next frame on."""
        self._language.restore(slot, saved.language)
        self._sampler.restore(slot, saved.draws)
        self._logits[slot] = saved.logits
        self._audio.rows[slot] = saved.codec
        self._read[slot] = saved.language.tokens
        self._live[slot] = 1

    @torch.inference_mode()
    def sample(self, count: int) -> Codes:
        """Draw the frame of each stream in slots 0 to count − 1: codes [count, codebooks].

        A first code of ``codebook_size`` is end_of_speech: the stream has no such frame.
        """
        self._run(self._complete, count, whole=True)
        for slot in range(count):
            self._read[slot] += self.layout.codebooks - 1
        codes: Codes = self._codes[:count].cpu().numpy()
        return codes

    @torch.inference_mode()
    def advance(self, count: int) -> None:
        """Read each frame's last code, and rate the first code of the next."""
        self._run(self._begin, count, whole=False)
        for slot in range(count):
            self._read[slot] += 1

    @torch.inference_mode()
    def decode_audio(self, slots: Sequence[int], codes: Codes) -> Samples:
        """The audio [streams, samples] of the next frames, int64 [streams, frames, codebooks]."""
        if self._second is None:
            return self._decoded(slots, codes)
        # Beside the language model, which is reading the frames' last codes meanwhile.
        self._second.wait_event(self._settled)
        with torch.cuda.stream(self._second):
            return self._decoded(slots, codes)

    def _decoded(self, slots: Sequence[int], codes: Codes) -> Samples:
        device = self._model.device
        rows = torch.tensor(slots, device=device)
        samples: Samples = (
            self._codec.decode(torch.from_numpy(codes).to(device), rows, self._audio).cpu().numpy()
        )
        return samples

    @property
    def frames_per_call(self) -> int:
        """How many frames of a stream ``speak`` is best given at a time, of many streams together."""
        return self._codec.frames_per_call

    @property
    def overlaps(self) -> bool:
        """Whether ``begin`` is best called before ``speak``, to run beside it."""
        return self._on_gpu

    @torch.inference_mode()
    def warm_up(self, report: Callable[[str], None]) -> None:
        """Run everything once; on a GPU, capture its graphs. ``told`` gets a line of progress at a time."""
        if self._on_gpu:
            # While no stream runs: one that did would be led on by every capture, past its slot's end.
            for rows in self._ladder():
                report(f"capturing CUDA graphs for {rows} streams")
                for span in self._spans():
                    self._capture(rows, span)
        prefill = self.start_prefill([[0] * min(64, self.max_prompt_tokens)])
        self.prefill_chunk(prefill, self.max_prompt_tokens)
        self.admit(0, prefill, 0, Sampling())
        codes = self.sample(1)
        self.advance(1)
        codes = np.minimum(codes, self.layout.codebook_size - 1)
        self.decode_audio([0], codes[:, None])
        self.release(0, 1)

    def _ladder(self) -> list[int]:
        return [rows for rows in _ROWS if rows < self.slots] + [self.slots]

    def _spans(self) -> list[int]:
        return [span for span in _SPANS if span < self._model.capacity] + [self._model.capacity]

    def _run(self, half: Callable[[int, int], None], count: int, *, whole: bool) -> None:
        span = max(self._read[:count]) + self.layout.codebooks
        if not self._on_gpu:
            half(count, min(span, self._model.capacity))
            return
        rows = next(rows for rows in self._ladder() if rows >= count)
        span = next(step for step in self._spans() if step >= min(span, self._model.capacity))
        self._graphs[rows, span, whole].replay()
        if whole:
            self._settled = _new_event()
            self._settled.record()

    def _capture(self, rows: int, span: int) -> None:
        """Graphs of both halves for so many rows; what they write on the way belongs to nobody yet."""
        for half, whole in ((self._complete, True), (self._begin, False)):
            stream = _new_stream()
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                half(rows, span)
            torch.cuda.current_stream().wait_stream(stream)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, pool=self._pool):
                half(rows, span)
            self._graphs[rows, span, whole] = graph

    def _complete(self, rows: int, span: int) -> None:
        codes, live = self._codes[:rows], self._live[:rows]
        codes[:, 0] = self._sampler.draw(self._logits[:rows], 0)
        for codebook in range(1, self.layout.codebooks):
            hidden = self._read_codes(codebook - 1, rows, span)
            codes[:, codebook] = self._sampler.draw(self._model.head(hidden, codebook), codebook)
        self._sampler.frame[:rows] += live

    def _begin(self, rows: int, span: int) -> None:
        hidden = self._read_codes(self.layout.codebooks - 1, rows, span)
        self._logits[:rows] = self._model.head(hidden, 0)

    def _read_codes(self, codebook: int, rows: int, span: int) -> Tensor:
        start, end = self.layout.codebook_range(codebook)
        # A stream that has ended has no code to read; whatever it reads is never heard.
        tokens = (self._codes[:rows, codebook] + start).clamp_max(end - 1)
        hidden = self._model.decode(tokens, self._language, span)
        self._language.position[:rows] += self._live[:rows]
        return hidden
