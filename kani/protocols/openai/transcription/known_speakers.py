"""Recordings of speakers with their names: known_speaker_names and known_speaker_references."""

import base64
from dataclasses import dataclass
from io import BytesIO
from typing import Self

from kani.core.errors import InvalidRequest
from kani.core.session.transcription import TranscriptionSession
from kani.protocols.shared.recordings.upload import AudioUpload

NAMES, REFERENCES = "known_speaker_names", "known_speaker_references"

MAX_SPEAKERS = 4
MAX_NAME = 64
"""Characters of a name."""

MIN_S, MAX_S = 2.0, 10.0
"""Seconds of a recording; the numbers of both are those of OpenAI's service."""

FIELD_BYTES = 3 * 2**20
"""Bytes of the longest field of a form: ten seconds of stereo at 48 kHz in base64."""

FORM_BYTES = MAX_SPEAKERS * FIELD_BYTES + 2**20


@dataclass(frozen=True, slots=True)
class KnownSpeakers:
    """Names, and a recording of each."""

    names: tuple[str, ...] = ()
    recordings: tuple[bytes, ...] = ()

    @classmethod
    def of(cls, upload: AudioUpload) -> Self:
        """Parse the fields of ``upload``. Raises InvalidRequest for them."""
        names = tuple(name.strip() for name in upload.fields.get(NAMES, ()) if name.strip())
        given = tuple(reference for reference in upload.fields.get(REFERENCES, ()) if reference)
        if len(names) > MAX_SPEAKERS:
            raise InvalidRequest(NAMES, f"too many (at most {MAX_SPEAKERS})")
        if len(names) != len(given):
            raise InvalidRequest(REFERENCES, f"must be as many as {NAMES}: {len(names)}, not {len(given)}")
        if len(set(names)) < len(names):
            raise InvalidRequest(NAMES, "must differ")
        for name in names:
            if len(name) > MAX_NAME or not name.isprintable():
                raise InvalidRequest(NAMES, f"must be of printable characters, {MAX_NAME} at most")
        return cls(names, tuple(_recording(at, reference) for at, reference in enumerate(given)))

    async def introduce(self, session: TranscriptionSession) -> None:
        """Tell ``session`` how the speakers sound. Raises InvalidRequest for a recording."""
        for at, recording in enumerate(self.recordings):
            try:
                await session.add_known_speaker(BytesIO(recording), MIN_S, MAX_S)
            except InvalidRequest as error:
                raise error.about(f"{REFERENCES}[{at}]") from error


def _recording(at: int, reference: str) -> bytes:
    head, comma, content = reference.partition(",")
    if not (comma and head.startswith("data:") and head.endswith(";base64")):
        raise InvalidRequest(f"{REFERENCES}[{at}]", "must be a data URL: data:audio/wav;base64,…")
    try:
        return base64.b64decode(content, validate=True)
    except ValueError as error:
        raise InvalidRequest(f"{REFERENCES}[{at}]", "is no base64") from error
