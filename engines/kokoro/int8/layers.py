"""The generator's layers in float32: what there is, and how it is connected.

``graph_layers`` reads them out of the published graph.
"""

from __future__ import annotations

from dataclasses import dataclass

from engines.kokoro.network.onnx_model import Array


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

    It gives ``stride`` times as many rows as it is given: ``padding`` are cut off on either side.
    """

    name: str
    weight: Array
    bias: Array
    stride: int
    padding: int


@dataclass(frozen=True, slots=True, eq=False)
class Snake:
    """x + sin²(alpha · x) / alpha (Ziyin, Hartwig and Ueda 2020) of a norm's x; alpha [C].

    norm: where its C channels begin in the packed scale and shift.
    """

    norm: int
    alpha: Array


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """A norm, its snake, and the convolution of that, as long as its input."""

    snake: Snake
    convolution: Convolution


@dataclass(frozen=True, slots=True, eq=False)
class ResidualBlock:
    """Three pairs of steps; what a pair gives is added to what it was given. The first of each is dilated."""

    name: str
    pairs: tuple[tuple[Step, Step], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Stage:
    """Leaky ReLU of ``slope``, upsampling, the source's part added, the mean of the blocks.

    Before the source's part is added, ``reflected`` rows are put in front, mirrored at the first. The
    source's part: the spectra, through ``source`` and ``source_block``.
    """

    slope: float
    upsampling: Upsampling
    reflected: int
    source: Convolution
    source_block: ResidualBlock
    blocks: tuple[ResidualBlock, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Layers:
    """The generator: stages, leaky ReLU of ``slope``, last convolution, inverse STFT.

    The last convolution gives 22 channels: a = exp(11 of them), p = sin(the other 11). basis: what a · cos(p)
    and a · sin(p) are multiplied with [22, 20], the export's factor included; the samples of each row are
    added to those of others ``hop`` samples further, and ``margin`` are cut off at either end.
    norms: channels of all norms together.
    """

    stages: tuple[Stage, ...]
    slope: float
    last: Convolution
    basis: Array
    hop: int
    margin: int
    norms: int


def residual_blocks(layers: Layers) -> list[ResidualBlock]:
    """All residual blocks, in the order in which they can be computed."""
    return [block for stage in layers.stages for block in (stage.source_block, *stage.blocks)]
