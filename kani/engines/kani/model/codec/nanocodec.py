"""NanoCodec's decoder: frames of codes to speech, sequence by sequence, each frame decoded once.

The network is that of NVIDIA's NanoCodec (``AudioCodecModel`` with group FSQ and a causal HiFi-GAN decoder,
NeMo 3.0), read from its .nemo archive without NeMo. All state of a sequence is a row of one tensor, so that
sequences of different lengths share a call.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path

import torch
from torch import Tensor

from kani.engines.kani.model.codec.checkpoint import NanoCodecConfig, build_decoder, read_nemo
from kani.engines.kani.model.codec.cpu import CpuDecoder, compile_kernels
from kani.engines.kani.model.codec.layers import Decoder

__all__ = ["NanoCodec", "NanoCodecConfig"]

log = logging.getLogger(__name__)

FRAMES_PER_PASS = 4
"""Frames that the CPU decodes at once: more is no faster, and oneDNN's layout of the weights, chosen at load,
no longer suits very long signals: it would be converted at every call (ten times slower)."""


class NanoCodec:
    """A decoder without state of its own: states are passed in and may be many.

    On a CPU, calls of one NanoCodec must not overlap where they share a slot.
    """

    def __init__(
        self, config: NanoCodecConfig, decoder: Decoder, device: torch.device, dtype: torch.dtype
    ) -> None:
        self.config = config
        self._decoder, self._device, self._dtype = decoder, device, dtype
        self._code_vectors = _code_vectors(config.levels).to(device)
        self._own: Callable[[Tensor, Tensor, Tensor], Tensor] | None = None

    @classmethod
    def load(cls, path: Path, *, device: torch.device, precision: torch.dtype) -> NanoCodec:
        """Load the decoder of the .nemo archive at ``path``.

        precision: float32, exact, or bfloat16, of the convolutions and the state; activations and sums stay
        in float32. On CUDA, float32 is exact only where TF32 is off for cuDNN's convolutions. Raises
        CheckpointError with the misfit, OSError where the file cannot be read.
        """
        yaml, weights = read_nemo(path)
        config = NanoCodecConfig.parse(yaml)
        decoder = build_decoder(config, weights).to(device)
        decoder.set_precision(precision)
        if device.type == "cpu":
            decoder.pack()
        return cls(config, decoder, device, precision)

    def compile(self, streams: int = 1) -> bool:
        """Switch to kernels of its own; False, without a change, where there are none, or none that pay.

        On a CPU that has a C++ compiler this takes about a second, and uses the threads that torch has now.
        On a GPU, in bfloat16, with Triton and a C compiler it takes longer (21 s for one stream on 16 cores)
        until Triton has them in its cache; they are tried with ``streams`` frames at once. May run in
        another thread: a call in progress is not affected, and states stay valid.
        """
        if self._device.type == "cuda" and self._dtype == torch.bfloat16:
            try:
                from kani.engines.kani.model.codec.gpu import faster_decoder

                self._own = faster_decoder(self._decoder, streams, self._dtype)
            except Exception as error:  # Triton raises whatever the compilers raise that it calls
                log.info("NanoCodec runs without kernels of its own: %s", error)
        elif self._device.type == "cpu" and (kernels := compile_kernels(self._dtype)) is not None:
            self._own = CpuDecoder(self._decoder, kernels)
        return self._own is not None

    def new_state(self, slots: int) -> Tensor:
        """Return the state of sequences by slot [slots, values], zero as at a sequence's start."""
        return torch.zeros(slots, self._decoder.state_size, dtype=self._dtype, device=self._device)

    @property
    def frames_per_call(self) -> int:
        """Frames decoded at once: a call with more takes several passes. Unbounded on a GPU."""
        return FRAMES_PER_PASS if self._device.type == "cpu" else sys.maxsize

    def reset(self, state: Tensor, slots: Tensor) -> None:
        state.index_fill_(0, slots, 0)

    @torch.inference_mode()
    def decode(self, codes: Tensor, slots: Tensor, state: Tensor) -> Tensor:
        """Decode the next frames: samples in [-1, 1], float32 [sequences, frames · samples_per_frame].

        codes: int64 [sequences, frames, codebooks], each from 0 to codebook_size - 1, one sequence and one
        frame at least; slots: int64 [sequences], rows of state, each once; these rows are advanced. Raises
        IndexError on a CPU where a code or slot is out of range. Nothing here waits for a GPU, and the
        kernels launched depend only on shapes.
        """
        frames = self._code_vectors[codes].flatten(2)
        count = frames.shape[1]
        step = min(self.frames_per_call, count)
        passes = [frames[:, at : at + step] for at in range(0, count, step)]
        return torch.cat([self._advance(part, slots, state) for part in passes], dim=1)

    def _advance(self, frames: Tensor, slots: Tensor, rows: Tensor) -> Tensor:
        if self._own is not None:
            return self._own(frames, slots, rows)
        samples: Tensor
        samples, renewed = self._decoder(frames, rows.index_select(0, slots))
        rows.index_copy_(0, slots, renewed)
        return samples


def _code_vectors(levels: tuple[int, ...]) -> Tensor:
    """Dequantised vector of each code, [codebook size, dimensions]; the first dimension varies fastest."""
    # NeMo: (index − ⌊levels/2⌋) / ⌊levels/2⌋.
    axes = [[(i - n // 2) / (n // 2) for i in range(n)] for n in reversed(levels)]
    return torch.tensor([vector[::-1] for vector in product(*axes)])
