"""The int8 language model with all layers in one call of int8.cpp: a fraction of the calls."""

import mmap
import threading
from collections.abc import Sequence
from contextlib import suppress
from ctypes import addressof, byref
from types import MappingProxyType

import torch
from torch import Tensor
from torch.nn import functional

from kani.engines.kani.model.checkpoint import Weights
from kani.engines.kani.model.lfm2 import Attention, LanguageModel, Layer, SpeakerRows
from kani.engines.kani.model.model_config import ModelConfig
from kani.engines.kani.model.native.library import (
    Buffers,
    Library,
    Matrix,
    Model,
    NativeLayer,
    State,
    Streams,
)
from kani.engines.kani.model.state import LanguageState
from kani.engines.kani.model.tokens import TokenLayout
from kani.runtime.linear import Linear

_TINY = 1e-12
_LEVELS = 127
STRETCH = 256
"""Inputs of a row that share a scale, as in product.h."""
_LARGE_PAGE = 2**21
_MAX_INPUTS = 65_536  # 255 * 127 times that still fits into 32 bits


class NativeInt8:
    """A product of int8 weights in int8.cpp's layout, one scale per output, with rows quantised one by one.

    A row's levels are round(x * 127 / peak), with a peak per 256 inputs. Their sums are exact: a row's result
    depends neither on the other rows nor on the number of threads.
    """

    def __init__(self, weight: Tensor, library: Library, groups: int = 1) -> None:
        """Raises ValueError for sizes that do not fit.

        weight: float32 [outputs, inputs]; groups: 1, or the number, 2 or 3, of equal parts of the outputs:
        ``NativeLanguageModel`` reads a piece of each at a time.
        """
        outputs, inputs = weight.shape
        if outputs % groups or not 0 < inputs <= _MAX_INPUTS:
            raise ValueError(f"no product of {outputs} outputs in {groups} groups and {inputs} inputs")
        self._library = library
        vectors = 2 if groups == 1 else groups
        lanes = library.lanes
        peaks = weight.abs().amax(1).clamp_min(_TINY)
        levels = torch.round(weight * (_LEVELS / peaks)[:, None]).add_(128).to(torch.uint8)
        levels = functional.pad(_panels(levels, groups, vectors, lanes), (0, -inputs % 4))
        fours = levels.reshape(len(levels), vectors, lanes, -1, 4)
        self._levels = _in_large_pages(fours.permute(0, 3, 1, 2, 4))
        self._scales = _panels((peaks / _LEVELS)[:, None], groups, vectors, lanes).contiguous()
        self.matrix = Matrix(
            self._levels.data_ptr(), self._scales.data_ptr(), inputs, outputs, groups, vectors, len(levels)
        )

    def __call__(self, rows: Tensor) -> Tensor:
        return self._product(rows, normed=False, epsilon=0.0)

    def normed(self, rows: Tensor, epsilon: float) -> Tensor:
        return self._product(rows, normed=True, epsilon=epsilon)

    def _product(self, rows: Tensor, *, normed: bool, epsilon: float) -> Tensor:
        if rows.shape[-1] != self.matrix.inputs:
            raise ValueError(f"rows have {rows.shape[-1]} inputs, the product {self.matrix.inputs}")
        rows = rows.to(torch.float32).contiguous()
        out = rows.new_empty((*rows.shape[:-1], self.matrix.outputs))
        count = out.numel() // self.matrix.outputs
        levels = torch.empty(count * row_bytes(self.matrix.inputs), dtype=torch.int8)
        parts = count * stretches(self.matrix.inputs)
        offsets, scales = torch.empty(parts, dtype=torch.int32), torch.empty(parts)
        threads = self._library.threads(torch.get_num_threads())
        self._library.product(
            byref(self.matrix),
            rows.data_ptr(),
            count,
            normed,
            epsilon,
            out.data_ptr(),
            levels.data_ptr(),
            offsets.data_ptr(),
            scales.data_ptr(),
            byref(threads),
        )
        return out


def stretches(inputs: int) -> int:
    """Number of scales of a row: one for each ``STRETCH`` of its inputs."""
    return -(-inputs // STRETCH)


def row_bytes(inputs: int) -> int:
    """Bytes of a quantised row: whole cache lines."""
    return (inputs + 63) // 64 * 64


def _in_large_pages(values: Tensor) -> Tensor:
    """Copy into pages of 2 MiB, where the system has them: a step is 5 to 8 % faster than with small ones."""
    memory = mmap.mmap(-1, values.numel() + _LARGE_PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with suppress(OSError):
        memory.madvise(mmap.MADV_HUGEPAGE)
    buffer = torch.frombuffer(memory, dtype=torch.uint8)
    start = -buffer.data_ptr() % _LARGE_PAGE
    return buffer[start : start + values.numel()].view(values.shape).copy_(values)


def _panels(rows: Tensor, groups: int, vectors: int, lanes: int) -> Tensor:
    """Reorder [outputs, inputs] to [panels, vectors, lanes, inputs], zero where there is no output."""
    parts = rows.reshape(groups, len(rows) // groups, -1)
    step = lanes * vectors // groups
    parts = functional.pad(parts, (0, 0, 0, -parts.shape[1] % step))
    # One group's panels are two vectors of its own; several groups' are a vector of each.
    apart = parts.reshape(groups, -1, vectors // groups, lanes, parts.shape[-1]).transpose(0, 1)
    return apart.flatten(1, 2)


_MAX_PRIVATE_ROWS = 16
"""Up to this many rows each thread quantises for itself, which saves synchronising; more are shared out."""


class NativeLanguageModel(LanguageModel):
    """A LanguageModel in int8 with all layers in one call; keys and values are kept in half precision.

    A row's result depends on its own sequence only: not on the other rows, their number, or the number of
    threads, bit for bit; and a prompt read in pieces or a token at a time leaves the same state.
    """

    def __init__(
        self, config: ModelConfig, weights: Weights, layout: TokenLayout, *, library: Library, capacity: int
    ) -> None:
        """As LanguageModel. Raises ValueError for sizes that the kernels do not support."""
        self._library = library
        super().__init__(
            config, weights, layout, precision=torch.float32, device=torch.device("cpu"), capacity=capacity
        )
        # A row is looked up, not multiplied: half precision halves the table.
        self._embedding = self._embedding.bfloat16()
        self.cache_precision = torch.float16
        self._referenced = [(layer, _small(layer)) for layer in self._layers]
        self._native_layers = (NativeLayer * len(self._layers))(
            *(_native(*kept) for kept in self._referenced)
        )
        self._model = Model(
            addressof(self._native_layers),
            len(self._layers),
            config.hidden,
            config.feed_forward,
            config.heads,
            config.key_value_heads,
            config.head_size,
            config.kernel_size,
            config.norm_epsilon,
        )
        self._workspace: _Workspace | None = None
        self._lock = threading.Lock()

    def _linear(self, weight: Tensor, groups: int) -> Linear:
        return NativeInt8(weight, self._library, groups)

    def decode(self, tokens: Tensor, state: LanguageState, span: int) -> Tensor:
        """See LanguageModel; each sequence is read up to its own length, whatever ``span``.

        Raises ValueError if a slot or its memory does not exist or is full.
        """
        hidden, count = self._embedding[tokens].float(), len(tokens)
        position = state.position[:count]
        slots, starts, lengths = list(range(count)), position.tolist(), [1] * count
        self._check(hidden, state, slots, starts, lengths)
        rotations = self._rotary.speech(position, state.speech_start[:count])
        return self._run(hidden, state, slots, starts, lengths, rotations)

    def prefill(
        self,
        tokens: Tensor,
        lengths: Sequence[int],
        state: LanguageState,
        start: int,
        speakers: SpeakerRows = MappingProxyType({}),
    ) -> Tensor:
        """See LanguageModel; nothing is computed for padding. Raises ValueError as ``decode``."""
        count, length = tokens.shape
        end = start + length
        valid = [min(max(whole - start, 0), length) for whole in lengths]
        rows = self._input_rows(tokens, start, speakers)
        self._set_speech_start(state, lengths, speakers)
        # The rows without padding, one prompt after the other.
        hidden = torch.cat([row[:n] for row, n in zip(rows, valid, strict=True)])
        slots = [slot for slot, n in enumerate(valid) if n]
        starts, some = [start] * len(slots), [n for n in valid if n]
        self._check(hidden, state, slots, starts, some)
        rotations = torch.cat([self._rotary.prompt(start, start + n) for n in valid], 1)
        hidden = self._run(hidden, state, slots, starts, some, rotations)
        state.position[:count] = torch.tensor([min(end, whole) for whole in lengths])
        last = torch.tensor(valid).cumsum(0) - 1
        return hidden[last.clamp_min(0)]

    def _run(
        self,
        hidden: Tensor,
        state: LanguageState,
        slots: list[int],
        starts: list[int],
        lengths: list[int],
        rotations: Tensor,
    ) -> Tensor:
        out = hidden.to(torch.float32, memory_format=torch.contiguous_format, copy=True)
        if not slots:
            return out
        begin = [0]
        for length in lengths:
            begin.append(begin[-1] + length)
        numbers = torch.tensor([*slots, *starts, *begin])
        first = numbers.data_ptr()
        rotation_pairs = torch.view_as_real(rotations).contiguous()
        streams = Streams(
            first,
            first + 8 * len(slots),
            first + 16 * len(slots),
            state.self_masked_from.data_ptr(),
            rotation_pairs.data_ptr(),
            rotation_pairs.stride(0) if len(rotation_pairs) > 1 else 0,
            len(slots),
        )
        memory = State(
            state.cache.data_ptr(),
            state.context.data_ptr(),
            state.cache.dtype == torch.float16,
            len(state.position),
            state.capacity,
        )
        threads = self._library.threads(torch.get_num_threads())
        with self._lock:
            workspace = self._workspace
            if workspace is None or not workspace.holds(len(out), threads.wanted, state.capacity):
                workspace = self._workspace = _Workspace(
                    self.config, len(out), threads.wanted, state.capacity, self._library.lanes
                )
            workspace.buffers.shared = len(out) > _MAX_PRIVATE_ROWS
            self._library.step(
                byref(self._model),
                byref(memory),
                byref(streams),
                byref(workspace.buffers),
                out.data_ptr(),
                byref(threads),
            )
        return out

    def _check(
        self, hidden: Tensor, state: LanguageState, slots: list[int], starts: list[int], lengths: list[int]
    ) -> None:
        """Refuse what would make the kernel write outside its memory."""
        config = self.config
        attention = sum(config.attention)
        slot_count = len(state.position)
        cache = (attention, 2, slot_count, config.key_value_heads, state.capacity, config.head_size)
        context = (len(config.attention) - attention, slot_count, config.kernel_size - 1, config.hidden)
        if state.cache.shape != cache or state.context.shape != context:
            raise ValueError("this state is not of this model")
        if state.cache.dtype not in (torch.float32, torch.float16) or state.context.dtype != torch.float32:
            raise ValueError(f"no memory of {state.cache.dtype} and {state.context.dtype}")
        if not (state.cache.is_contiguous() and state.context.is_contiguous()):
            raise ValueError("the state's memory has gaps")
        if hidden.shape != (sum(lengths), config.hidden):
            raise ValueError(f"{list(hidden.shape)} are not {sum(lengths)} rows of {config.hidden}")
        if slots and slots[-1] >= slot_count:
            raise ValueError(f"slot {slots[-1]} of {slot_count}")
        end = min(state.capacity, self._rotary.capacity)
        for slot, start, length in zip(slots, starts, lengths, strict=True):
            if start < 0 or start + length > end:
                raise ValueError(
                    f"slot {slot} has no room for tokens {start} to {start + length - 1} of {end}"
                )


def _small(layer: Layer) -> Tensor:
    mixer = layer.mixer
    return (mixer.head_norms if isinstance(mixer, Attention) else mixer.taps).float().contiguous()


def _native(layer: Layer, small: Tensor) -> NativeLayer:
    mixer = layer.mixer
    if isinstance(mixer, Attention):
        first = _matrix(mixer.queries_keys_values, 1)
    else:
        first = _matrix(mixer.gates_and_input, 3)
    return NativeLayer(
        first,
        _matrix(mixer.out, 1),
        _matrix(layer.gate_and_up, 2),
        _matrix(layer.down, 1),
        small.data_ptr(),
        isinstance(mixer, Attention),
        layer.index,
    )


def _matrix(product: Linear, groups: int) -> Matrix:
    if not isinstance(product, NativeInt8) or product.matrix.groups != groups:
        raise ValueError(f"not a NativeInt8 in {groups} groups: {product}")
    return product.matrix


class _Workspace:
    """Buffers for what lies between a step's products."""

    def __init__(self, config: ModelConfig, rows: int, threads: int, capacity: int, lanes: int) -> None:
        self._rows, self._threads, self._capacity = rows, threads, capacity
        mixed = max(config.heads * config.head_size, config.hidden)
        widest = max(mixed, config.feed_forward)
        group = config.heads // config.key_value_heads
        # Per thread: gated inputs of a few channels, or a group's queries and weights of all keys.
        own = max(rows * 2 * lanes, group * (config.head_size + capacity + 2 * lanes))
        quantised = max(rows, min(rows, _MAX_PRIVATE_ROWS) * threads)
        self._floats = [
            torch.empty(size)
            for size in (
                rows * (config.heads + 2 * config.key_value_heads) * config.head_size,
                rows * mixed,
                rows * config.feed_forward,
                threads * own,
            )
        ]
        self._levels = torch.empty(quantised * row_bytes(widest), dtype=torch.int8)
        self._offsets = torch.empty(quantised * stretches(widest), dtype=torch.int32)
        self._scales = torch.empty(quantised * stretches(widest))
        self.buffers = Buffers(
            *(tensor.data_ptr() for tensor in (*self._floats, self._levels, self._offsets, self._scales)), own
        )

    def holds(self, rows: int, threads: int, capacity: int) -> bool:
        return rows <= self._rows and threads <= self._threads and capacity <= self._capacity
