"""Data model of the generator's layers in float32.

``graph_layers`` reads them from the published graph.
"""

from __future__ import annotations

from dataclasses import dataclass

from kani.engines.kokoro.network.onnx_model import Array


@dataclass(frozen=True, slots=True, eq=False)
class Convolution:
    """weight [outputs, inputs, taps], bias [outputs]; ``padding`` zeros on either side."""

    name: str
    weight: Array
    bias: Array
    stride: int
    dilation: int
    padding: int


@dataclass(frozen=True, slots=True, eq=False)
class Upsampling:
    """A transposed convolution: weight [inputs, outputs, taps], bias [outputs].

    Its output has ``stride`` times as many rows as its input; ``padding`` are cut off on either side.
    """

    name: str
    weight: Array
    bias: Array
    stride: int
    padding: int


@dataclass(frozen=True, slots=True, eq=False)
class Snake:
    """The snake activation x + sin²(alpha · x) / alpha (Ziyin, Hartwig and Ueda 2020) of a norm's output."""

    norm: int  # first of the norm's C channels in the packed scale and shift
    alpha: Array  # [C]


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """A norm, its snake activation and a convolution that keeps the length."""

    snake: Snake
    convolution: Convolution


@dataclass(frozen=True, slots=True, eq=False)
class ResidualBlock:
    """Three pairs of steps with a skip connection each. The first step of each pair is dilated."""

    name: str
    pairs: tuple[tuple[Step, Step], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Stage:
    """Leaky ReLU, upsampling, addition of the source, mean of the blocks."""

    slope: float  # of the leaky ReLU
    upsampling: Upsampling
    reflected: int  # rows mirrored in front before the source is added
    source: Convolution  # of the source's spectra, followed by ``source_block``
    source_block: ResidualBlock
    blocks: tuple[ResidualBlock, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Layers:
    """The generator: stages, leaky ReLU, last convolution, inverse STFT.

    The last convolution has 22 channels: magnitude a = exp(11 of them), phase p = sin(the other 11).
    a · cos(p) and a · sin(p) are multiplied with ``basis``, and the rows are overlap-added.
    """

    stages: tuple[Stage, ...]
    slope: float  # of the leaky ReLU
    last: Convolution
    basis: Array  # [22, 20], the export's gain included
    hop: int  # samples between two rows
    margin: int  # samples cut off at either end
    norms: int  # channels of all norms together


def residual_blocks(layers: Layers) -> list[ResidualBlock]:
    """All residual blocks in order of computation."""
    return [block for stage in layers.stages for block in (stage.source_block, *stage.blocks)]
