"""Data of the clients' events, checked, and the server's events."""

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

import msgspec

from kani.core.audio.pcm import pcm16
from kani.core.expected_words import MAX_WORD, MAX_WORDS, as_prompt
from kani.core.types import Samples
from kani.protocols.shared.calls.bodies import converted
from kani.protocols.shared.calls.faults import WrongFields
from kani.protocols.shared.errors import BadMessage
from kani.protocols.wyoming.framing import Event

MAX_NAME_LENGTH = 256

Words = Annotated[list[Annotated[str, msgspec.Meta(max_length=MAX_WORD)]], msgspec.Meta(max_length=MAX_WORDS)]
Name = Annotated[str, msgspec.Meta(max_length=MAX_NAME_LENGTH)]


class VoiceChoice(msgspec.Struct, frozen=True):
    """Voice that a client asks for; no voice has several speakers, so ``speaker`` is ignored."""

    name: Name | None = None
    language: Name | None = None


class SynthesizeStart(msgspec.Struct, frozen=True):
    """Data of ``synthesize-start``. SSML needs no flag here: it begins with ``<speak>``.

    quotations: our own addition, false to speak those in another language as the text around them.
    """

    voice: VoiceChoice | None = None
    quotations: bool = True


class Synthesize(msgspec.Struct, frozen=True):
    """Data of ``synthesize``; text_format: "text" or "ssml"."""

    text: str
    voice: VoiceChoice | None = None
    text_format: Name | None = None
    quotations: bool = True


class SynthesizeChunk(msgspec.Struct, frozen=True):
    text: str


class Transcribe(msgspec.Struct, frozen=True):
    language: Name | None = None
    vad_sensitivity: Name | None = None
    transcript_names: Words | None = None
    transcript_terms: Words | None = None

    @property
    def prompt(self) -> str:
        """Names and terms as the recogniser takes them: of too many, the names stay."""
        return as_prompt([*(self.transcript_terms or ()), *(self.transcript_names or ())])


class AudioFormat(msgspec.Struct, frozen=True):
    rate: Annotated[int, msgspec.Meta(ge=4_000, le=96_000, multiple_of=25)]
    """Hertz. All usual rates are multiples of 25; a resampler for others takes long to build."""
    width: Annotated[int, msgspec.Meta(ge=1, le=4)]  # bytes of a sample
    channels: Annotated[int, msgspec.Meta(ge=1, le=8)]


class Ping(msgspec.Struct, frozen=True):
    text: Annotated[str, msgspec.Meta(max_length=1024)] | None = None


T = TypeVar("T", bound=msgspec.Struct)


def read(event: Event, kind: type[T]) -> T:
    """Return the event's data as ``kind``. Raises BadMessage, which names the event and the field."""
    try:
        return converted(event.data, kind, whole="data")
    except WrongFields as error:
        raise BadMessage(f"{event.type}: {error}") from error


def audio_start(rate: int) -> Event:
    """Start of the speech: 16-bit mono at ``rate`` hertz."""
    return Event("audio-start", {"rate": rate, "width": 2, "channels": 1})


def audio_chunk(samples: Samples, rate: int) -> Event:
    return Event("audio-chunk", {"rate": rate, "width": 2, "channels": 1}, pcm16(samples))


AUDIO_STOP = Event("audio-stop")
SYNTHESIZE_STOPPED = Event("synthesize-stopped")
TRANSCRIPT_STOP = Event("transcript-stop")


def transcript_start(language: str | None) -> Event:
    return Event("transcript-start", _with_language({}, language))


def transcript_chunk(text: str) -> Event:
    """Words that are decided, with the space before them."""
    return Event("transcript-chunk", {"text": text})


def transcript(text: str, language: str | None) -> Event:
    return Event("transcript", _with_language({"text": text}, language))


def error(text: str, code: str) -> Event:
    """Error; the connection is closed after it."""
    return Event("error", {"text": text, "code": code})


def pong(text: str | None) -> Event:
    return Event("pong", {"text": text} if text is not None else {})


def _with_language(data: Mapping[str, Any], language: str | None) -> dict[str, Any]:
    return {**data, "language": language} if language else dict(data)
