"""Forms that add and edit voices, parsed and validated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request

from kani.core.audio.pcm import MAX_RECORDING_BYTES, MAX_RECORDING_S, decode_recording, wav
from kani.core.errors import InvalidRequest, UnsupportedLanguage
from kani.core.types import Samples
from kani.protocols.elevenlabs.errors import FieldTooLarge, Unprocessable
from kani.protocols.elevenlabs.http.body import field_error, missing_field
from kani.text import foreign, languages

MAX_FILES = 25
MAX_FIELDS = 16
MAX_FIELD_BYTES = 16 * 1024

CONSENT_HEADER = "x-consent"

JOINED_RATE = 48_000
"""Hertz of joined recordings: an encoder uses no frequency of a voice above half of it."""

_WITHOUT_EFFECT = ("remove_background_noise",)
_LABELS_WITHOUT_EFFECT = ("accent", "age", "gender", "use_case")
_TRUE = ("true", "1", "on", "yes")


@dataclass(frozen=True, slots=True)
class VoiceForm:
    name: str  # as stored: runs of spaces replaced by "_"
    files: tuple[bytes, ...]  # recordings, at most ``MAX_FILES`` and 10 MiB together
    description: str | None
    language: str | None  # BCP 47 tag
    consent: str  # the speaker's, in words; "" if missing
    unused: tuple[str, ...]  # given fields without effect on this server


async def read_voice_form(request: Request, *, files_needed: bool) -> VoiceForm:
    """Parse the form of a request: ``name``, ``files``, ``description``, ``labels`` and ``consent``.

    ``labels`` is a JSON object of strings; ``language`` and ``consent`` have an effect. The consent
    is read from its own field, the label or the header ``x-consent``, in this order. Raises Unprocessable
    for a missing field, FieldTooLarge, InvalidRequest, and HTTPException (400) for an unreadable form.
    """
    async with request.form(
        max_files=MAX_FILES, max_fields=MAX_FIELDS, max_part_size=MAX_FIELD_BYTES
    ) as form:
        fields = {name: value for name, value in form.items() if isinstance(value, str)}
        files = await _files(form)
        missing = [] if "name" in fields else ["name"]
        if files_needed and not files:
            missing.append("files")
        if missing:
            raise Unprocessable(*(missing_field(["body", name]) for name in missing))
        labels = _labels(fields.get("labels", ""))
        unused = [name for name in _WITHOUT_EFFECT if fields.get(name, "").lower() in _TRUE]
        unused += [f"labels.{name}" for name in _LABELS_WITHOUT_EFFECT if labels.get(name)]
        consents = (fields.get("consent"), labels.get("consent"), _consent_header(request))
        return VoiceForm(
            "_".join(fields["name"].split()),
            files,
            fields.get("description"),
            _language(labels.get("language")),
            next((consent for consent in consents if consent and consent.strip()), ""),
            tuple(unused),
        )


async def _files(form: FormData) -> tuple[bytes, ...]:
    """Read the recordings. Raises Unprocessable for values that are no files, and FieldTooLarge."""
    given = form.getlist("files")
    uploads = [file for file in given if isinstance(file, UploadFile)]
    if len(uploads) < len(given):
        index = next(index for index, file in enumerate(given) if isinstance(file, str))
        message = "Value error, Expected UploadFile, received: <class 'str'>"
        raise Unprocessable(field_error("value_error", ["body", "files", index], message, None))
    if sum(file.size or 0 for file in uploads) > MAX_RECORDING_BYTES:
        raise FieldTooLarge(
            "files", f"too large (at most {MAX_RECORDING_BYTES >> 20} MiB, all of them together)"
        )
    return tuple([await file.read() for file in uploads])


def _labels(field: str) -> Mapping[str, str | None]:
    """Parse the labels; null and "" are no labels. Raises InvalidRequest."""
    try:
        labels = foreign.parse_json(field) if field.strip() else None
        # The SDK encodes labels that are given as a string once more, as a JSON string.
        if isinstance(labels, str):
            labels = foreign.parse_json(labels) if labels.strip() else None
    except foreign.Unreadable as error:
        raise InvalidRequest("labels", "must be JSON") from error
    if labels is None:
        return {}
    if not isinstance(labels, dict) or not all(isinstance(value, str | None) for value in labels.values()):
        raise InvalidRequest("labels", "must be a JSON object of strings")
    return labels


def _language(label: str | None) -> str | None:
    try:
        return languages.resolve(label) if label else None
    except UnsupportedLanguage as error:
        raise InvalidRequest("labels.language", error.reason) from error


def _consent_header(request: Request) -> str:
    value = request.headers.get(CONSENT_HEADER, "")
    try:
        # Headers are decoded as Latin-1; clients send other letters as UTF-8.
        return value.encode("latin-1").decode()
    except UnicodeDecodeError:
        return value


def join_recordings(files: Sequence[bytes]) -> tuple[bytes, bool]:
    """Return the recording to store for one or more ``files``, and whether it contains all of them.

    A single file is returned unchanged. Several are joined in order, as WAV of ``JOINED_RATE`` hertz and at
    most 60 s. Blocks (about 0.1 s for a minute of audio): call it in a thread. Raises InvalidRequest for
    ``files``.
    """
    if len(files) == 1:
        return files[0], True
    max_samples = round(MAX_RECORDING_S * JOINED_RATE)
    parts: list[Samples] = []
    count = 0
    for index, file in enumerate(files):
        try:
            part = decode_recording(file, truncate=True, sample_rate=JOINED_RATE)
        except InvalidRequest as error:
            raise InvalidRequest("files", f"number {index + 1} {error.reason}") from error
        parts.append(part.samples)
        count += len(part.samples)
        if count >= max_samples:
            break
    complete = len(parts) == len(files) and count <= max_samples
    return wav(np.concatenate(parts)[:max_samples], JOINED_RATE), complete
