"""The student's two graphs on onnxruntime: symbols to prosody, prosody to samples."""

from __future__ import annotations

import numpy as np

from kani.core.types import Samples
from kani.engines.kokoro.network.onnx_model import Network, Stop, frame_counts
from kani.engines.kokoro.network.parts import PredictedProsody, log_f0_of
from kani.engines.kokoro.student.files import DECODER, PROSODY, StudentFiles
from kani.engines.kokoro.student.waveform import HOP, synthesize
from kani.engines.kokoro.text.vocabulary import PAD, VOCABULARY

# Half frames that a half frame of the spectra depends on, on either side (nine convolutions of seven taps),
# and those of the inverse transform.
_CONTEXT = 27
_OVERLAP = 2

# Frames of context that a part of an utterance is decoded with, on either side.
_CONTEXT_FRAMES = -(-(_CONTEXT + _OVERLAP) // 2)


class StudentModel:
    """Both graphs; thread-safe. All methods raise Stopped or ModelFailed."""

    def __init__(self, threads: int, files: StudentFiles) -> None:
        """Load and verify the graphs: 0.1 s. threads: cores for one call.

        Raises EngineUnavailable where one is missing or broken, and ModelFailed.
        """
        self.facts = files.facts
        self._prosody = Network(files.graph(PROSODY), threads)
        self._decoder = Network(files.graph(DECODER), threads, shrink_arena=True)

    def predict(self, symbols: str, speed: float, stop: Stop) -> PredictedProsody:
        """Predict the prosody of ``symbols`` (1–510 of the vocabulary) at ``speed``.

        Its ``asr`` is the text's features, [1, 128, 2F] here.
        """
        ids = np.array([[PAD, *(VOCABULARY[symbol] for symbol in symbols), PAD]], np.int64)
        text, pitch, energy, durations = self._prosody.run(
            {"ids": ids, "speed": np.array([speed], np.float32)},
            ("text", "pitch", "energy", "durations"),
            stop,
        )
        return PredictedProsody(text, pitch, energy, frame_counts(durations), log_f0_of(pitch))

    def decode(self, prosody: PredictedProsody, first: int, end: int, stop: Stop) -> Samples:
        """Decode the samples of frames [first, end), with as much context as they depend on."""
        frames = int(prosody.frames.sum())
        begin, until = max(first - _CONTEXT_FRAMES, 0), min(end + _CONTEXT_FRAMES, frames)
        part = slice(2 * begin, 2 * until)
        inputs = {
            "text": prosody.asr[:, :, part],
            "pitch": prosody.pitch[:, part],
            "energy": prosody.energy[:, part],
        }
        (spectra,) = self._decoder.run(inputs, ("spectra",), stop)
        samples = synthesize(spectra[0], prosody.pitch[0], 2 * begin) * np.float32(self.facts.gain)
        return samples[2 * (first - begin) * HOP : 2 * (end - begin) * HOP]
