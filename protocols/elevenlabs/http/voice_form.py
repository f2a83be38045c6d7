"""The forms by which clients make voices and edit them: read and checked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request

from protocols.elevenlabs.errors import FieldTooLarge, Unprocessable
from speech.audio.pcm import MAX_RECORDING_BYTES
from speech.errors import InvalidRequest, UnsupportedLanguage
from speech.text import languages

MAX_FILES = 25
MAX_FIELDS = 16
MAX_FIELD_BYTES = 16 * 1024

CONSENT_HEADER = "x-consent"

_WITHOUT_EFFECT = ("remove_background_noise",)
_LABELS_WITHOUT_EFFECT = ("accent", "age", "gender", "use_case")
_YES = ("true", "1", "on", "yes")


@dataclass(frozen=True, slots=True)
class VoiceForm:
    """What a form asks for.

    name: as voices are called here; files: recordings as they came, at most ``MAX_FILES`` and 10 MiB
    together; description, language (a BCP 47 tag): None where none is given; consent: the speaker's, in
    words, empty where there is none; unused: what was asked for in vain.
    """

    name: str
    files: tuple[bytes, ...]
    description: str | None
    language: str | None
    consent: str
    unused: tuple[str, ...]


async def read_voice_form(request: Request, *, files_needed: bool) -> VoiceForm:
    """The form of a request, with ``name``, ``files``, ``description``, ``labels`` and ``consent``.

    A voice's name holds no spaces here: each run of them becomes ``_``. ``labels`` is JSON, an object of
    strings; ``language`` and ``consent`` of it count. A consent may also be its own field, which comes
    first, or the header ``x-consent``. Raises Unprocessable for what is missing, TooLarge, InvalidRequest,
    and HTTPException (400) for a form that cannot be read.
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
            raise Unprocessable(*(_error("missing", [name], "Field required") for name in missing))
        labels = _labels(fields.get("labels", ""))
        unused = [name for name in _WITHOUT_EFFECT if fields.get(name, "").lower() in _YES]
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
    """The recordings. Raises Unprocessable for those that are no files, and TooLarge."""
    given = form.getlist("files")
    uploads = [file for file in given if isinstance(file, UploadFile)]
    if len(uploads) < len(given):
        index = next(index for index, file in enumerate(given) if isinstance(file, str))
        wanted = "Value error, Expected UploadFile, received: <class 'str'>"
        raise Unprocessable(_error("value_error", ["files", index], wanted))
    if sum(file.size or 0 for file in uploads) > MAX_RECORDING_BYTES:
        raise FieldTooLarge(
            "files", f"too large (at most {MAX_RECORDING_BYTES >> 20} MiB, all of them together)"
        )
    return tuple([await file.read() for file in uploads])


def _labels(written: str) -> Mapping[str, str | None]:
    """The labels of a form; null and nothing are none. Raises InvalidRequest."""
    try:
        labels = json.loads(written) if written.strip() else None
        # The SDK writes labels that are a string already as a JSON string once more.
        if isinstance(labels, str):
            labels = json.loads(labels) if labels.strip() else None
    except (ValueError, RecursionError) as error:
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
    written = request.headers.get(CONSENT_HEADER, "")
    try:
        # HTTP knows Latin-1 only; who has other letters sends UTF-8.
        return written.encode("latin-1").decode()
    except UnicodeDecodeError:
        return written


def _error(kind: str, location: list[str | int], message: str) -> dict[str, Any]:
    return {"type": kind, "loc": ["body", *location], "msg": message, "input": None}
