"""Configuration of a session of realtime speech to text: the query of its WebSocket."""

import math
from collections.abc import Callable
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct
from starlette.datastructures import QueryParams

from kani.core.audio.encoding import AudioFormat
from kani.core.conversation.turns import Patience, TurnRule
from kani.core.errors import InvalidRequest
from kani.protocols.elevenlabs.formats import FORMATS
from kani.protocols.shared.calls.bodies import converted

AUDIO_FORMATS = tuple(
    name for name, each in FORMATS.items() if each.codec in ("pcm", "ulaw") and each.sample_rate != 32_000
)
_LISTS = ("keyterms", "secondary_languages", "entity_detection", "entity_redaction")
_WITHOUT_EFFECT = (
    *("no_verbatim", "entity_detection", "entity_redaction", "entity_redaction_mode"),
    *("transcript_edit", "filter_background_audio"),
)

_Name = Annotated[str, Meta(max_length=100)]


class SessionConfig(Struct, frozen=True, kw_only=True):
    """Parameters of a session. Lengths and ranges are those of ElevenLabs' service."""

    model_id: _Name = "scribe_v2_realtime"
    audio_format: str = "pcm_16000"
    language_code: _Name | None = None
    secondary_languages: Annotated[tuple[_Name, ...], Meta(max_length=20)] = ()
    commit_strategy: Literal["manual", "vad"] = "manual"
    vad_silence_threshold_secs: Annotated[float, Meta(ge=0.3, le=3.0)] = 1.5
    vad_threshold: Annotated[float, Meta(ge=0.1, le=0.9)] = 0.4
    min_speech_duration_ms: Annotated[int, Meta(ge=50, le=2000)] = 100
    min_silence_duration_ms: Annotated[int, Meta(ge=50, le=2000)] = 100
    include_timestamps: bool = False
    include_language_detection: bool = False
    enable_logging: bool = True
    keyterms: Annotated[tuple[Annotated[str, Meta(max_length=20)], ...], Meta(max_length=50)] = ()
    unused: tuple[str, ...] = ()  # given parameters without an effect on this server
    language: str | None = None  # the recogniser's language; None to detect it

    @property
    def input_format(self) -> AudioFormat:
        return FORMATS[self.audio_format]

    @property
    def pause_s(self) -> float:
        """Seconds of silence that end a segment."""
        return max(self.vad_silence_threshold_secs, self.min_silence_duration_ms / 1000)

    @property
    def rule(self) -> TurnRule | None:
        """Rule by which pauses end segments; None where the client commits."""
        if self.commit_strategy == "manual":
            return None
        patience = Patience(*[self.pause_s] * 4)
        return TurnRule(patience, self.vad_threshold, padding_s=0.0, waits_for_words=True)

    def as_json(self) -> dict[str, Any]:
        told = msgspec.structs.asdict(self)
        del told["language"]
        return told | {
            "sample_rate": self.input_format.sample_rate,
            "vad_commit_strategy": self.commit_strategy == "vad",
        }


def parse_config(query: QueryParams, spoken_language: Callable[[str], str | None]) -> SessionConfig:
    """Parse the parameters of a session; unknown ones are ignored.

    spoken_language: returns the recogniser's language for a code or a tag. Raises InvalidRequest and what
    ``spoken_language`` raises.
    """
    known = {*SessionConfig.__struct_fields__} - {"unused", "language"}
    given: dict[str, Any] = {name: query[name] for name in known if query.get(name)}
    given |= {name: [each for each in query.getlist(name) if each] for name in _LISTS if name in given}
    unused = [name for name in _WITHOUT_EFFECT if query.get(name, "").lower() not in ("", "false")]
    config = converted(given, SessionConfig, whole="query", strict=False)
    if config.audio_format not in AUDIO_FORMATS:
        raise InvalidRequest("audio_format", f"must be one of {', '.join(AUDIO_FORMATS)}")
    for name in ("vad_silence_threshold_secs", "vad_threshold"):
        if not math.isfinite(getattr(config, name)):
            raise InvalidRequest(name, "must be a number")
    spoken = {spoken_language(code) for code in (config.language_code, *config.secondary_languages) if code}
    # The recogniser takes one language: of several the speech has to tell.
    language = spoken.pop() if len(spoken) == 1 else None
    return msgspec.structs.replace(config, unused=tuple(unused), language=language)
