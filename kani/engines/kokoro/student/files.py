"""The files of the students: those that ship, and those of a folder that a setting names.

A student is a folder with ``student.json``, which names its voice and the checksums of its two graphs. They
are JSON and ONNX: reading them runs no code. ``python -m tools.student`` writes one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from kani.core.errors import EngineUnavailable
from kani.core.types import Voice
from kani_text.foreign.files import read_regular
from kani_text.languages import primary

SHIPPED = Path(__file__).parent / "data"
"""Folder of the students that ship, each in a folder with its voice's name."""

ENGLISH = SHIPPED / "af_heart"
"""Folder of the published student, which others are trained from."""

PROSODY, DECODER, ORIGIN_FILE = "student.prosody.onnx", "student.decoder.onnx", "student.json"
LICENCE_FILE, NOTICE_FILE = "student.LICENSE", "student.NOTICE"

MAX_ORIGIN_BYTES, MAX_GRAPH_BYTES = 64 << 10, 64 << 20
"""Limits of the files; a student's are 1 KB, 3 MB and 5 MB."""

MAX_GAIN = 4.0
"""Limit of the factor on a student's samples."""

_LOG_HZ_40, _LOG_HZ_800 = 3.69, 6.69


@dataclass(frozen=True, slots=True)
class StudentFacts:
    """Facts about a student's voice, as the origin file has them."""

    voice: Annotated[str, Meta(max_length=64)]  # id of the Kokoro voice that it was taught
    language: Annotated[str, Meta(max_length=8)]  # primary subtag of the one language that it speaks
    log_f0: Annotated[float, Meta(ge=_LOG_HZ_40, le=_LOG_HZ_800)]  # of the voice (``parts.log_f0_of``)
    level: Annotated[float, Meta(gt=0, le=1)]  # power of its loud parts (``timing.speech_level``)
    sha256: Mapping[str, str]  # of the graphs, by their files' names
    gain: Annotated[float, Meta(gt=0, le=MAX_GAIN)] = 1.0  # factor that gives its samples the voice's level


@dataclass(frozen=True, slots=True)
class StudentFiles:
    """A student that is not loaded yet."""

    folder: Path
    facts: StudentFacts

    @classmethod
    def read(cls, folder: Path) -> StudentFiles:
        """Read the origin file in ``folder``. Raises EngineUnavailable."""
        try:
            facts = msgspec.json.decode(
                read_regular(folder / ORIGIN_FILE, MAX_ORIGIN_BYTES), type=StudentFacts
            )
        except (OSError, ValueError, RecursionError, msgspec.DecodeError) as error:
            raise unusable(folder, f"{ORIGIN_FILE}: {error}") from error
        return cls(folder, facts)

    @property
    def ships(self) -> bool:
        return self.folder.parent == SHIPPED

    def check(self) -> None:
        """Compare the checksums of both graphs: 20 ms. Raises EngineUnavailable."""
        for name in (PROSODY, DECODER):
            self.graph(name)

    def graph(self, name: str) -> bytes:
        """Read a graph, and compare its checksum. Raises EngineUnavailable."""
        try:
            content = read_regular(self.folder / name, MAX_GRAPH_BYTES)
        except OSError as error:
            raise unusable(self.folder, f"{name}: {error.strerror}") from error
        if hashlib.sha256(content).hexdigest() != self.facts.sha256.get(name):
            raise unusable(self.folder, f"{name} fails its SHA-256 in {ORIGIN_FILE}")
        return content


def find_students(own: Path | None, voices: Sequence[Voice]) -> list[StudentFiles]:
    """List the students that ship, and those in the folders of ``own``, each of another voice.

    own: None for no others; one of a shipped student's voice takes its place. voices: Kokoro's. Raises
    EngineUnavailable.
    """
    found = {files.facts.voice: files for files in map(StudentFiles.read, _folders(SHIPPED) or [ENGLISH])}
    if own is None:
        return [*found.values()]
    languages = {voice.id: primary(voice.language) for voice in voices}
    seen: dict[str, Path] = {}
    for files in _own(own):
        voice, language = files.facts.voice, files.facts.language
        if voice not in languages:
            raise unusable(files.folder, f"{ORIGIN_FILE}: Kokoro has no voice {voice!r}")
        if languages[voice] != language:
            raise unusable(
                files.folder, f"{ORIGIN_FILE}: {voice} speaks {languages[voice]!r}, not {language!r}"
            )
        if voice in seen:
            raise unusable(files.folder, f"{voice} has another student in {seen[voice]}")
        seen[voice] = files.folder
        found[voice] = files
    return [*found.values()]


def _own(folder: Path) -> Iterable[StudentFiles]:
    folders = _folders(folder)
    if not folders:
        raise EngineUnavailable(
            f"KANI_KOKORO_STUDENTS: {folder} has no folder with a {ORIGIN_FILE}: name the folder that the "
            "students' folders lie in, such as --work of the training"
        )
    return map(StudentFiles.read, folders)


def _folders(folder: Path) -> list[Path]:
    return sorted(file.parent for file in folder.glob(f"*/{ORIGIN_FILE}"))


def unusable(folder: Path, reason: str) -> EngineUnavailable:
    """Make the error for a student that cannot be used, with the remedy."""
    if folder.parent == SHIPPED:
        return EngineUnavailable(
            f"Kokoro's student {folder.name} is missing or broken ({reason}): "
            f"restore kani/engines/kokoro/student/data/{folder.name} from the repository"
        )
    return EngineUnavailable(
        f"KANI_KOKORO_STUDENTS: the student in {folder} cannot be used: {reason}. Copy the whole folder that "
        "the training wrote, or remove it"
    )
