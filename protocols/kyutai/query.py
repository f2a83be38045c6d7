"""What a client says in the URL it connects to, and what of it a request becomes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TypeVar

from starlette.datastructures import QueryParams

from protocols.kyutai.voices import resolve_voice
from speech.errors import InvalidRequest
from speech.request import Range, validate
from speech.service import SpeechService
from speech.text import languages
from speech.types import OptionValue, Sampling, SpeechRequest

CFG_ALPHA_RANGE = Range(0.0, 10.0)
MAX_SEQ_LEN_RANGE = Range(1, 100_000)
N = TypeVar("N", int, float)

_UNSAID = ("", "null", "None")


class AudioFormat(Enum):
    """How audio goes out, by its name in the URL."""

    PCM = "Pcm"
    PCM_MESSAGE_PACK = "PcmMessagePack"
    OGG_OPUS = "OggOpus"
    OGG_OPUS_MESSAGE_PACK = "OggOpusMessagePack"

    @property
    def uses_messages(self) -> bool:
        """Whether there are messages around the audio: Ready, words and errors."""
        return self in (AudioFormat.PCM_MESSAGE_PACK, AudioFormat.OGG_OPUS_MESSAGE_PACK)

    @property
    def is_opus(self) -> bool:
        """Whether the audio is Ogg Opus."""
        return self in (AudioFormat.OGG_OPUS, AudioFormat.OGG_OPUS_MESSAGE_PACK)


class BadQuery(Exception):
    """A URL that asks for what cannot be; ``str()`` names the parameter and the limit."""


@dataclass(frozen=True, slots=True)
class SpeechQuery:
    """format: how the audio goes out; request: to the core; most_frames: after how many to end, if any."""

    format: AudioFormat
    request: SpeechRequest
    max_frames: int | None


def read_speech_query(query: QueryParams, service: SpeechService) -> SpeechQuery:
    """The parameters of ``/api/tts_streaming``; those that nobody knows are passed over. Raises BadQuery.

    ``language`` is ours: a language's name or tag.
    """
    try:
        audio = AudioFormat(query.get("format") or AudioFormat.OGG_OPUS)
    except ValueError as error:
        known = ", ".join(each.value for each in AudioFormat)
        raise BadQuery(f"format: has to be one of {known}") from error
    most_frames = _number(query, "max_seq_len", int, MAX_SEQ_LEN_RANGE)
    cfg_alpha = _number(query, "cfg_alpha", float, CFG_ALPHA_RANGE)
    sampling = Sampling(
        temperature=_number(query, "temperature", float),
        top_k=_number(query, "top_k", int),
        seed=_number(query, "seed", int),
    )
    request = build_request(query.get("voice"), sampling, cfg_alpha, service, query.get("language"))
    return SpeechQuery(audio, request, most_frames)


def read_language(query: QueryParams) -> str | None:
    """The BCP 47 tag of ``language``, which is ours: a tag or a name. Raises BadQuery."""
    return _language(query.get("language"))


def build_request(
    voice: str | None,
    sampling: Sampling,
    cfg_alpha: float | None,
    service: SpeechService,
    language: str | None = None,
) -> SpeechRequest:
    """The core's request. Raises BadQuery."""
    options: dict[str, OptionValue] = {} if cfg_alpha is None else {"cfg_alpha": cfg_alpha}
    request = SpeechRequest(
        voice=resolve_voice(voice, service), language=_language(language), sampling=sampling, options=options
    )
    try:
        validate(request)
    except InvalidRequest as error:
        raise BadQuery(str(error)) from error
    return request


def _language(name: str | None) -> str | None:
    if name in (None, *_UNSAID):
        return None
    try:
        return languages.resolve(name)
    except InvalidRequest as error:
        raise BadQuery(str(error)) from error


def _number(query: QueryParams, name: str, kind: type[N], allowed: Range | None = None) -> N | None:
    said = query.get(name)
    if said is None or said in _UNSAID:
        return None
    try:
        value = kind(said)
    except ValueError as error:
        raise BadQuery(f"{name}: has to be a {'whole ' if kind is int else ''}number") from error
    if allowed is not None:
        try:
            allowed.check(name, value)
        except InvalidRequest as error:
            raise BadQuery(str(error)) from error
    return value
