"""Noise suppressors: GTCRN by onnxruntime, and RNNoise by its C library."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Protocol

import numpy as np
import onnxruntime
import soxr

from kani.core.types import Samples
from kani.runtime.voice_detector import SAMPLE_RATE


class Suppressor(Protocol):
    """Takes noise out of a recording."""

    def __call__(self, samples: Samples) -> Samples:
        """Return ``samples`` at ``SAMPLE_RATE`` without noise, as many, and not delayed."""


class Gtcrn:
    """GTCRN (Xiaobin Rong, MIT): ``gtcrn_simple.onnx`` reads a spectrum every 16 ms and keeps its state."""

    _FFT, _HOP = 512, 256

    def __init__(self, file: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._network = onnxruntime.InferenceSession(file, options)
        self._window = np.sqrt(np.hanning(self._FFT + 1)[:-1]).astype(np.float32)

    def __call__(self, samples: Samples) -> Samples:
        """See ``Suppressor``."""
        padded = np.pad(samples, (self._HOP, self._FFT))
        frames = np.lib.stride_tricks.sliding_window_view(padded, self._FFT)[:: self._HOP]
        state = {
            "conv_cache": np.zeros((2, 1, 16, 16, 33), np.float32),
            "tra_cache": np.zeros((2, 3, 1, 1, 16), np.float32),
            "inter_cache": np.zeros((2, 1, 33, 16), np.float32),
        }
        cleaned = np.zeros(len(padded), np.float32)
        for number, frame in enumerate(frames):
            spectrum = np.fft.rfft(frame * self._window)
            parts = np.stack([spectrum.real, spectrum.imag], axis=-1).astype(np.float32)
            answer, *kept = self._network.run(None, {"mix": parts[None, :, None], **state})
            state = dict(zip(state, kept, strict=True))
            found = answer[0, :, 0, 0] + 1j * answer[0, :, 0, 1]
            at = number * self._HOP
            cleaned[at : at + self._FFT] += np.fft.irfft(found, self._FFT).astype(np.float32) * self._window
        return cleaned[self._HOP : self._HOP + len(samples)]


class RnNoise:
    """RNNoise (Xiph, BSD-3-Clause): ``librnnoise.so``, which reads 10 ms at 48 kHz and keeps its state."""

    _RATE, _SCALE = 48_000, 32_768

    def __init__(self, library: Path) -> None:
        self._library = ctypes.CDLL(str(library.resolve()))
        self._library.rnnoise_create.restype = ctypes.c_void_p
        self._library.rnnoise_create.argtypes = [ctypes.c_void_p]
        self._library.rnnoise_destroy.argtypes = [ctypes.c_void_p]
        self._library.rnnoise_process_frame.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p]
        self._library.rnnoise_process_frame.restype = ctypes.c_float
        self._frame = int(self._library.rnnoise_get_frame_size())

    def __call__(self, samples: Samples) -> Samples:
        """See ``Suppressor``."""
        fast = np.asarray(soxr.resample(samples, SAMPLE_RATE, self._RATE), np.float32) * self._SCALE
        # The output is two frames later than the input.
        count = -(-len(fast) // self._frame) + 2
        frames = np.pad(fast, (0, count * self._frame - len(fast))).reshape(count, self._frame)
        state = self._library.rnnoise_create(None)
        try:
            for frame in frames:
                self._library.rnnoise_process_frame(state, frame.ctypes.data, frame.ctypes.data)
        finally:
            self._library.rnnoise_destroy(state)
        cleaned = frames.reshape(-1)[2 * self._frame :] / self._SCALE
        slow = np.asarray(soxr.resample(cleaned, self._RATE, SAMPLE_RATE), np.float32)
        return slow[: len(samples)]
