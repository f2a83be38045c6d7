"""The student's spectra to sound, differentiable; the server's own synthesis in numpy is ``student``'s.

S = exp(lh) e^{iπ tanh θ} STFT(pulses) + exp(ln) Z + exp(lr) e^{iφ}, as in the published student; Z is complex
noise of unit variance in each part.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from kani.engines.kokoro.network.onnx_model import SAMPLE_RATE
from tools.student.network import Spectra

FFT = 1200
HOP = 300
"""Samples of a half frame."""

_OVERLAP = FFT // HOP
_LEAST_WEIGHT = 1e-11

_VOICED_HZ = 40.0
_HIGHEST_HZ = 11_000.0
_MAX_LOG_MAGNITUDE = 7.0


def pulses(pitch: Tensor) -> Tensor:
    """Sum of all harmonics below 11 kHz at unit amplitude [B, 300 n] of a pitch in hertz [B, n].

    0 where unvoiced.
    The sum of cosines is sin((H + 1/2) t) / (2 sin(t / 2)) − 1/2.
    """
    hertz = functional.interpolate(pitch[:, None], scale_factor=HOP, mode="linear", align_corners=False)[:, 0]
    voiced = hertz > _VOICED_HZ
    hertz = hertz.clamp(min=_VOICED_HZ)
    cycles = (hertz.double() / SAMPLE_RATE).cumsum(dim=1)
    angle = (2 * math.pi * (cycles - cycles.floor())).float()
    count = (_HIGHEST_HZ / hertz).floor() + 0.5
    divisor = 2 * torch.sin(angle / 2)
    near = divisor.abs() <= 2e-3
    quotient = torch.sin(count * angle) / torch.where(near, torch.ones_like(divisor), divisor)
    return torch.where(voiced, torch.where(near, count, quotient) - 0.5, torch.zeros_like(angle))


def synthesize(spectra: Spectra, source: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Sound [B, 300 n] of spectra [B, 601, n]; source: ``pulses`` of the same half frames [B, 300 n]."""
    window = torch.hann_window(FFT, device=source.device)
    excited = torch.stft(
        source, FFT, HOP, window=window / (FFT / 4), center=True, pad_mode="reflect", return_complex=True
    )[:, :, : spectra.harmonic.shape[2]]
    noise = torch.randn((2, *spectra.noise.shape), generator=generator, device=source.device)
    whole = (
        excited * torch.polar(_magnitude(spectra.harmonic), math.pi * torch.tanh(spectra.rotation))
        + torch.complex(noise[0], noise[1]) * _magnitude(spectra.noise)
        + torch.polar(_magnitude(spectra.free), spectra.phase)
    )
    return _inverse(whole, window)


def _inverse(spectra: Tensor, window: Tensor) -> Tensor:
    """Sound [B, 300 n] of short-time spectra [B, 601, n].

    ``torch.istft`` asks the GPU for a value, which a recorded step cannot do.
    """
    count = spectra.shape[2]
    windows = torch.fft.irfft(spectra, FFT, dim=1) * window[:, None]
    weights = _overlapped(window.square()[:, None].expand(1, FFT, count))
    return (_overlapped(windows) / weights.clamp(min=_LEAST_WEIGHT))[:, FFT // 2 :][:, : HOP * count]


def _overlapped(windows: Tensor) -> Tensor:
    """Add windows [B, 1200, n] with a hop of 300: [B, 300 (n + 3)]."""
    parts = torch.unflatten(windows, 1, (_OVERLAP, HOP)).unbind(1)
    rows = [functional.pad(part, (at, _OVERLAP - 1 - at)) for at, part in enumerate(parts)]
    return torch.stack(rows).sum(dim=0).transpose(1, 2).flatten(1)


def _magnitude(log: Tensor) -> Tensor:
    return log.clamp(max=_MAX_LOG_MAGNITUDE).exp()
