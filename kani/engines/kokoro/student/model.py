"""The student's two graphs on onnxruntime: symbols to prosody, prosody to samples."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kani.core.errors import EngineUnavailable
from kani.core.types import Samples
from kani.engines.kokoro.network.onnx_model import Network, Stop, frame_counts
from kani.engines.kokoro.network.parts import PredictedProsody, log_f0_of
from kani.engines.kokoro.student.waveform import HOP, synthesize
from kani.engines.kokoro.text.vocabulary import PAD, VOCABULARY

FOLDER = Path(__file__).parent / "data"
PROSODY, DECODER, ORIGIN_FILE = "student.prosody.onnx", "student.decoder.onnx", "student.json"

# Half frames that a half frame of the spectra depends on, on either side (nine convolutions of seven taps),
# and those of the inverse transform.
_CONTEXT = 27
_OVERLAP = 2

# Frames of context that a part of an utterance is decoded with, on either side.
_CONTEXT_FRAMES = -(-(_CONTEXT + _OVERLAP) // 2)


@dataclass(frozen=True, slots=True)
class StudentFacts:
    """What the origin file says of the student's voice."""

    voice: str  # id of the Kokoro voice that it was taught
    language: str  # primary subtag of the one language that it speaks
    log_f0: float  # of the voice (``parts.log_f0_of``)
    level: float  # power of the voice's loud parts (``timing.speech_level``)


def read_facts() -> StudentFacts:
    """Read the facts of the student here, without loading it. Raises EngineUnavailable."""
    try:
        return _read_origin(FOLDER)[1]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _broken() from error


def _read_origin(folder: Path) -> tuple[dict[str, Any], StudentFacts]:
    origin = json.loads((folder / ORIGIN_FILE).read_text(encoding="utf-8"))
    return origin, StudentFacts(*(origin[name] for name in ("voice", "language", "log_f0", "level")))


def _broken() -> EngineUnavailable:
    return EngineUnavailable(
        "the files of Kokoro's student are missing or broken: "
        "restore kani/engines/kokoro/student/data from the repository"
    )


class StudentModel:
    """Both graphs; thread-safe. All methods raise Stopped or ModelFailed."""

    def __init__(self, threads: int, folder: Path = FOLDER) -> None:
        """Load and verify the files: 0.1 s. threads: cores for one call.

        Raises EngineUnavailable where one is missing or broken, and ModelFailed.
        """
        try:
            origin, self.facts = _read_origin(folder)
            parts = {name: (folder / name).read_bytes() for name in (PROSODY, DECODER)}
            wrong = [
                name
                for name, content in parts.items()
                if hashlib.sha256(content).hexdigest() != origin["sha256"][name]
            ]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise _broken() from error
        if wrong:
            raise EngineUnavailable(
                f"{wrong[0]} fails its SHA-256: restore kani/engines/kokoro/student/data/{wrong[0]}"
            )
        self._prosody = Network(parts[PROSODY], threads)
        self._decoder = Network(parts[DECODER], threads, shrink_arena=True)

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
        pitch = prosody.pitch[:, part]
        inputs = {"text": prosody.asr[:, :, part], "pitch": pitch, "energy": prosody.energy[:, part]}
        (spectra,) = self._decoder.run(inputs, ("spectra",), stop)
        samples = synthesize(spectra[0], pitch[0])
        return samples[2 * (first - begin) * HOP : 2 * (end - begin) * HOP]
