"""The messages of the Kani JSON protocol: typed, checked, and told apart without a socket."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import msgspec

from protocols.shared.client_languages import LANGUAGES_FIELD, known_languages, languages_error
from protocols.shared.json_input import TooManyValues, parse_object
from speech.errors import InvalidRequest, SpeechError
from speech.request import Range
from speech.text import languages
from speech.types import Recording, Sampling, SpeechRequest

T = TypeVar("T", bound=msgspec.Struct)

SAMPLE_RATE = 22_050
FRAME_S = 0.08
"""``chunk_size`` counts the model's frames of 80 ms."""

DEFAULT_CHUNK_SIZE = 25
MAX_REFERENCE_BYTES = 10 * 1024 * 1024
MAX_NAME_LENGTH = 200
"""Characters of a name: a language, an emotion, a voice."""

MAX_WHOLE_ANSWER_S = 1200.0
"""The longest answer that is sent whole; longer speech is for streams, which keep nothing."""

MAX_ERROR_LENGTH = 500
MAX_UNUSED_NAMES = 32
"""How much of a client's own words an answer repeats at most: characters, and names of keys."""

_DECODED_AT_ONCE = 2**18

_RANGES = {"chunk_size": Range(1, 1000), "lookback_frames": Range(0, 1000)}
_FIELD_NAMES = {"voice": "voice_id", "reference": "reference_audio", "duration_s": "duration"}
_SPOKEN_NAMES = {
    "es": "spanish",
    "en": "english",
    "fr": "french",
    "de": "german",
    "it": "italian",
    "pt": "portuguese",
}


class BadMessage(Exception):
    """A message that cannot be answered by speech; ``str()`` is what the client is told."""


class Config(msgspec.Struct, frozen=True):
    """``data.config``: every field optional, ``null`` the same as left out."""

    language: str | None = None
    languages: list[str] | None = None
    emotion: str | None = None
    emotion_strength: float | None = None
    speed: float | None = None
    duration: float | None = None
    lexicon: dict[str, Any] | None = None
    normalize: bool | None = None
    voice_id: str | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    top_p: float | None = None
    top_k: int | None = None
    repetition_penalty: float | None = None
    seed: int | None = None
    chunk_size: int | None = None
    lookback_frames: int | None = None


class _Data(msgspec.Struct):
    text: str | None = None
    reference_audio: str | None = None
    config: dict[str, Any] | None = None
    stream: bool | None = None


@dataclass(frozen=True, slots=True)
class Ping:
    """``ping``."""


@dataclass(frozen=True, slots=True)
class Cancel:
    """``tts_cancel``: end the speech under way."""


@dataclass(frozen=True, slots=True)
class SpeakRequest:
    """``tts_request`` or ``tts_stream_request``.

    chunks: whether audio is sent as it is made; whole: whether the answer ends with all of it.
    unknown: keys of the config that have no meaning here.
    """

    text: str
    config: Config
    reference: str | None
    wants_chunks: bool
    wants_whole: bool
    unknown: tuple[str, ...]

    @property
    def frame_samples(self) -> int:
        """How many samples one ``tts_stream_chunk`` holds at most."""
        return round((self.config.chunk_size or DEFAULT_CHUNK_SIZE) * FRAME_S * SAMPLE_RATE)

    @property
    def unused(self) -> tuple[str, ...]:
        """What was given and is of no use whichever engine speaks: no engine here has a window."""
        window = ("lookback_frames",) if self.config.lookback_frames is not None else ()
        return (*window, *self.unknown)

    def without_voice(self) -> SpeakRequest:
        """The same without its voice, for a name that stands for a recording."""
        return replace(self, config=msgspec.structs.replace(self.config, voice_id=None))

    def to_request(self, reference: Recording | None, accepted: tuple[str, ...] = ()) -> SpeechRequest:
        """The core's request. Raises InvalidRequest for an unknown language.

        accepted: the languages that the client's connection tells of, where the message tells none.
        """
        config = self.config
        return SpeechRequest(
            voice=config.voice_id if config.voice_id not in (None, "", "default") else None,
            language=languages.resolve(config.language) if config.language else None,
            languages=known_languages(config.languages or ()) or accepted,
            emotion=config.emotion,
            emotion_strength=config.emotion_strength,
            speed=config.speed,
            duration_s=config.duration,
            max_tokens=config.max_tokens,
            lexicon=config.lexicon or {},
            normalize=config.normalize is not False,
            sampling=Sampling(
                config.temperature, config.top_p, config.top_k, config.repetition_penalty, config.seed
            ),
            reference=reference,
        )


ClientMessage = Ping | Cancel | SpeakRequest


def read_message(message: str | bytes) -> ClientMessage:
    """A client's message. Raises BadMessage.

    Python's own parser is used because it takes half a surrogate pair, which JavaScript sends when
    a text was cut inside an emoji; msgspec does the typing.
    """
    parsed = _parsed(message)
    match parsed.get("type"):
        case "ping":
            return Ping()
        case "tts_cancel":
            return Cancel()
        case "tts_request" | "tts_stream_request" as kind:
            return _speak(parsed, streaming=kind == "tts_stream_request")
        case other:
            raise BadMessage(f"Unknown message type: {other}")


def read_body(body: bytes) -> SpeakRequest:
    """The body of one of the REST calls: the config's fields beside ``text``. Raises BadMessage."""
    parsed = _parsed(body)
    data = {key: parsed.pop(key) for key in ("text", "reference_audio") if key in parsed}
    return _speak({"data": {**data, "config": parsed}}, streaming=False)


def _parsed(message: str | bytes) -> dict[str, Any]:
    if isinstance(message, bytes):
        try:
            message = message.decode()
        except UnicodeDecodeError as error:
            raise BadMessage("Invalid JSON format") from error
    try:
        return parse_object(message)
    except TooManyValues as error:
        raise BadMessage(str(error)) from error
    except ValueError as error:
        raise BadMessage("Invalid JSON format") from error


def _speak(parsed: dict[str, Any], *, streaming: bool) -> SpeakRequest:
    if "data" not in parsed and "params" in parsed:
        raise BadMessage('data: is required (a request with "params" is VoxCPM\'s, whose path is /tts)')
    data = _convert(parsed.get("data") or {}, _Data, "data")
    if data.text is None or not data.text.strip():
        raise BadMessage("No text provided")
    given = data.config or {}
    config = _convert(given, Config, "config")
    for field in ("language", "emotion", "voice_id"):
        if len(getattr(config, field) or "") > MAX_NAME_LENGTH:
            raise BadMessage(f"{field}: too long (at most {MAX_NAME_LENGTH} characters)")
    if config.languages is not None and (wrong := languages_error(config.languages)) is not None:
        raise BadMessage(f"{LANGUAGES_FIELD}: {wrong}")
    for field, allowed in _RANGES.items():
        value = getattr(config, field)
        if value is not None:
            try:
                allowed.check(field, value)
            except InvalidRequest as error:
                raise BadMessage(str(error)) from error
    unknown = tuple(key for key in given if key not in Config.__struct_fields__)[:MAX_UNUSED_NAMES]
    return SpeakRequest(
        text=data.text,
        config=config,
        reference=data.reference_audio or None,
        wants_chunks=streaming or bool(data.stream),
        wants_whole=not streaming,
        unknown=unknown,
    )


def _convert(value: Any, kind: type[T], where: str) -> T:
    if isinstance(value, dict):
        # msgspec would choke on a key with half a surrogate pair, so it sees only those it knows.
        known = {field.name for field in msgspec.structs.fields(kind)}
        value = {key: value[key] for key in value if key in known}
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        reason, _, path = str(error).partition(" - at `$")
        field = path.rstrip("`").removeprefix(".") or where
        raise BadMessage(f"{field}: {reason[:1].lower()}{reason[1:]}") from error
    except UnicodeEncodeError as error:
        # msgspec quotes a value of the wrong type, and cannot where that has half a surrogate pair in it.
        field = _unquotable(value, kind) or where
        raise BadMessage(f"{field}: wrong type, and half of a surrogate pair in it") from error


def _unquotable(value: Any, kind: type[msgspec.Struct]) -> str | None:
    """The first field whose value msgspec cannot quote, if ``value`` has fields."""
    for name, each in value.items() if isinstance(value, dict) else ():
        with suppress(msgspec.ValidationError):
            try:
                msgspec.convert({name: each}, kind)
            except UnicodeEncodeError:
                return str(name)
    return None


def reference_bytes(encoded: str) -> bytes:
    """The recording in ``reference_audio``: base64, a ``data:`` URL's too.

    Takes some 50 ms for the largest, piece by piece: call it in a thread. Raises InvalidRequest.
    """
    start = encoded.find(",") + 1 if encoded.startswith("data:") else 0
    if len(encoded) - start > (MAX_REFERENCE_BYTES + 2) // 3 * 4:
        raise InvalidRequest("reference", f"too large (at most {MAX_REFERENCE_BYTES // 2**20} MiB)")
    try:
        pieces = [
            base64.b64decode(encoded[at : at + _DECODED_AT_ONCE], validate=True)
            for at in range(start, len(encoded), _DECODED_AT_ONCE)
        ]
    except (binascii.Error, ValueError) as error:
        raise InvalidRequest("reference", "is not base64") from error
    return b"".join(pieces)


def error_message(error: SpeechError) -> str:
    """What the client is told of an error, with the protocol's names for its fields."""
    if isinstance(error, InvalidRequest):
        return f"{_FIELD_NAMES.get(error.field, error.field)}: {error.reason}"
    return str(error)


def language_name(tag: str) -> str:
    """The protocol's name of a language, or its tag where it has none."""
    return _SPOKEN_NAMES.get(tag.partition("-")[0], tag)


def _message(kind: str, data: dict[str, Any]) -> str:
    return msgspec.json.encode({"type": kind, "data": data}).decode()


def _clean(text: str) -> str:
    return text[:MAX_ERROR_LENGTH].encode("utf-8", "replace").decode()


def pong(ready: bool) -> str:
    """The answer to a ping."""
    return _message("pong", {"status": "alive", "tts_initialized": ready})


def failure(message: str) -> str:
    """The one form that every error takes."""
    return _message("tts_response", {"audio": "", "status": "error", "message": _clean(message)})


def success(wav: bytes, message: str, metadata: dict[str, Any]) -> str:
    """The whole audio, as a WAV file."""
    rest = _message("", {"status": "success", "message": message, "metadata": metadata})
    # Base64 needs no escaping: put in by hand, a long answer is copied once less.
    audio = base64.b64encode(wav).decode()
    return '{"type":"tts_response","data":{"audio":"' + audio + '",' + rest.partition('"data":{')[2]


def stream_chunk(pcm: bytes, metadata: dict[str, Any]) -> str:
    """A piece of the audio: raw signed 16-bit samples, little endian."""
    audio = base64.b64encode(pcm).decode()
    return _message("tts_stream_chunk", {"audio": audio, "status": "streaming", "metadata": metadata})


def stream_complete(message: str, metadata: dict[str, Any]) -> str:
    """The end of a stream."""
    return _message("tts_stream_complete", {"status": "completed", "message": message, "metadata": metadata})


def clean_names(names: Iterable[str]) -> list[str]:
    """Names of keys fit to be sent back: each once, in order, bounded and whole."""
    return list(dict.fromkeys(_clean(name)[:64] for name in names))
