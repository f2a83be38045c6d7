"""The function of torchaudio that VoxCPM calls; its wheels load only beside a CUDA build of torch."""

import soundfile
import torch


def load(path: str) -> tuple[torch.Tensor, int]:
    """Return the samples [channels, n] and the sample rate of a file."""
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    return torch.from_numpy(samples.T.copy()), rate
