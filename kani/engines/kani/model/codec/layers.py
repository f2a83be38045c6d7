"""The layers of NanoCodec's decoder: causal convolutions with left context that is carried between calls.

Signals are [streams, time, channels]. Each layer with a memory reads its past from a History and leaves there
what the next call needs, so that a stream may be cut into calls anywhere, gives the same samples, and
computes each step once. The shapes of the network are those of ``CausalHiFiGANDecoder`` in NVIDIA NeMo 3.0
(Apache-2.0); the code is not.
"""

from math import prod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LEAKY_SLOPE = 0.01


class History:
    """The pasts of all layers of some streams, read and renewed in the order that the layers run."""

    def __init__(self, flat: Tensor) -> None:
        """flat: [streams, sum of steps × channels over all layers]."""
        self._flat = flat
        self._offset = 0
        self._renewed: list[Tensor] = []

    def join(self, x: Tensor, steps: int) -> Tensor:
        """Join x [streams, time, channels] with the steps before it, in the history's own type."""
        streams, time, channels = x.shape
        size = steps * channels
        past = self._flat[:, self._offset : self._offset + size].view(streams, steps, channels)
        self._offset += size
        joined = torch.cat((past, x.to(past.dtype)), dim=1)
        self._renewed.append(joined[:, time:].reshape(streams, size))
        return joined

    def renewed(self) -> Tensor:
        """The pasts for the next call, shaped as the flat they were read from."""
        return torch.cat(self._renewed, dim=1)


class HalfSnake(nn.Module):
    """x + sin²(αx)/α on the first half of the channels, a leaky ReLU on the second.

    alpha: [1, channels // 2, 1], as stored.
    """

    def __init__(self, alpha: Tensor) -> None:
        super().__init__()
        self.alpha = nn.Buffer(alpha.flatten())
        self.inverse = nn.Buffer((alpha.flatten() + 1e-9).reciprocal())

    def forward(self, x: Tensor) -> Tensor:
        """x: [streams, time, channels]."""
        snakes = self.alpha.shape[0]
        snake, leaky = x[..., :snakes], x[..., snakes:]
        snake = torch.addcmul(snake, self.inverse, torch.sin(self.alpha * snake).square())
        return torch.cat((snake, F.leaky_relu(leaky, LEAKY_SLOPE)), dim=-1)


class CausalConv(nn.Module):
    """A convolution over time that looks (kernel - 1) · dilation steps back.

    weight: [out channels, in channels, kernel]; bias: [out channels].
    """

    def __init__(self, weight: Tensor, bias: Tensor, dilation: int = 1) -> None:
        super().__init__()
        # As an image of height 1 with its channels last: the layout that all fast kernels need.
        weight = weight.unsqueeze(2).contiguous(memory_format=torch.channels_last)
        self.weight, self.bias = nn.Buffer(weight), nn.Buffer(bias)
        self.dilation = dilation
        self.inputs = weight.shape[1]
        self.steps = (weight.shape[3] - 1) * dilation
        self.state_size = self.steps * self.inputs
        self._packed = False

    def pack(self, time: int) -> None:
        """Put the weight into the layout that oneDNN chooses for signals of about ``time`` steps."""
        sizes = [1, self.inputs, 1, time + self.steps]
        self.weight = torch.ops.mkldnn._reorder_convolution_weight(
            self.weight, [0, 0], [1, 1], [1, self.dilation], 1, sizes
        )
        self._packed = True

    def forward(self, x: Tensor, history: History) -> Tensor:
        return self.convolve(history.join(x, self.steps))

    def convolve(self, joined: Tensor) -> Tensor:
        """[streams, steps + time, in channels] to [streams, time, out channels]."""
        image = joined.to(self.weight.dtype).unsqueeze(1).permute(0, 3, 1, 2)
        y: Tensor
        if self._packed:
            y = torch.ops.mkldnn._convolution_pointwise(
                image, self.weight, self.bias, [0, 0], [1, 1], [1, self.dilation], 1, "none", [], ""
            )
        else:
            y = F.conv2d(image, self.weight, self.bias, dilation=(1, self.dilation))
        return y.permute(0, 2, 3, 1).squeeze(1).contiguous()


class UpSample(nn.Module):
    """A transposed convolution with kernel 2·rate, a group for each output channel and no look-ahead.

    Two input channels make an output channel and each output step depends on two input steps, so that four
    multiplications per sample are enough. weight: [in channels, 1, 2·rate]; bias: [out channels].
    """

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.rate = rate = weight.shape[2] // 2
        # To [now or one step before, channel of the pair, position between two steps, out channel].
        self.taps = nn.Buffer(weight.reshape(-1, 2, 2, rate).permute(2, 1, 3, 0).contiguous())
        self.bias = nn.Buffer(bias)
        self.state_size = weight.shape[0]

    def forward(self, x: Tensor, history: History) -> Tensor:
        """[streams, time, in channels] to [streams, time · rate, out channels]."""
        joined = history.join(x, 1)
        first, second = joined[:, :, None, 0::2], joined[:, :, None, 1::2]
        y = torch.addcmul(self.bias, first[:, 1:], self.taps[0, 0])
        y = torch.addcmul(y, second[:, 1:], self.taps[0, 1])
        y = torch.addcmul(y, first[:, :-1], self.taps[1, 0])
        y = torch.addcmul(y, second[:, :-1], self.taps[1, 1])
        return y.flatten(1, 2)


class ResidualBlock(nn.Module):
    """x + conv(act(dilated conv(act(x))))."""

    def __init__(self, act: HalfSnake, dilated: CausalConv, act2: HalfSnake, conv: CausalConv) -> None:
        super().__init__()
        self.act, self.dilated, self.act2, self.conv = act, dilated, act2, conv

    def forward(self, x: Tensor, history: History) -> Tensor:
        """[streams, time, channels] to the same."""
        y: Tensor = self.conv(self.act2(self.dilated(self.act(x), history)), history)
        return x + y


class Stage(nn.Module):
    """Activation, up-sampling, and the mean of parallel chains of residual blocks."""

    def __init__(self, act: HalfSnake, up: UpSample, branches: list[list[ResidualBlock]]) -> None:
        super().__init__()
        self.act, self.up, self.branches = act, up, branches
        # torch knows only modules that are attributes.
        self._blocks = nn.ModuleList(block for branch in branches for block in branch)

    def forward(self, x: Tensor, history: History) -> Tensor:
        """[streams, time, channels] to [streams, time · rate, channels // 2]."""
        x = self.up(self.act(x), history)
        total: Tensor | None = None
        for branch in self.branches:
            y = x
            for block in branch:
                y = block(y, history)
            total = y if total is None else total + y
        assert total is not None
        return total / len(self.branches)


class Decoder(nn.Module):
    """Decodes dequantised frames to samples.

    state_size is the number of values in a stream's History, samples that of a frame's samples.
    """

    def __init__(
        self, first: CausalConv, stages: list[Stage], act: HalfSnake, last: CausalConv, *, clamp: bool
    ) -> None:
        super().__init__()
        self.first, self.stages, self.act, self.last = first, stages, act, last
        self._stages = nn.ModuleList(stages)
        self.clamp = clamp
        self.state_size = sum(m.state_size for m in self.modules() if isinstance(m, CausalConv | UpSample))
        self.samples = prod(stage.up.rate for stage in stages)

    def set_precision(self, precision: torch.dtype) -> None:
        """Set the type of the convolutions' weights; everything else stays float32.

        So does the last convolution: rounding the samples themselves would be the loudest noise of all.
        """
        for module in self.modules():
            if isinstance(module, CausalConv) and module is not self.last:
                module.to(precision)

    def pack(self) -> None:
        """On a CPU with oneDNN: lay out the weights as it prefers for a frame or a few."""
        dtype = self.first.weight.dtype
        if not torch.backends.mkldnn.is_available() or (  # type: ignore[no-untyped-call]
            dtype == torch.bfloat16 and not torch.ops.mkldnn._is_mkldnn_bf16_supported()
        ):
            return
        time = 1
        self.first.pack(time)
        for stage in self.stages:
            time *= stage.up.rate
            for module in stage.modules():
                if isinstance(module, CausalConv):
                    module.pack(time)
        self.last.pack(time)

    def forward(self, x: Tensor, flat: Tensor) -> tuple[Tensor, Tensor]:
        """Decode [streams, frames, input channels] and histories to samples [streams, time] and new
        histories."""
        history = History(flat)
        x = self.first(x, history)
        for stage in self.stages:
            x = stage(x, history)
        x = self.last(self.act(x), history).squeeze(2)
        return x.clamp(-1.0, 1.0) if self.clamp else x.tanh(), history.renewed()
