"""The student's network in PyTorch, with the names and the arithmetic of the published ONNX graph.

Its parts, by the graph's names: ``pn`` predicts durations, pitch and energy from symbols, ``m`` decodes them
into spectra. A block is ConvNeXt's (Liu et al. 2022): depthwise convolution, norm, two linear layers.
Shapes: B utterances, L symbols (the pads included), T frames of 25 ms, 2T half frames of 12.5 ms.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

SYMBOLS = 178
"""Rows of Kokoro's embedding."""

BINS = 601
"""Frequencies of a spectrum: an FFT of 1,200 samples."""

F0_SCALE = 100.0
ENERGY_SCALE = 5.0
"""Units of the network's outputs in hertz, and in the teacher's energy."""

_PROSODY_WIDTH, _DECODER_TEXT_WIDTH, _DECODER_WIDTH, _DECODER_HIDDEN = 192, 128, 256, 768
_HEADS = 2
_PROSODY_PASSES, _DECODER_PASSES = 6, 4
_PROSODY_DILATIONS = (1, 2, 4, 8, 1, 2)
_DECODER_BLOCKS = 8


class Spectra(NamedTuple):
    """Input of ``waveform.synthesize``, each [B, 601, 2T]."""

    harmonic: Tensor  # log magnitude of the harmonics
    rotation: Tensor  # of their phases; tanh of it is in units of π
    noise: Tensor  # log magnitude of the noise
    free: Tensor  # log magnitude of what is neither
    phase: Tensor  # of it, in radians


class Block(nn.Module):
    """One residual block on [B, channels, n]."""

    def __init__(self, channels: int, hidden: int, taps: int, dilation: int = 1) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((channels,), 0.1))
        padding = dilation * (taps // 2)
        self.dw = nn.Conv1d(channels, channels, taps, padding=padding, dilation=dilation, groups=channels)
        self.norm = nn.LayerNorm(channels)
        self.pw1 = nn.Linear(channels, hidden)
        self.pw2 = nn.Linear(hidden, channels)

    def forward(self, values: Tensor) -> Tensor:
        """Add what the block computes to ``values``."""
        inner = self.norm(self.dw(values).transpose(1, 2))
        inner = self.pw2(functional.gelu(self.pw1(inner)))
        added: Tensor = values + (self.gamma * inner).transpose(1, 2)
        return added


class TextEncoder(nn.Module):
    """Symbols [B, L] to features [B, width, L]; one attention layer is applied ``passes`` times."""

    def __init__(self, width: int, passes: int) -> None:
        super().__init__()
        self._passes = passes
        self.emb = nn.Embedding(SYMBOLS, width)
        self.convs = nn.ModuleList(Block(width, 2 * width, 5) for _ in range(2))
        self.attn = nn.TransformerEncoderLayer(
            width, _HEADS, 2 * width, 0.0, functional.gelu, batch_first=True, norm_first=True
        )
        self.norm = nn.LayerNorm(width)

    def forward(self, symbols: Tensor, present: Tensor) -> Tensor:
        """present: True for symbols, False for what fills the batch up [B, L]."""
        mask = present[:, None]
        values = self.emb(symbols).transpose(1, 2) * mask
        for block in self.convs:
            values = block(values) * mask
        values = values.transpose(1, 2)
        for _ in range(self._passes):
            values = self.attn(values, src_key_padding_mask=~present)
        features: Tensor = self.norm(values).transpose(1, 2) * mask
        return features


class Prosody(nn.Module):
    """Predicts durations, pitch and energy."""

    def __init__(self) -> None:
        super().__init__()
        width = _PROSODY_WIDTH
        self.text = TextEncoder(width, _PROSODY_PASSES)
        self.dur = nn.Sequential(nn.Conv1d(width, width, 3, padding=1), nn.GELU(), nn.Conv1d(width, 1, 1))
        self.pro_in = nn.Conv1d(width, width, 1)
        self.pro = nn.ModuleList(Block(width, 2 * width, 7, dilation) for dilation in _PROSODY_DILATIONS)
        self.pro_out = nn.Conv1d(width, 4, 1)

    def forward(
        self, symbols: Tensor, present: Tensor, owners: Tensor, sounding: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return log(1 + frames) of each symbol [B, L], pitch in hertz and energy, both [B, 2T].

        owners: the symbol of each frame [B, T]; sounding: True for frames, False for filling [B, T].
        """
        features = self.text(symbols, present)
        mask = sounding[:, None]
        values = self.pro_in(spread(features, owners)) * mask
        for block in self.pro:
            values = block(values) * mask
        # Pitch of both half frames, then energy of both.
        curves = exactly(self.pro_out, values)
        pitch, energy = torch.unflatten(curves, 1, (2, 2)).transpose(2, 3).flatten(2).unbind(1)
        return exactly(self.dur, features)[:, 0], pitch * F0_SCALE, energy * ENERGY_SCALE


class SpectrumDecoder(nn.Module):
    """Decodes symbols, durations, pitch and energy into spectra."""

    def __init__(self) -> None:
        super().__init__()
        self.text = TextEncoder(_DECODER_TEXT_WIDTH, _DECODER_PASSES)
        self.dec_in = nn.Conv1d(_DECODER_TEXT_WIDTH + 2, _DECODER_WIDTH, 7, padding=3)
        self.dec = nn.ModuleList(Block(_DECODER_WIDTH, _DECODER_HIDDEN, 7) for _ in range(_DECODER_BLOCKS))
        self.dec_norm = nn.LayerNorm(_DECODER_WIDTH)
        self.head = nn.Linear(_DECODER_WIDTH, 5 * BINS)

    def features(self, symbols: Tensor, present: Tensor, owners: Tensor) -> Tensor:
        """Text features of each half frame [B, 128, 2T]."""
        return spread(self.text(symbols, present), owners).repeat_interleave(2, dim=2)

    def forward(self, features: Tensor, pitch: Tensor, energy: Tensor) -> Spectra:
        """features: of ``features``; pitch in hertz, energy [B, 2T]."""
        curves = [torch.log1p(pitch.relu()) / ENERGY_SCALE, energy / ENERGY_SCALE]
        values = self.dec_in(torch.cat([features, *(curve[:, None] for curve in curves)], dim=1))
        for block in self.dec:
            values = block(values)
        spectra = exactly(self.head, self.dec_norm(values.transpose(1, 2))).transpose(1, 2)
        return Spectra(*torch.split(spectra, BINS, dim=1))


class Student(nn.Module):
    """Both halves; 6.15 million parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.pn = Prosody()
        self.m = SpectrumDecoder()


def spread(features: Tensor, owners: Tensor) -> Tensor:
    """Repeat features [B, C, L] of symbols over their frames: [B, C, T]."""
    return features.gather(2, owners[:, None].expand(-1, features.shape[1], -1))


def exactly(layer: nn.Module, values: Tensor) -> Tensor:
    """Apply a layer in float32, also where the network around it computes in bfloat16."""
    with torch.autocast(values.device.type, enabled=False):
        found: Tensor = layer(values.float())
    return found
