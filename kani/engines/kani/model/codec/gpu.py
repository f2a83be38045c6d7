"""NanoCodec's decoder on a GPU, with its own kernels.

The same layers in the same order as ``kani.engines.kani.model.codec.layers.Decoder``, with the same state.
torch passes over memory some twenty times for a residual block, and cuDNN has no fast kernels for 27 or 54
channels. Here a convolution is one pass over channels padded to a multiple of 32: what follows it (the sum,
the activation, the conversion, the join with the next layer's past) is done before its result is stored.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
import triton
from torch import Tensor
from torch.nn import functional

from kani.engines.kani.model.codec import gpu_kernels as kernels
from kani.engines.kani.model.codec.layers import CausalConv, Decoder, HalfSnake, Stage, UpSample
from kani.engines.kani.model.graphs import Graphs

log = logging.getLogger(__name__)

_PADDED = 32
_ELEMENTS = 1024
"""Values of a program that works value by value."""
_TILE = 64
"""Rows, and most columns, of a convolution's program."""
_ROUNDS = 3
_LEAST_RATIO = 300.0
"""Least power of the samples to that of their differences from torch's: 25 dB, as bfloat16 has."""


def _padded(channels: int) -> int:
    return 16 if channels == 1 else triton.cdiv(channels, _PADDED) * _PADDED


def _pad(tensor: Tensor, *sizes: int) -> Tensor:
    short = [size - have for size, have in zip(sizes, tensor.shape[-len(sizes) :], strict=True)]
    return functional.pad(tensor, [each for end in reversed(short) for each in (0, end)]).contiguous()


@dataclass(frozen=True, slots=True)
class _Call:
    """The state of one call's streams."""

    slots: Tensor
    rows: Tensor

    def signal(self, layer: _Convolution | _UpSampling, time: int) -> Tensor:
        """An empty input of a layer: [streams, steps of its past + time, padded channels]."""
        size = (len(self.slots), layer.steps + time, layer.inputs)
        return torch.empty(size, dtype=self.rows.dtype, device=self.rows.device)

    def carry(self, layer: _Convolution | _UpSampling, signal: Tensor) -> None:
        """Put a layer's past before the new steps of its input, and keep the next past."""
        grid = (len(signal), triton.cdiv(layer.inputs, _PADDED))
        kernels.carry[grid](
            signal,
            self.rows,
            self.slots,
            self.rows.shape[1],
            layer.offset,
            signal.shape[1] - layer.steps,
            layer.channels,
            STEPS=layer.steps,
            PADDED=layer.inputs,
            ROWS=triton.next_power_of_2(layer.steps),
            BLOCK=_PADDED,
        )


class _Activation:
    """A HalfSnake before a layer."""

    def __init__(self, act: HalfSnake, channels: int) -> None:
        self.snakes = len(act.alpha)
        self.frequency, self.inverse = (
            _pad(each.float(), _padded(channels)) for each in (act.alpha / torch.pi, act.inverse)
        )

    def __call__(self, x: Tensor, signal: Tensor) -> None:
        """Activate x [streams, time, channels] into a layer's input, after its past."""
        streams, time, channels = x.shape
        kernels.activate[(triton.cdiv(x.numel(), _ELEMENTS),)](
            x,
            signal,
            self.frequency,
            self.inverse,
            self.snakes,
            streams * time,
            time,
            signal.shape[1] - time,
            CHANNELS=channels,
            BLOCK=_ELEMENTS,
        )


class _UpSampling:
    def __init__(self, up: UpSample, offset: int) -> None:
        self.steps, self.offset, self.channels, self.rate = 1, offset, up.state_size, up.rate
        self.inputs, self.outputs = _padded(self.channels), _padded(self.channels // 2)
        self.taps, self.bias = up.taps.float().contiguous(), up.bias.float()

    def __call__(self, signal: Tensor, call: _Call) -> Tensor:
        """[streams, 1 + time, inputs] to [streams, time · rate, outputs]."""
        call.carry(self, signal)
        streams, time = len(signal), signal.shape[1] - 1
        up = torch.empty((streams, time * self.rate, self.outputs), device=signal.device)
        kernels.up_sample[(triton.cdiv(up.numel(), _ELEMENTS),)](
            signal,
            self.taps,
            self.bias,
            up,
            streams * time * self.rate,
            time,
            self.rate,
            len(self.bias),
            INPUTS=self.inputs,
            OUTPUTS=self.outputs,
            BLOCK=_ELEMENTS,
        )
        return up


class _Convolution:
    def __init__(self, conv: CausalConv, offset: int) -> None:
        """offset: place of its past in a stream's state."""
        outputs, self.channels, _, self.taps = conv.weight.shape
        self.inputs, self.outputs = _padded(self.channels), _padded(outputs)
        # [tap, input, output]
        self.weight = _pad(conv.weight[:, :, 0].permute(2, 1, 0), self.inputs, self.outputs)
        self.bias = _pad(conv.bias.float(), self.outputs)
        self.steps, self.dilation, self.offset = conv.steps, conv.dilation, offset

    def __call__(
        self,
        signal: Tensor,
        call: _Call,
        *,
        added: Tensor | None = None,
        plain: Tensor | None = None,
        total: Tensor | None = None,
        share: float = 0.0,
        begun: bool = False,
        then: tuple[_Activation, Tensor] | None = None,
    ) -> None:
        """Convolve a signal; sums and results are float32 [streams, time, outputs].

        added: summed with the result; plain: receives it; total: a sum to which a ``share`` of it is added,
        once that sum has ``begun``; then: an activation, and the input of the next layer that receives it.
        """
        call.carry(self, signal)
        time = signal.shape[1] - self.steps
        rows = len(signal) * time
        columns = min(_TILE, triton.next_power_of_2(self.outputs))
        act, following = then or (None, signal)
        kernels.convolve[(triton.cdiv(rows, _TILE), triton.cdiv(self.outputs, columns))](
            signal,
            self.weight,
            self.bias,
            self.bias if added is None else added,
            self.bias if plain is None else plain,
            self.bias if total is None else total,
            share,
            following,
            self.bias if act is None else act.frequency,
            self.bias if act is None else act.inverse,
            0 if act is None else act.snakes,
            following.shape[1] - time,
            rows,
            time,
            self.steps,
            self.dilation,
            self.taps,
            INPUTS=self.inputs,
            OUTPUTS=self.outputs,
            ADDED=added is not None,
            PLAIN=plain is not None,
            TOTAL=0 if total is None else 1 + begun,
            ACTIVE=act is not None,
            ROWS=_TILE,
            COLUMNS=columns,
            DEPTH=64 if self.inputs % 64 == 0 else _PADDED,
            num_stages=4,
        )


@dataclass(frozen=True, slots=True)
class _Block:
    act: _Activation
    dilated: _Convolution
    act2: _Activation
    conv: _Convolution


class _Stage:
    def __init__(self, stage: Stage, offset: int) -> None:
        """offset: place of its first layer's past in a stream's state."""
        self.act = _Activation(stage.act, stage.up.state_size)
        self.up = _UpSampling(stage.up, offset)
        self.end = offset + stage.up.state_size
        self.branches: list[list[_Block]] = []
        for branch in stage.branches:
            blocks = []
            for block in branch:
                middle = self.end + block.dilated.state_size
                acts = [_Activation(act, block.conv.inputs) for act in (block.act, block.act2)]
                dilated, conv = _Convolution(block.dilated, self.end), _Convolution(block.conv, middle)
                blocks.append(_Block(acts[0], dilated, acts[1], conv))
                self.end = middle + block.conv.state_size
            self.branches.append(blocks)

    def __call__(self, x: Tensor, call: _Call) -> Tensor:
        """[streams, time, channels] to [streams, time · rate, half of them]."""
        signal = call.signal(self.up, x.shape[1])
        self.act(x, signal)
        x = self.up(signal, call)
        total, share = torch.empty_like(x), 1 / len(self.branches)
        time = x.shape[1]
        for number, blocks in enumerate(self.branches):
            value, signal = x, call.signal(blocks[0].dilated, time)
            blocks[0].act(x, signal)
            for block, following in zip(blocks, [*blocks[1:], None], strict=True):
                middle = call.signal(block.conv, time)
                block.dilated(signal, call, then=(block.act2, middle))
                if following is None:
                    block.conv(middle, call, added=value, total=total, share=share, begun=number > 0)
                    break
                renewed, signal = torch.empty_like(x), call.signal(following.dilated, time)
                block.conv(middle, call, added=value, plain=renewed, then=(following.act, signal))
                value = renewed
        return total


class GpuDecoder:
    """Runs a Decoder's layers; holds no sequence's state."""

    def __init__(self, decoder: Decoder) -> None:
        self._clamp = decoder.clamp
        self._first = _Convolution(decoder.first, 0)
        offset = decoder.first.state_size
        self._stages: list[_Stage] = []
        for stage in decoder.stages:
            self._stages.append(_Stage(stage, offset))
            offset = self._stages[-1].end
        self._act = _Activation(decoder.act, decoder.last.inputs)
        self._last = _Convolution(decoder.last, offset)

    def __call__(self, frames: Tensor, slots: Tensor, rows: Tensor) -> Tensor:
        """Decode frames [streams, time, inputs], slots int64 [streams], rows [slots, state size] to samples.

        Advances rows in place. The kernels launched depend only on shapes.
        """
        call = _Call(slots, rows)
        streams, time, inputs = frames.shape
        signal = call.signal(self._first, time).zero_()
        signal[:, self._first.steps :, :inputs] = frames
        x = torch.empty((streams, time, self._first.outputs), device=rows.device)
        self._first(signal, call, plain=x)
        for stage in self._stages:
            x = stage(x, call)
        signal = call.signal(self._last, x.shape[1])
        self._act(x, signal)
        samples = torch.empty((*x.shape[:2], self._last.outputs), device=rows.device)
        self._last(signal, call, plain=samples)
        return samples[:, :, 0].clamp(-1.0, 1.0) if self._clamp else samples[:, :, 0].tanh()


def faster_decoder(decoder: Decoder, streams: int, precision: torch.dtype) -> GpuDecoder | None:
    """The decoder with these kernels if it is faster than torch's layers, tried with frames of noise.

    streams: frames at once. Raises RuntimeError where its samples are not torch's.
    """
    device = decoder.first.weight.device
    own = GpuDecoder(decoder)
    noise = torch.rand((streams, 1, decoder.first.inputs), generator=torch.Generator().manual_seed(0))
    frames, slots = (2 * noise - 1).to(device), torch.arange(streams, device=device)
    state = torch.zeros((2, streams, decoder.state_size), dtype=precision, device=device)
    samples = torch.zeros((2, streams, decoder.samples), device=device)

    def by_torch() -> None:
        samples[0], renewed = decoder(frames, state[0])
        state[0].copy_(renewed)

    def by_kernels() -> None:
        samples[1] = own(frames, slots, state[1])

    torch_ms, own_ms = (_frame_ms(work) for work in (by_torch, by_kernels))
    log.info("NanoCodec, %d frames: %.2f ms by torch, %.2f by kernels of its own", streams, torch_ms, own_ms)
    ratio = float(samples[0].square().sum() / (samples[0] - samples[1]).square().sum().clamp_min(1e-30))
    if not ratio >= _LEAST_RATIO:
        raise RuntimeError(f"the samples of the kernels differ: {ratio:.1f}")
    return own if own_ms < torch_ms else None


@torch.inference_mode()
def _frame_ms(work: Callable[[], None]) -> float:
    """Milliseconds of a work, as a CUDA graph."""
    graphs = Graphs()
    graphs.capture(work)
    torch.cuda.synchronize()
    begun = time.perf_counter()
    for _ in range(_ROUNDS):
        graphs.run(work)
    torch.cuda.synchronize()
    return 1000 * (time.perf_counter() - begun) / _ROUNDS
