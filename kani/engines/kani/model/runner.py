"""Runs the language model, the sampler and the codec over one set of slots on a device.

Running sequences are in slots 0 to n − 1. A frame is made in two halves: ``begin_frame`` draws its four
codes, reading three of them back in; ``advance`` reads the fourth and computes the logits of the next frame's
first code. So a CPU can decode a frame before the language model reads on, a few frames at once. A GPU makes
whole frames: ``begin_frame`` replays two CUDA graphs, of both halves and of the frame's audio for all
sequences, and the next frame may begin before the CPU waits, in ``end_frame``, for codes and samples. The
scheduler decides which sequence runs when.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from kani.engines.kani.model.codec.nanocodec import NanoCodec
from kani.engines.kani.model.graphs import Frame, Graphs, HostCopies
from kani.engines.kani.model.lfm2 import SPEAKER_POSITION, LanguageModel
from kani.engines.kani.model.sampler import SamplerState, Sampling
from kani.runtime.device import host_copy, sent
from kani.runtime.errors import OutOfMemory
from kani.runtime.silence_trim import AUDIBLE

Codes = npt.NDArray[np.int64]
Samples = npt.NDArray[np.float32]

_ROW_COUNTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
_SPANS = (256, 512, 1024)

_PROMPT_TOKENS = (20, 40, 64, 100, 200)
"""Sizes of prompts that a GPU's libraries have other kernels for."""

MAX_CHUNK_FRAMES = 24
"""The most frames of a piece of audio."""
_KEPT_FRAMES = MAX_CHUNK_FRAMES + 2
"""The latest frames with audio on the CPU's side: those of a piece, and the one that is being made."""

MAX_PREFILL_PROMPTS = 64
"""Prompts that a GPU reads at a time."""
_RESERVE = 0.9
_MEMORY = Path("/proc/meminfo")


@dataclass(frozen=True, slots=True)
class SavedSlot:
    """Everything that a sequence has in its slot, kept elsewhere while it is paused."""

    tokens: int  # that it has read
    language: Sequence[Tensor]
    rest: Sequence[Tensor]


class Prefill:
    """Prompts being read, in a state of their own: running sequences are not affected."""

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
        padded = torch.tensor([tokens + [0] * (longest - len(tokens)) for tokens in rows])
        self.tokens = sent(padded, model.device)
        self.state = model.new_state(len(rows), longest)
        self.hidden = torch.zeros((len(prompts), model.config.hidden), device=model.device)
        self.tokens_read = 0

    @property
    def done(self) -> bool:
        return self.tokens_read == self.tokens.shape[1]


class Runner:
    """Slots on a device. Not thread-safe: one thread calls it."""

    def __init__(
        self,
        model: LanguageModel,
        codec: NanoCodec,
        *,
        slots: int,
        max_prompt_tokens: int,
        max_frames: int,
        whole_frames: bool | None = None,
    ) -> None:
        """Allocate the slots. Raises OutOfMemory where they do not fit.

        max_prompt_tokens, max_frames: maximum of one sequence; whole_frames: see the attribute, None stands
        for what suits the device.
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
            raise OutOfMemory(f"{slots} slots do not fit into memory: a lower KANI_MAX_CONCURRENT") from error
        self._logits = torch.zeros((slots, model.layout.codebook_size + 1), device=device)
        self._codes = torch.zeros((slots, model.layout.codebooks), dtype=torch.long, device=device)
        self._active = torch.zeros(slots, dtype=torch.long, device=device)
        self._slots = torch.arange(slots, device=device)
        # Zero where a slot is free: frames of more rows than sequences compute it, too.
        self._counters = (self._active, self._language.position, self._sampler.frame)
        self._tokens_read = np.zeros(slots, np.int64)
        self._on_gpu = device.type == "cuda"
        self.whole_frames = self._on_gpu if whole_frames is None else whole_frames
        """``begin_frame`` makes both halves and their ``audio``; ``advance`` then has nothing to do."""
        self._samples = torch.zeros((slots, codec.config.samples_per_frame), device=device)
        self._sounding = torch.zeros(slots, dtype=torch.long, device=device)
        self._counting = torch.arange(1, codec.config.samples_per_frame + 1, device=device)
        self._results = (self._codes, self._samples, self._sounding)
        self._kept = HostCopies(self._results, _KEPT_FRAMES)
        self._graphs = Graphs()

    @staticmethod
    def capacity(max_prompt_tokens: int, max_frames: int, codebooks: int) -> int:
        """Maximum tokens of a sequence in the language model."""
        return max_prompt_tokens + codebooks * (max_frames + 1)

    @property
    def speaker_size(self) -> int:
        """Numbers of a speaker embedding; 0: the model accepts none."""
        return self._model.config.speaker_size

    @property
    def samples_per_frame(self) -> int:
        return self._codec.config.samples_per_frame

    @property
    def slot_bytes(self) -> int:
        """Bytes of one sequence: keys and values, contexts, sampling state, the codec's state."""
        # On the device of sizes only: nothing is allocated.
        sizes = torch.device("meta")
        language = self._model.new_state(1, device=sizes).views(0, self._model.capacity)
        sampler = SamplerState(self.layout, slots=1, frames=self.max_frames + 1, device=sizes)
        return sum(view.nbytes for view in (*language, *sampler.views(0), self._codec.new_state(1)))

    def _check_memory(self, slots: int) -> None:
        device = self._model.device
        if device.type == "cuda":
            free = torch.cuda.mem_get_info(device)[0]
        elif _MEMORY.exists():
            # MemAvailable, not MemFree: cached files fill the difference.
            fields = dict(line.split(":") for line in _MEMORY.read_text("ascii").splitlines())
            free = int(fields["MemAvailable"].split()[0]) * 1024
        else:
            return
        required = slots * self.slot_bytes
        if required > free * _RESERVE:
            fitting = int(free * _RESERVE) // self.slot_bytes
            raise OutOfMemory(
                f"{slots} slots need {required / 2**30:.1f} GiB of {free / 2**30:.1f} GiB that are free: "
                + (f"at most KANI_MAX_CONCURRENT={fitting}" if fitting else "not even one fits")
            )

    @torch.inference_mode()
    def start_prefill(
        self, prompts: Sequence[Sequence[int]], speakers: Sequence[Sequence[float]] = ()
    ) -> Prefill:
        """Start to read prompts, each of 1 to ``max_prompt_tokens`` tokens.

        speakers: for each prompt ``speaker_size`` numbers, which replace one token, or none. Raises
        ValueError for another number of them.
        """
        return Prefill(self._model, prompts, speakers)

    @torch.inference_mode()
    def prefill_chunk(self, prefill: Prefill, tokens: int) -> None:
        """Read up to ``tokens`` more tokens of each prompt."""
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
        """Put the completely read prompt in ``row`` into ``slot``: it runs from the next frame on."""
        length = prefill.lengths[row]
        self._language.put(slot, prefill.state.views(row, length), length)
        self._tokens_read[slot] = length
        self._logits[slot] = self._model.head(prefill.hidden[row, None], 0)[0]
        self._sampler.reset(slot, sampling)
        self._codec.reset(self._audio, self._slots[slot, None])
        self._active[slot].fill_(1)

    @torch.inference_mode()
    def release(self, slot: int, count: int) -> None:
        """Free ``slot`` of ``count`` that run; the last of them moves there."""
        last = count - 1
        if slot != last:
            self._put(slot, self._views(last))
            self._codes[slot] = self._codes[last]
        for counter in self._counters:
            counter[last].fill_(0)

    @torch.inference_mode()
    def release_all(self) -> None:
        for counter in self._counters:
            counter.zero_()

    @torch.inference_mode()
    def save(self, slot: int) -> SavedSlot:
        """Copy a sequence to the host, for ``restore``; a frame of it has begun.

        Not to the GPU: there may be many, and its memory was shared out among the slots.
        """
        kept = self._views(slot)
        return SavedSlot(kept.tokens, list(map(host_copy, kept.language)), list(map(host_copy, kept.rest)))

    @torch.inference_mode()
    def restore(self, slot: int, saved: SavedSlot) -> None:
        """Put a paused sequence into ``slot``: it runs again from the next frame on."""
        self._put(slot, saved)
        self._active[slot].fill_(1)

    def _views(self, slot: int) -> SavedSlot:
        tokens = int(self._tokens_read[slot])
        return SavedSlot(tokens, self._language.views(slot, tokens), self._others(slot))

    def _put(self, slot: int, saved: SavedSlot) -> None:
        self._language.put(slot, saved.language, saved.tokens)
        for view, kept in zip(self._others(slot), saved.rest, strict=True):
            view.copy_(kept, non_blocking=True)
        self._tokens_read[slot] = saved.tokens

    def _others(self, slot: int) -> tuple[Tensor, ...]:
        return *self._sampler.views(slot), self._logits[slot], self._audio[slot]

    @torch.inference_mode()
    def begin_frame(self, count: int) -> Frame:
        """Begin a frame of each sequence in slots 0 to count − 1; nothing waits for a GPU."""
        codebooks = self.layout.codebooks
        span = min(int(self._tokens_read[:count].max()) + codebooks, self._model.capacity)
        if self.whole_frames:
            rows = next(rows for rows in self._row_counts() if rows >= count)
            self._graphs.run(self._make_frame, rows, next(step for step in self._spans() if step >= span))
            self._graphs.run(self._decode_frame, rows)
        else:
            self._sample(count, span)
        self._tokens_read[:count] += codebooks if self.whole_frames else codebooks - 1
        return self._kept.copy(self._results if self.whole_frames else (self._codes,), count)

    def end_frame(self, frame: Frame) -> Codes:
        """Wait for a frame, the latest or the one before: codes [count, codebooks].

        A first code of ``codebook_size`` is end_of_speech: the sequence has no such frame.
        """
        self._kept.wait(frame)
        codes: Codes = self._kept.arrays[0][frame.place : frame.place + frame.count].copy()
        return codes

    def sample(self, count: int) -> Codes:
        """Begin a frame and wait for it."""
        return self.end_frame(self.begin_frame(count))

    def audio(self, places: npt.NDArray[np.int64]) -> Samples:
        """The audio [samples] of frames at these places, one after the other, where frames are whole."""
        samples: Samples = self._kept.arrays[1].take(places, axis=0).ravel()
        return samples

    def sounding(self, places: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The number of samples until the last audible one of the frames at these places, or 0."""
        counts: npt.NDArray[np.int64] = self._kept.arrays[2][places]
        return counts

    @torch.inference_mode()
    def advance(self, count: int) -> None:
        """Read each frame's last code, and compute the logits of the next frame's first code."""
        if self.whole_frames:
            return
        span = int(self._tokens_read[:count].max()) + 1
        self._advance(count, min(span, self._model.capacity))
        self._tokens_read[:count] += 1

    @torch.inference_mode()
    def decode_audio(self, slots: Sequence[int], codes: Codes) -> Samples:
        """Decode the audio [sequences, samples] of the next frames, int64 [sequences, frames, codebooks].

        Where frames are not whole.
        """
        rows = sent(torch.tensor(slots), self._model.device)
        frames = sent(torch.from_numpy(codes), self._model.device)
        samples: Samples = self._codec.decode(frames, rows, self._audio).cpu().numpy()
        return samples

    @property
    def frames_per_call(self) -> int:
        """Frames of a sequence that ``decode_audio`` handles best at a time."""
        return self._codec.frames_per_call

    @torch.inference_mode()
    def warm_up(self, report: Callable[[str], None]) -> None:
        """Run everything once; on a GPU, capture its graphs. ``report`` receives lines of progress.

        Raises OutOfMemory where the graphs do not fit beside the slots.
        """
        try:
            if self._on_gpu:
                self._capture_all(report)
            rows, tokens = (MAX_PREFILL_PROMPTS, max(_PROMPT_TOKENS)) if self._on_gpu else (1, 64)
            self.admit(0, self._read_prompts(rows, tokens), 0, Sampling())
            codes = self.sample(1)
            self.advance(1)
            codes = np.minimum(codes, self.layout.codebook_size - 1)
            self.decode_audio([0], codes[:, None])
            self.release(0, 1)
        except torch.OutOfMemoryError as error:
            raise OutOfMemory(
                f"{self.slots} slots leave too little memory to run: a lower KANI_MAX_CONCURRENT"
            ) from error

    @torch.inference_mode()
    def warm_up_thread(self) -> None:
        """On a GPU, read prompts of many sizes once, in the thread that will read them.

        Its libraries load and choose the kernels of a size at its first call in a thread: 60 to 550 ms on
        an H200.
        """
        if self._on_gpu:
            for rows in (n for n in _ROW_COUNTS if n <= MAX_PREFILL_PROMPTS):
                for tokens in _PROMPT_TOKENS:
                    self._read_prompts(rows, tokens)

    def _read_prompts(self, rows: int, tokens: int) -> Prefill:
        prefill = self.start_prefill([[0] * min(tokens, self.max_prompt_tokens)] * rows)
        self.prefill_chunk(prefill, self.max_prompt_tokens)
        return prefill

    def _row_counts(self) -> list[int]:
        return [rows for rows in _ROW_COUNTS if rows < self.slots] + [self.slots]

    def _spans(self) -> list[int]:
        return [span for span in _SPANS if span < self._model.capacity] + [self._model.capacity]

    def _capture_all(self, report: Callable[[str], None]) -> None:
        """Capture the graphs, while no sequence runs: every capture would advance it, past its slot's end."""
        # The largest first: the others' memory is a part of its.
        for rows in reversed(self._row_counts()):
            report(f"capturing CUDA graphs for {rows} sequences")
            self._graphs.capture(self._decode_frame, rows)
            for span in reversed(self._spans()):
                self._graphs.capture(self._make_frame, rows, span)

    def _make_frame(self, rows: int, span: int) -> None:
        self._sample(rows, span)
        self._advance(rows, span)

    def _decode_frame(self, rows: int) -> None:
        # An ended sequence has no frame, and a free slot none that is heard.
        codes = self._codes[:rows, None].clamp_max(self.layout.codebook_size - 1)
        self._samples[:rows] = self._codec.decode(codes, self._slots[:rows], self._audio)
        self._sounding[:rows] = ((self._samples[:rows].abs() >= AUDIBLE) * self._counting).amax(1)

    def _sample(self, rows: int, span: int) -> None:
        codes, live = self._codes[:rows], self._active[:rows]
        codes[:, 0] = self._sampler.draw(self._logits[:rows], 0)
        for codebook in range(1, self.layout.codebooks):
            hidden = self._read_codes(codebook - 1, rows, span)
            codes[:, codebook] = self._sampler.draw(self._model.head(hidden, codebook), codebook)
        self._sampler.frame[:rows] += live

    def _advance(self, rows: int, span: int) -> None:
        hidden = self._read_codes(self.layout.codebooks - 1, rows, span)
        self._logits[:rows] = self._model.head(hidden, 0)

    def _read_codes(self, codebook: int, rows: int, span: int) -> Tensor:
        start, end = self.layout.codebook_range(codebook)
        # An ended sequence has no code to read; whatever it reads is never decoded.
        tokens = (self._codes[:rows, codebook] + start).clamp_max(end - 1)
        hidden = self._model.decode(tokens, self._language, span)
        self._language.position[:rows] += self._active[:rows]
        return hidden
