"""Checks the students that ship, and lets each of one's own say a few words before it is used."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kani.core.types import Voice
from kani.engines.kokoro.network.onnx_model import FRAME_SAMPLES, ModelFailed, Stop
from kani.engines.kokoro.student.files import StudentFiles, find_students, unusable
from kani.engines.kokoro.student.model import StudentModel
from kani.engines.kokoro.student.synthesizer import StudentSynthesizer

_SYMBOLS = "ola, ola."
"""Symbols that every language has."""

_MOST_FRAMES = 200
"""Frames of a symbol, 5 s: a longer one was not learned from speech."""


def load_students(own: Path | None, voices: Sequence[Voice], threads: int) -> StudentSynthesizer:
    """Find the students that ship, and those in the folders of ``own``; voices: Kokoro's.

    Those that ship are loaded when they first speak, the others now. Raises EngineUnavailable for files that
    are missing, broken or no student's.
    """
    students = find_students(own, voices)
    for files in students:
        if files.ships:
            files.check()
    loaded = [_load(files, threads) for files in students if not files.ships]
    return StudentSynthesizer(students, loaded, threads)


def _load(files: StudentFiles, threads: int) -> StudentModel:
    try:
        model = StudentModel(threads, files)
        speaks = _speaks(model)
    except (ModelFailed, ValueError, IndexError) as error:
        # Arrays of other shapes are errors of numpy's.
        raise unusable(files.folder, f"its graphs are not a student's ({error})") from error
    if not speaks:
        raise unusable(files.folder, "its graphs give no speech for a text")
    return model


def _speaks(model: StudentModel) -> bool:
    """True if a text gets finite samples, as many as its durations say, and durations within bounds."""
    prosody = model.predict(_SYMBOLS, 1.0, Stop())
    durations = prosody.frames
    if len(durations) != len(_SYMBOLS) + 2 or not 1 <= durations.min() <= durations.max() <= _MOST_FRAMES:
        return False
    frames = int(durations.sum())
    curves = (1, 2 * frames)
    if prosody.asr.shape[2] != 2 * frames or prosody.pitch.shape != curves or prosody.energy.shape != curves:
        return False
    samples = model.decode(prosody, 0, frames, Stop())
    return len(samples) == frames * FRAME_SAMPLES and bool(np.isfinite(samples).all())
