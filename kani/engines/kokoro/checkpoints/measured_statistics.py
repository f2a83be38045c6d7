"""Measures the statistics of a checkpoint's norms: each voice speaks two short texts, once.

The result is kept in the cache folder. ``norm_statistics`` explains their use; here there is no regression,
as two texts are too few for one.
"""

from __future__ import annotations

import hashlib
import io
import logging
import threading
import zipfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from kani.engines.kokoro.network.norm_statistics import VARIANCE_FLOOR, StatisticsRecorder, VoiceStatistics
from kani.engines.kokoro.network.onnx_model import Array, ModelFailed, Stop
from kani.engines.kokoro.network.parts import LoadPart, SplitModel
from kani.engines.kokoro.timing import speech_level
from kani_text.foreign.files import read_regular

logger = logging.getLogger(__name__)

MAX_BYTES = 4 << 20
"""Longest file of the cache; one has some 100 KB."""

_FIELDS = ("mean", "log_variance", "sentence", "level", "log_f0")


@dataclass(frozen=True, slots=True)
class Network:
    model: SplitModel
    load_part: LoadPart
    sha256: str  # hash of its weights, as hexadecimal digits
    cache_dir: Path  # folder of what is measured


@dataclass(eq=False)
class VoiceMeasurer:
    """The statistics of a network's voices, measured when they are needed. Thread-safe."""

    _network: Network
    _style: Callable[[str, int], Array]  # returns that of a voice for a number of symbols [1, 256]
    _texts: Callable[[str], Sequence[str]]  # returns the symbols that a voice speaks
    _threads: int  # cores for one call
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _recorder: StatisticsRecorder | None = None
    _known: dict[str, VoiceStatistics] = field(default_factory=dict)

    def measure(self, voice: str) -> VoiceStatistics:
        """Return the statistics of a voice; some seconds where neither memory nor the cache has them.

        Raises ModelFailed.
        """
        # One at a time: two streams of a new voice wait for the same result.
        with self._lock:
            if voice not in self._known:
                texts = self._texts(voice)
                path = self._network.cache_dir / f"kokoro-voice-{self._key(voice, texts)[:32]}.npz"
                found = _load(path)
                if found is None:
                    found = self._record(voice, texts)
                    _save(path, found)
                self._known[voice] = found
            return self._known[voice]

    def release(self) -> None:
        """Free the part that only measuring needs."""
        with self._lock:
            self._recorder = None

    def _key(self, voice: str, texts: Sequence[str]) -> str:
        parts = [self._network.sha256.encode(), *(text.encode() for text in texts)]
        parts += [self._style(voice, len(text)).tobytes() for text in texts]
        return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()

    def _record(self, voice: str, texts: Sequence[str]) -> VoiceStatistics:
        if self._recorder is None:
            self._recorder = StatisticsRecorder(self._network.load_part("recorder"), self._threads)
        stop, model = Stop(), self._network.model
        seen: list[Array] = []
        levels, tones = [], []
        for symbols in texts:
            style = self._style(voice, len(symbols))
            prosody = model.predict_prosody(symbols, style, 1.0, stop)
            samples, found = self._recorder.record(model.decode_features(prosody, style, stop), stop)
            log_variance = np.log(found.variance.ravel() + VARIANCE_FLOOR)
            seen.append(np.stack([found.mean.ravel(), log_variance]))
            levels.append(speech_level(samples))
            tones.append(prosody.log_f0)
        average = np.asarray(np.mean(seen, axis=0), np.float32)
        mean, log_variance = average[0], average[1]
        if not np.isfinite(average).all():
            raise ModelFailed(f"the network gives no speech for the voice {voice}")
        logger.info("Kokoro: measured the voice %s", voice)
        none = np.zeros(0, np.float32)
        return VoiceStatistics(mean, log_variance, none, float(np.mean(levels)), float(np.mean(tones)))


def _load(path: Path) -> VoiceStatistics | None:
    """Read statistics from the cache; None where they are not there, or broken."""
    try:
        with np.load(io.BytesIO(read_regular(path, MAX_BYTES)), allow_pickle=False) as data:
            mean, log_variance, sentence, level, log_f0 = (data[name] for name in _FIELDS)
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
        return None
    return VoiceStatistics(mean, log_variance, sentence, float(level), float(log_f0))


def _save(path: Path, found: VoiceStatistics) -> None:
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, **{name: getattr(found, name) for name in _FIELDS})
    # Without a folder that can be written, each start measures again.
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        partial.write_bytes(content.getvalue())
        partial.replace(path)
