"""Losses between the student's sound and the teacher's: spectra in several resolutions, discriminators."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm

SIZES = (256, 512, 1024, 2048)
_SLOPE = 0.1
_FLOOR = 1e-5


def magnitude(sound: Tensor, size: int) -> Tensor:
    """Magnitudes of a short-time spectrum with a hop of a quarter [B, size / 2 + 1, n] of [B, samples]."""
    window = torch.hann_window(size, device=sound.device)
    spectrum = torch.stft(sound, size, size // 4, window=window, return_complex=True)
    return (spectrum.real.square() + spectrum.imag.square() + _FLOOR**2).sqrt()


def spectral_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """Spectral convergence and distance of logarithms, mean over ``SIZES`` (Yamamoto et al. 2020)."""
    found = []
    for size in SIZES:
        one, other = magnitude(student, size), magnitude(teacher, size)
        convergence = (other - one).norm(dim=(1, 2)) / other.norm(dim=(1, 2)).clamp(min=_FLOOR)
        logs = (other.log() - one.log()).abs().mean(dim=(1, 2))
        found.append((convergence + logs).mean())
    return torch.stack(found).mean()


class Discriminator(nn.Module):
    """Scores a spectrum of one resolution, place by place (Jang et al. 2021, UnivNet)."""

    def __init__(self, size: int, channels: int = 16) -> None:
        super().__init__()
        self._size = size
        widths = (1, *[channels] * 4)
        strides = ((1, 1), (1, 2), (1, 2), (1, 1))
        self.layers = nn.ModuleList(
            weight_norm(nn.Conv2d(inputs, channels, (3, 9) if at < 3 else 3, stride, (1, 4) if at < 3 else 1))
            for at, (inputs, stride) in enumerate(zip(widths, strides, strict=False))
        )
        self.last = weight_norm(nn.Conv2d(channels, 1, 3, padding=1))

    def forward(self, sound: Tensor) -> list[Tensor]:
        """Return what each layer finds; the last is the score."""
        values = magnitude(sound, self._size).transpose(1, 2)[:, None]
        found = []
        for layer in self.layers:
            values = functional.leaky_relu(layer(values), _SLOPE)
            found.append(values)
        return [*found, self.last(values)]


class Discriminators(nn.Module):
    """Three resolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.all = nn.ModuleList(Discriminator(size) for size in SIZES[1:])

    def forward(self, sound: Tensor) -> list[list[Tensor]]:
        """Return what each discriminator's layers find."""
        return [discriminator(sound) for discriminator in self.all]


def discriminator_loss(teacher: Sequence[Sequence[Tensor]], student: Sequence[Sequence[Tensor]]) -> Tensor:
    """Least squares (Mao et al. 2017): 1 for the teacher, 0 for the student."""
    pairs = zip(teacher, student, strict=True)
    return torch.stack(
        [(one[-1] - 1).square().mean() + other[-1].square().mean() for one, other in pairs]
    ).sum()


def adversarial_loss(teacher: Sequence[Sequence[Tensor]], student: Sequence[Sequence[Tensor]]) -> Tensor:
    """Least squares for the student, and the distance between what the layers find (feature matching)."""
    scores = torch.stack([(found[-1] - 1).square().mean() for found in student]).sum()
    matching = [
        (one.detach() - other).abs().mean()
        for real, made in zip(teacher, student, strict=True)
        for one, other in zip(real[:-1], made[:-1], strict=True)
    ]
    return scores + 2 * torch.stack(matching).sum() / len(student)
