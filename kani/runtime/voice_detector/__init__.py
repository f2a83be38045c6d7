"""Voice activity detection.

The detector is Silero VAD v6 (MIT), beside this file with its licence and origin. Its state is carried from
chunk to chunk, so that a stream gives the same as one recording.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from kani.core.errors import EngineUnavailable
from kani.core.types import Samples

if TYPE_CHECKING:
    import onnxruntime

MODEL_FILE, ORIGIN_FILE = "silero_vad_v6.onnx", "voice_detector.json"

SAMPLE_RATE = 16_000
CHUNK_SAMPLES = 512
"""Samples of one chunk, for which the detector gives one probability."""

CHUNK_S = CHUNK_SAMPLES / SAMPLE_RATE

# Of a recording: peak below which it is quiet, the peak that it is brought to, and the greatest gain.
_QUIET, _LOUD, _MAX_GAIN = 0.05, 0.3, 1000.0
# Half a second; with more or less the detector misses more.
_SILENCE_SAMPLES = 8_000

_CONTEXT = 64
_STATE = (1, 1, 128)


class VoiceDetector:
    """The detector's model. Thread-safe."""

    def __init__(self) -> None:
        """Load the model. Raises EngineUnavailable."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.inter_op_num_threads = options.intra_op_num_threads = 1
        options.enable_cpu_mem_arena = False
        file = Path(__file__).with_name(MODEL_FILE)
        if not file.exists():
            raise EngineUnavailable(f"restore kani/runtime/voice_detector/{MODEL_FILE}, which is missing")
        self._session = onnxruntime.InferenceSession(
            str(file), sess_options=options, providers=["CPUExecutionProvider"]
        )

    def stream(self) -> VoiceStream:
        return VoiceStream(self._session)

    def recording(self) -> RecordingVoices:
        return RecordingVoices(self._session)

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


class RecordingVoices:
    """Detector of one recording, which amplifies a quiet one."""

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self._voices, self._after_silence = VoiceStream(session), VoiceStream(session)
        self._peak = 0.0

    def feed(self, samples: Samples) -> list[float]:
        return self._voices.feed(self._amplified(samples))

    def feed_after_silence(self, samples: Samples) -> list[float]:
        """Return what ``feed`` does for a whole recording, as if silence came before it.

        Without any the detector misses some letters and digits that a recording begins with.
        """
        self._after_silence.feed(np.zeros(_SILENCE_SAMPLES, np.float32))
        return self._after_silence.feed(self._amplified(samples))

    def _amplified(self, samples: Samples) -> Samples:
        self._peak = max(self._peak, float(np.abs(samples).max(initial=0.0)))
        if not 0 < self._peak < _QUIET:
            return samples
        return samples * np.float32(min(_LOUD / self._peak, _MAX_GAIN))
