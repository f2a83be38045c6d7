"""smart-turn v3.2: the probability that a speaker has said all, by the sound of the last eight seconds.

The network is Daily's (BSD-2-Clause), Whisper tiny's encoder with a classifier, in int8 for CPUs. It reads
the spectrogram of Whisper's feature extractor, over audio of mean 0 and variance 1, which ends with the
silence after the last word; shorter audio is padded with zeros before it. See docs/listening.md for its
worth.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soxr

from kani.core.errors import EngineUnavailable
from kani.core.types import Samples
from kani.runtime.mel_features import MelFeatures

MODEL_FILE = "smart-turn-v3.2-cpu.onnx"
ORIGIN_FILE = "turn_model.json"
LICENCE_FILE = "LICENSE.smart-turn"

SAMPLE_RATE = 16_000
WINDOW_S = 8.0
"""Seconds of audio that the network reads."""

# Added to the variance that audio is divided by, as by Whisper's feature extractor.
_LEAST_VARIANCE = 1e-7

_MEL = MelFeatures(80)


class SmartTurn:
    """The network, which is loaded at its first use. One thread computes, a call at a time."""

    def __init__(self, file: Path | None = None) -> None:
        """file: another network with the same input and output; None for the one that is here."""
        self._file = file
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="smart-turn")
        self._network: Any = None

    async def prepare(self) -> None:
        """Load the network, unless it is loaded. Raises EngineUnavailable."""
        await asyncio.get_running_loop().run_in_executor(self._pool, self.load)

    async def completeness(self, samples: Samples, sample_rate: int) -> float:
        """Return the probability, in [0, 1], that the speaker has said all.

        samples: mono, at ``sample_rate`` hertz, with the silence after the last word at their end; those
        before the last ``WINDOW_S`` are not read. Raises EngineUnavailable.
        """
        computing = self._pool.submit(self.probability, samples, sample_rate)
        return await asyncio.wrap_future(computing)

    def probability(self, samples: Samples, sample_rate: int) -> float:
        """Return what ``completeness`` does. Blocks for some 50 ms."""
        self.load()
        recent = samples[-round(WINDOW_S * sample_rate) :]
        if sample_rate != SAMPLE_RATE:
            recent = soxr.resample(recent, sample_rate, SAMPLE_RATE)
        return _answer(self._network, recent)

    def load(self) -> None:
        """Load the network, unless it is loaded, and ask it about silence. Raises EngineUnavailable."""
        if self._network is not None:
            return
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.inter_op_num_threads = options.intra_op_num_threads = 1
        options.enable_cpu_mem_arena = False
        file = self._file or Path(__file__).with_name(MODEL_FILE)
        try:
            network = onnxruntime.InferenceSession(
                str(file), sess_options=options, providers=["CPUExecutionProvider"]
            )
            if not 0 <= _answer(network, np.zeros(SAMPLE_RATE, np.float32)) <= 1:
                raise ValueError("it gives no probability")
        except Exception as error:
            # onnxruntime's own errors have no common class but this one.
            reason = (
                f"the turn model is missing or broken: restore kani/runtime/turn_model/{MODEL_FILE}"
                if self._file is None
                else f"turn_model (KANI_TURN_MODEL): {file} is no network like smart-turn v3, with one input"
                " [1, 80, 800] and one probability as output"
            )
            raise EngineUnavailable(reason) from error
        self._network = network


def _answer(network: Any, samples: Samples) -> float:
    """Return the one number that a network makes of audio (16 kHz)."""
    (only,) = network.get_inputs()
    (found,) = network.run(None, {only.name: features(samples)[None]})
    return float(found.item())


def features(samples: Samples) -> npt.NDArray[np.float32]:
    """Return the log-mel spectrogram [80, 800] of the last ``WINDOW_S`` (16 kHz)."""
    length = round(WINDOW_S * SAMPLE_RATE)
    window = np.zeros(length, np.float32)
    recent = samples[-length:]
    window[length - len(recent) :] = recent
    window = (window - window.mean()) / np.sqrt(window.var() + _LEAST_VARIANCE)
    return _MEL(window, padding=0)
