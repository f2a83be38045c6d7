"""Bodies of speech requests, parsed and validated."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Generic, Literal, TypeVar

from msgspec import Struct

from kani.core.audio.encoding import AudioFormat
from kani.core.errors import TextTooLong, UnsupportedLanguage
from kani.core.request import RANGES, Range
from kani.protocols.openai.lists import SPEECH_MODELS
from kani.protocols.openai.speech import formats
from kani.protocols.openai.speech.instructions import Style, parse_instructions
from kani.protocols.openai.voice_names import DEFAULT_NAME
from kani.protocols.shared.calls.bodies import (
    QUOTATIONS,
    Melody,
    Speed,
    about,
    object_of,
    one_of,
    read,
    unknown,
    within,
)
from kani.protocols.shared.errors import RequestError, field_error
from kani_text import languages
from kani_text.ssml import begins_document

VOLUME = Range(0.0, 10.0)
"""Factors of the amplitude; peaks are clipped."""

MAX_ALIASES = 100
USUAL_INPUT = 4096
"""Characters of the longest input of OpenAI's own service."""

_LANGUAGE_CODES = {"a": "en-US", "b": "en-GB", "e": "es", "f": "fr", "h": "hi", "i": "it", "j": "ja"} | {
    "p": "pt-BR",
    "z": "zh",
}
"""Kokoro's one-letter codes, which Kokoro-FastAPI takes as ``lang_code``."""


Hertz = Annotated[float, within(formats.SAMPLE_RATES)]


class VoiceId(Struct):
    """A voice, as OpenAI names those that clients made."""

    id: str


class VoiceAlias(Struct):
    """A voice with a factor of its speed, as Kokoro-FastAPI has them."""

    voice: str
    rate: Speed | None = None


class SpeechFields(Struct, kw_only=True):
    """Fields of every call that speaks. A null equals a missing field."""

    input: Annotated[str, about("The text.")]
    voice: Annotated[
        str | VoiceId | None, about('A voice of OpenAI\'s or of this server, as a name or {"id": NAME}.')
    ] = None
    model: Annotated[str | None, about(f"Any name, for example {SPEECH_MODELS[0]}.")] = None
    speed: Annotated[Speed, about("Speed of the speech.")] = 1.0
    instructions: Annotated[str | None, about("Emotion, pace and pitch in words.")] = None
    language: Annotated[str | None, about("Tag or name of the text's language; detected by default.")] = None
    lang_code: Annotated[str | None, about("The same by a name of Kokoro-FastAPI's.")] = None
    quotations: Annotated[bool, QUOTATIONS] = True
    melody: Melody | None = None
    voice_aliases: Annotated[
        dict[str, str | VoiceAlias],
        about('Names for voices in this request, each a voice or {"voice", "rate"}.', max_length=MAX_ALIASES),
    ] = {}
    volume_multiplier: Annotated[float, within(VOLUME, "Factor of the amplitude.")] = 1.0
    response_format: Annotated[
        str | None, one_of(formats.FORMATS, f"Format of the audio, else {formats.DEFAULT_FORMAT}.")
    ] = None
    sample_rate: Annotated[Hertz | None, about(f"Hertz of the audio, else {formats.SAMPLE_RATE}.")] = None
    stream_format: Annotated[
        Literal["audio", "sse"], about("Whether the audio is sent as bytes or as server-sent events.")
    ] = "audio"
    stream: Annotated[
        bool | None,
        about("Whether it is sent while it is made; the default, but for a FLAC of usual length."),
    ] = None
    allow_voice_tags: Annotated[bool, about("Whether marks in the text change the voice.")] = False
    ssml: Annotated[
        bool | None, about("Whether the text is SSML; by default it is where it begins with <speak>.")
    ] = None

    @property
    def is_document(self) -> bool:
        return bool(begins_document(self.input)) if self.ssml is None else self.ssml


F = TypeVar("F", bound=SpeechFields)


@dataclass(frozen=True, slots=True)
class SpeechBody(Generic[F]):
    given: F
    audio_format: AudioFormat
    style: Style
    language: str | None  # BCP 47 tag; None is detected from the text
    unknown_fields: tuple[str, ...]  # given names that mean nothing here

    @property
    def voice(self) -> str:
        voice = self.given.voice
        return ((voice.id if isinstance(voice, VoiceId) else voice) or "").strip() or DEFAULT_NAME

    @property
    def total_speed(self) -> float:
        """Speed and pace together, within the range of a speed."""
        return within_speed(self.given.speed * self.style.pace)

    @property
    def sse(self) -> bool:
        """True if the audio is sent as server-sent events."""
        return self.given.stream_format == "sse"

    @property
    def whole(self) -> bool:
        """True if the audio is sent once it is complete, as a file that says its length.

        So is a FLAC of usual length unless the client asks for a stream: libsndfile opens no other.
        """
        if self.sse or self.given.stream is not None:
            return not self.sse and self.given.stream is False
        return self.audio_format.codec == "flac" and len(self.given.input) <= USUAL_INPUT

    def speaker(self, name: str) -> VoiceAlias:
        """Return the voice of a name: that of an alias, in any case as in marks, else itself."""
        folded = {each.casefold(): alias for each, alias in self.given.voice_aliases.items()}
        alias = self.given.voice_aliases.get(name) or folded.get(name.casefold()) or name
        return VoiceAlias(alias) if isinstance(alias, str) else alias

    @property
    def unused_fields(self) -> list[str]:
        return [*(["instructions"] if self.style.ignored else []), *self.unknown_fields]


def within_speed(speed: float) -> float:
    return min(max(speed, RANGES["speed"].low), RANGES["speed"].high)


def parse_body(given: Mapping[str, Any], max_text: int, kind: type[F]) -> SpeechBody[F]:
    """Parse a body; max_text: characters. Raises RequestError and InvalidRequest."""
    if given.get("stream_format") == "":
        given = {**given, "stream_format": None}  # the default, as for response_format
    fields, unused = read(given, kind), unknown(given, kind)
    if len(fields.input) > max_text:
        raise TextTooLong(max_text)
    if not fields.input.strip():
        raise field_error("input", "is empty", "string_below_min_length")
    audio_format = formats.resolve_format(fields.response_format, fields.sample_rate)
    if audio_format.codec == "opus" and fields.sample_rate not in (None, formats.OPUS_RATE):
        unused.append("sample_rate")
    style = parse_instructions(fields.instructions)
    return SpeechBody(fields, audio_format, style, _language(fields), tuple(unused))


def read_object(data: bytes) -> dict[str, Any]:
    """Parse a JSON object. Raises RequestError."""
    return object_of(
        data, "is not JSON", lambda reason: RequestError(400, f"the body: {reason}", code="invalid_json")
    )


def _language(fields: SpeechFields) -> str | None:
    for name in ("language", "lang_code"):
        if code := getattr(fields, name):
            try:
                return languages.resolve(_LANGUAGE_CODES.get(code.lower(), code))
            except UnsupportedLanguage as error:
                raise field_error(name, error.reason, "unsupported_language") from error
    return None
