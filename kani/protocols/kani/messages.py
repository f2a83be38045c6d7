"""Messages of the Kani JSON protocol: parsed, validated and written without a socket."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from kani.core.audio.pcm import pcm16
from kani.core.errors import InvalidRequest, SpeechError, UnknownVoice
from kani.core.request import RANGES, TOKENS_PER_SECOND
from kani.core.timing.spans import span_rows
from kani.core.types import Recording, Sampling, SpeechChunk, SpeechRequest
from kani.protocols.shared.calls.bodies import (
    QUOTATIONS,
    UNUSED,
    Melody,
    Seed,
    Speed,
    Temperature,
    TopK,
    about,
    ignored,
    object_of,
    read,
    within,
)
from kani.protocols.shared.calls.faults import WrongFields
from kani.protocols.shared.client_languages import Languages, known_languages
from kani.protocols.shared.errors import BadMessage, encodable, unknown_voice
from kani_text import languages

SAMPLE_RATE = 22_050
FRAME_S = 0.08
"""``chunk_size`` counts the model's frames of 80 ms."""

DEFAULT_CHUNK_SIZE = 25
MAX_REFERENCE_BYTES = 10 * 1024 * 1024
MAX_NAME_LENGTH = 200
"""Characters of a name: a language, an emotion, a voice."""

MAX_ERROR_LENGTH = 500
"""Characters of an error message, which may quote the client's own words."""

MAX_UNUSED_NAMES = 32
"""Names of unused keys that an answer lists."""

_BASE64_PIECE = 2**18

_FIELD_NAMES = {"voice": "voice_id", "reference": "reference_audio", "duration_s": "duration"}
_LANGUAGE_NAMES = {
    "es": "spanish",
    "en": "english",
    "fr": "french",
    "de": "german",
    "it": "italian",
    "pt": "portuguese",
}

Name = Annotated[str, Meta(max_length=MAX_NAME_LENGTH)]
Strength = Annotated[float, Meta(ge=0, le=1)]
Duration = Annotated[float, within(RANGES["duration_s"])]
Tokens = Annotated[int, within(RANGES["max_tokens"])]
TopP = Annotated[float, within(RANGES["top_p"])]
Penalty = Annotated[float, within(RANGES["repetition_penalty"])]
ChunkSize = Annotated[int, Meta(ge=1, le=1000)]
Lookback = Annotated[int, Meta(ge=0, le=1000)]


class Config(msgspec.Struct, frozen=True):
    """``data.config``: all fields are optional, ``null`` is the same as left out."""

    language: Annotated[Name | None, about("Name or BCP 47 tag of its language; detected by default.")] = None
    languages: Annotated[
        Languages | None, about("Languages of the reader, best first, between which detection decides.")
    ] = None
    emotion: Annotated[Name | None, about("One or several: happy, or happy:0.7+calm:0.3.")] = None
    emotion_strength: Annotated[Strength | None, about("Strength of the emotion.")] = None
    speed: Annotated[Speed | None, about("Speed of the speech; 1 is normal.")] = None
    duration: Annotated[Duration | None, about("Seconds of the whole speech, instead of a speed.")] = None
    lexicon: Annotated[dict[str, Any] | None, about("Pronunciations by word.")] = None
    normalize: Annotated[bool | None, about("Whether numbers and the like are spelled out.")] = None
    quotations: Annotated[bool | None, QUOTATIONS] = None
    melody: Melody | None = None
    ssml: Annotated[bool | None, about("Whether the text is SSML; default: if it begins with <speak>.")] = (
        None
    )
    voice_id: Annotated[Name | None, about("Id of a voice; GET /v1/audio/voices lists them.")] = None
    temperature: Annotated[Temperature | None, about("Sampling temperature of the Kani model.")] = None
    max_tokens: Annotated[
        Tokens | None, about(f"Longest speech, in tokens: {TOKENS_PER_SECOND} are one second.")
    ] = None
    top_p: Annotated[TopP | None, about("Nucleus sampling of the Kani model.")] = None
    top_k: Annotated[TopK | None, about("Number of tokens that the Kani model samples from.")] = None
    repetition_penalty: Annotated[Penalty | None, about("Repetition penalty of the Kani model.")] = None
    seed: Annotated[Seed | None, about("Seed of the Kani model's sampling.")] = None
    chunk_size: Annotated[
        ChunkSize | None, about("Frames of 80 ms of one chunk, on the WebSocket; without effect here.")
    ] = None
    lookback_frames: Annotated[Lookback | None, UNUSED] = None


class Spoken(msgspec.Struct):
    text: Annotated[str | None, about("The text.")] = None
    reference_audio: Annotated[
        str | None, about("A recording of the voice to imitate, in base64, or the name of a stored voice.")
    ] = None


class _Data(Spoken):
    config: dict[str, Any] | None = None
    stream: bool | None = None


@dataclass(frozen=True, slots=True)
class SpeakRequest:
    """``tts_request`` or ``tts_stream_request``."""

    text: str
    config: Config
    reference: str | None  # base64
    wants_chunks: bool  # send the audio while it is made
    wants_whole: bool  # end the answer with all of the audio
    timed: bool  # the answer has the times of its words
    unused: tuple[str, ...]  # given keys without effect where they stand, as "data.speed" beside the text

    @property
    def frame_samples(self) -> int:
        """Samples of one ``tts_stream_chunk`` at most."""
        return round((self.config.chunk_size or DEFAULT_CHUNK_SIZE) * FRAME_S * SAMPLE_RATE)

    def without_voice(self) -> SpeakRequest:
        """Return a copy without its voice, for a name that stands for a recording."""
        return replace(self, config=msgspec.structs.replace(self.config, voice_id=None))

    def to_request(self, reference: Recording | None, accepted: tuple[str, ...] = ()) -> SpeechRequest:
        """Convert to the core's request. Raises InvalidRequest for an unknown language.

        accepted: the connection's ``Accept-Language``, used if the message has no ``languages``.
        """
        config = self.config
        return SpeechRequest(
            voice=config.voice_id if config.voice_id not in (None, "", "default") else None,
            language=languages.resolve(config.language) if config.language else None,
            languages=(known_languages(config.languages) if config.languages else ()) or accepted,
            emotion=config.emotion,
            emotion_strength=config.emotion_strength,
            speed=config.speed,
            duration_s=config.duration,
            max_tokens=config.max_tokens,
            lexicon=config.lexicon or {},
            normalize=config.normalize is not False,
            quotations=config.quotations is not False,
            melody=config.melody,
            ssml=config.ssml,
            sampling=Sampling(
                config.temperature, config.top_p, config.top_k, config.repetition_penalty, config.seed
            ),
            reference=reference,
            timed=self.timed,
        )


ClientMessage = Literal["ping", "tts_cancel"] | SpeakRequest


def read_message(message: str | bytes) -> ClientMessage:
    """Parse a client's message, text or the same bytes. Raises BadMessage."""
    text = message if isinstance(message, str) else message.decode(errors="replace")
    parsed = object_of(text, "Invalid JSON format", BadMessage)
    match parsed.get("type"):
        case "ping":
            return "ping"
        case "tts_cancel":
            return "tts_cancel"
        case "tts_request" | "tts_stream_request" as kind:
            return _speak(parsed, streaming=kind == "tts_stream_request")
        case other:
            raise BadMessage(f"Unknown message type: {other}")


def read_body(body: bytes) -> SpeakRequest:
    """Parse the body of a REST call: the config's fields beside ``text``. Raises BadMessage."""
    parsed = object_of(body, "Invalid JSON format", BadMessage)
    data = {key: parsed.pop(key) for key in ("text", "reference_audio") if key in parsed}
    return replace(_speak({"data": {**data, "config": parsed}}, streaming=False), timed=False)


def _speak(parsed: dict[str, Any], *, streaming: bool) -> SpeakRequest:
    if "data" not in parsed and "params" in parsed:
        raise BadMessage('data: is required (a request with "params" is VoxCPM\'s; its path is /tts)')
    beside = parsed.get("data") or {}
    try:
        data = read(beside, _Data, "data")
        if data.text is None or not data.text.strip():
            raise BadMessage("No text provided" + (" in data, where it belongs" if "text" in parsed else ""))
        given = data.config or {}
        config = read(given, Config)
    except WrongFields as error:
        raise BadMessage(str(error).removeprefix("data.")) from error
    unused = ignored(config)
    unused += [key for key in given if key not in Config.__struct_fields__]
    unused += [f"data.{key}" for key in beside if key not in _Data.__struct_fields__]
    unused += [key for key in parsed if key not in ("type", "data")]
    return SpeakRequest(
        text=data.text,
        config=config,
        reference=data.reference_audio or None,
        wants_chunks=streaming or bool(data.stream),
        wants_whole=not streaming,
        timed=True,
        unused=tuple(unused[:MAX_UNUSED_NAMES]),
    )


def reference_bytes(encoded: str) -> bytes:
    """Decode ``reference_audio``: base64, also as a ``data:`` URL. Raises InvalidRequest.

    Takes some 50 ms for the largest recording: call it in a thread.
    """
    start = encoded.find(",") + 1 if encoded.startswith("data:") else 0
    if len(encoded) - start > (MAX_REFERENCE_BYTES + 2) // 3 * 4:
        raise InvalidRequest("reference", f"too large (at most {MAX_REFERENCE_BYTES // 2**20} MiB)")
    try:
        pieces = [
            base64.b64decode(encoded[at : at + _BASE64_PIECE], validate=True)
            for at in range(start, len(encoded), _BASE64_PIECE)
        ]
    except ValueError as error:
        raise InvalidRequest("reference", "is not base64") from error
    return b"".join(pieces)


def error_message(error: SpeechError) -> str:
    if isinstance(error, InvalidRequest):
        reason = unknown_voice(error) if isinstance(error, UnknownVoice) else error.reason
        return f"{_FIELD_NAMES.get(error.field, error.field)}: {reason}"
    return str(error)


def language_name(tag: str) -> str:
    """Return the protocol's name of a language, or the tag if it has none."""
    return _LANGUAGE_NAMES.get(tag.partition("-")[0], tag)


def _message(kind: str, data: dict[str, Any]) -> str:
    return msgspec.json.encode({"type": kind, "data": data}).decode()


def _clean(text: str) -> str:
    return encodable(text[:MAX_ERROR_LENGTH])


def pong(ready: bool) -> str:
    return _message("pong", {"status": "alive", "tts_initialized": ready})


def failure(message: str) -> str:
    """Encode an error: all errors have this form."""
    return _message("tts_response", {"audio": "", "status": "error", "message": _clean(message)})


def success(wav: bytes, message: str, metadata: dict[str, Any]) -> str:
    """Encode the whole audio, a WAV file."""
    rest = _message("", {"status": "success", "message": message, "metadata": metadata})
    # Base64 needs no escaping; inserted here, a long answer is copied once less.
    audio = base64.b64encode(wav).decode()
    return '{"type":"tts_response","data":{"audio":"' + audio + '",' + rest.partition('"data":{')[2]


def stream_chunk(chunk: SpeechChunk) -> str:
    """Encode a piece of the audio: signed 16-bit samples, little endian."""
    pcm = pcm16(chunk.samples)
    metadata = {
        "chunk_size": len(pcm),
        "duration": len(chunk.samples) / SAMPLE_RATE,
        "sample_rate": SAMPLE_RATE,
        "channels": 1,
        "spans": span_rows(chunk.spans),
    }
    # Bytes are written in base64.
    return _message("tts_stream_chunk", {"audio": pcm, "status": "streaming", "metadata": metadata})


def stream_complete(message: str, metadata: dict[str, Any]) -> str:
    return _message("tts_stream_complete", {"status": "completed", "message": message, "metadata": metadata})


def clean_names(names: Iterable[str]) -> list[str]:
    """Make keys fit for an answer: each once, in order, cut to 64 characters."""
    return list(dict.fromkeys(_clean(name)[:64] for name in names))
