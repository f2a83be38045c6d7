"""Voice activity detection, and the probability that a pause lasts.

The detector is Silero VAD (MIT), as faster-whisper ships it. Its state is carried from chunk to chunk, so
that a stream gives the same as one recording.
"""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from kani.core.errors import EngineUnavailable
from kani.core.recognizer import PAUSE_LENGTHS_S
from kani.core.types import Samples

if TYPE_CHECKING:
    import onnxruntime

SAMPLE_RATE = 16_000
CHUNK_SAMPLES = 512
"""Samples of one chunk, for which the detector gives one probability."""

CHUNK_S = CHUNK_SAMPLES / SAMPLE_RATE

_CONTEXT = 64
_STATE = (1, 1, 128)

# Speech begins at the first probability and ends below the second: with 0.35 quiet ends of words are cut off.
_ON, _OFF = 0.5, 0.2
# Loud chunks that begin speech; a click is one chunk.
_ONSET_CHUNKS = 2

# Seconds of silence after which a pause of each of PAUSE_LENGTHS_S has the probability _LIKELY: after a word
# that ends a sentence, and after any other.
_LIKELY_AFTER_S = (0.30, 0.50, 0.70, 1.10)
_LIKELY_AFTER_UNENDED_S = (0.30, 0.50, 1.00, 1.50)
_LIKELY = 0.6


class VoiceDetector:
    """The detector's model. Thread-safe."""

    def __init__(self) -> None:
        """Load the model. Raises EngineUnavailable."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.inter_op_num_threads = options.intra_op_num_threads = 1
        options.enable_cpu_mem_arena = False
        self._session = onnxruntime.InferenceSession(
            _model_file(), sess_options=options, providers=["CPUExecutionProvider"]
        )

    def stream(self) -> VoiceStream:
        """Return the detector of a new stream."""
        return VoiceStream(self._session)

    def probabilities(self, samples: Samples) -> npt.NDArray[np.float32]:
        """Return the probability of speech in each whole chunk of a recording (16 kHz)."""
        return np.array(self.stream().feed(samples), np.float32)


class VoiceStream:
    """Detector of one stream, with its state."""

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self._session = session
        self._hidden = np.zeros(_STATE, np.float32)
        self._cell = np.zeros(_STATE, np.float32)
        # The end of the last chunk, which is the context of the next, and the samples since.
        self._pending = np.zeros(_CONTEXT, np.float32)

    def feed(self, samples: Samples) -> list[float]:
        """Accept more samples (16 kHz); returns the probability of speech in each completed chunk."""
        audio = np.concatenate([self._pending, samples])
        chunks = (len(audio) - _CONTEXT) // CHUNK_SAMPLES
        self._pending = audio[chunks * CHUNK_SAMPLES :].copy()
        if not chunks:
            return []
        overlapping = np.lib.stride_tricks.sliding_window_view(audio, _CONTEXT + CHUNK_SAMPLES)
        windows = overlapping[::CHUNK_SAMPLES][:chunks]
        feed = {"input": np.ascontiguousarray(windows), "h": self._hidden, "c": self._cell}
        voices, self._hidden, self._cell = self._session.run(None, feed)
        return [float(voice) for voice in np.ravel(voices)]


class SpeechGate:
    """Detects speech and silence by the voice probabilities. Times are in seconds of the stream."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.speaking = False
        self.onset_s = 0.0
        """Start of the speech that goes on, or of the last."""
        self.speech_end_s = 0.0
        """End of the last speech; 0 before any."""
        self._chunks = 0
        self._loud = 0

    def feed(self, voice: float) -> None:
        """Take the probability of a voice in the next chunk."""
        begun_s = self._chunks * CHUNK_S
        self._chunks += 1
        self.now_s = self._chunks * CHUNK_S
        self._loud = self._loud + 1 if voice >= _ON else 0
        if self.speaking:
            self.speaking = voice >= _OFF
        elif self._loud >= _ONSET_CHUNKS:
            self.speaking = True
            self.onset_s = begun_s - (_ONSET_CHUNKS - 1) * CHUNK_S
        if self.speaking:
            self.speech_end_s = self.now_s

    @property
    def silence_s(self) -> float:
        """Seconds since the end of the last speech; 0 during speech."""
        return self.now_s - self.speech_end_s


def pause_probabilities(gate: SpeechGate, *, sentence_ended: bool) -> tuple[float, float, float, float]:
    """See ``Step.pause_probabilities``. sentence_ended: whether the last word ends a sentence."""
    if not gate.speech_end_s:
        return 1.0, 1.0, 1.0, 1.0
    likely_after = _LIKELY_AFTER_S if sentence_ended else _LIKELY_AFTER_UNENDED_S
    half, one, two, three = (_probability(gate.silence_s, after_s) for after_s in likely_after)
    return half, one, two, three


def _probability(silence_s: float, likely_after_s: float) -> float:
    scale = -math.log(1 - _LIKELY)
    return 1 - math.exp(-scale * (silence_s / likely_after_s) ** 3)


def _model_file() -> str:
    """Return the path of faster-whisper's copy of the model, without importing the package."""
    package = importlib.util.find_spec("faster_whisper")
    if package is not None and package.submodule_search_locations:
        path = Path(package.submodule_search_locations[0], "assets", "silero_vad_v6.onnx")
        if path.exists():
            return str(path)
    raise EngineUnavailable("Silero VAD is missing: install the faster-whisper that requirements.txt names")


assert len(_LIKELY_AFTER_S) == len(_LIKELY_AFTER_UNENDED_S) == len(PAUSE_LENGTHS_S)
