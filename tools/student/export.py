"""A trained student's folder: two graphs, origin and licence; its durations and level as the teacher's."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from kani.core.types import Samples
from kani.engines.kokoro.network.norm_statistics import StatisticsTable
from kani.engines.kokoro.network.onnx_model import Network, Stop, frame_counts
from kani.engines.kokoro.student.files import LICENCE_FILE, MAX_GAIN, NOTICE_FILE, ORIGIN_FILE, StudentFiles
from kani.engines.kokoro.student.synthesizer import StudentModel
from kani.engines.kokoro.text.vocabulary import VOCABULARY
from kani.engines.kokoro.timing import speech_level
from kani.engines.kokoro.voices import Voices
from kani_text.languages import primary
from tools.kokoro_pack.graph_surgery import spread_durations
from tools.kokoro_pack.published import KOKORO
from tools.student.graph_weights import lengthened
from tools.student.targets import Target

_MOST_LENGTHENED, _HALVINGS = 2.0, 8
"""Limit of the power of ``lengthened``, and steps of the search for it."""

_SILENT = 1e-6
"""Power below which a student says nothing."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Origin of a student.

    start: folder of the student that it began as; licence and notice are copied from there. voice, language:
    the teacher's. training: the steps, in words.
    """

    start: Path
    voice: str
    language: str
    training: str


def save_student(
    folder: Path, parts: Mapping[str, bytes], origin: Origin, spoken: Sequence[Target] = ()
) -> None:
    """Write a student as ``student.files.StudentFiles`` reads it.

    parts: its graphs by their files' names. spoken: sentences of the teacher that the gain is measured on.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for text in (LICENCE_FILE, NOTICE_FILE):
        if (origin.start / text).is_file():
            shutil.copyfile(origin.start / text, folder / text)
    for name, part in parts.items():
        (folder / name).write_bytes(part)
    statistics = StatisticsTable.shipped([one.id for one in Voices().all])
    facts = {
        "made_by": "python -m tools.student",
        "origin": f"began as the student of {StudentFiles.read(origin.start).facts.voice}; taught by "
        f"Kokoro-82M's {origin.voice}, by hexgrad",
        "licence": "Apache-2.0",
        "training": origin.training,
        "teacher_sha256": KOKORO.sha256,
        "voice": origin.voice,
        "language": primary(origin.language),
        "log_f0": round(statistics.log_f0(origin.voice), 4),
        "level": round(statistics.level(origin.voice), 6),
        "gain": 1.0,
        "sha256": {name: hashlib.sha256(part).hexdigest() for name, part in parts.items()},
    }
    _write(folder, facts)
    if spoken:
        _write(folder, facts | {"gain": round(_gain(StudentFiles.read(folder), spoken), 2)})


def as_long_as_taught(prosody: onnx.ModelProto, spoken: Sequence[Target]) -> onnx.ModelProto:
    """Return a prosody's graph that speaks ``spoken`` for as long as the teacher does, or as near as it can.

    Predicted durations are means and medians, so the few long sounds at the end of a phrase are too short.
    """
    wanted = sum(int(target.frames.sum()) for target in spoken)
    least, most = 1.0, _MOST_LENGTHENED
    for _ in range(_HALVINGS):
        power = (least + most) / 2
        network = Network(lengthened(prosody, power).SerializeToString(), threads=1)
        frames = sum(int(_durations(network, target).sum()) for target in spoken)
        least, most = (power, most) if frames < wanted else (least, power)
    spoken_as_long = lengthened(prosody, least)
    spread_durations(spoken_as_long.graph)
    return spoken_as_long


def _durations(network: Network, target: Target) -> npt.NDArray[np.int64]:
    inputs: dict[str, npt.NDArray[Any]] = {"ids": target.symbols[None], "speed": np.ones(1, np.float32)}
    (durations,) = network.run(inputs, ("durations",), Stop())
    return frame_counts(durations)


def _write(folder: Path, facts: Mapping[str, Any]) -> None:
    (folder / ORIGIN_FILE).write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def speak(files: StudentFiles, targets: Sequence[Target], threads: int = 1) -> list[Samples]:
    """Speak the symbols of ``targets`` by a student, with its own durations, pitch and energy."""
    model = StudentModel(threads, files)
    names = {at: name for name, at in VOCABULARY.items()}
    said = []
    for target in targets:
        prosody = model.predict("".join(names[at] for at in target.symbols[1:-1]), 1.0, Stop())
        said.append(model.decode(prosody, 0, int(prosody.frames.sum()), Stop()))
    return said


def _gain(files: StudentFiles, spoken: Sequence[Target]) -> float:
    """Return the teacher's level divided by the student's, as amplitudes: the median over ``spoken``.

    Distances of spectra are least for a voice that is quieter than the teacher's where it is unlike.
    """
    ratios = [
        speech_level(target.samples) / max(speech_level(said), _SILENT)
        for target, said in zip(spoken, speak(files, spoken), strict=True)
    ]
    return min(float(np.sqrt(np.median(ratios))), MAX_GAIN)
