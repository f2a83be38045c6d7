"""``voice_settings`` and ``apply_text_normalization`` of a request, validated."""

from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from kani.core.errors import InvalidRequest
from kani.core.request import Range
from kani.core.types import Sampling
from kani.protocols.shared.calls.bodies import read

FIELD = "voice_settings"

Unit = Annotated[float, Meta(ge=0, le=1)]


class Settings(Struct):
    """Only speed and stability have an effect. A client that sends a default requests nothing by it."""

    stability: Unit = 0.5
    similarity_boost: Unit = 0.75
    style: Unit = 0.0
    use_speaker_boost: bool = True
    speed: Annotated[float, Meta(ge=0.7, le=1.2)] = 1.0


class DialogueSettings(Struct):
    """Only stability has an effect."""

    stability: Unit = 0.5
    similarity: Unit | None = None
    clone_strength: Unit | None = None


SEED_RANGE = Range(0, 2**32 - 1)
DEFAULT_SETTINGS = msgspec.structs.asdict(Settings())

NORMALIZATION_FIELD = "apply_text_normalization"
NORMALIZATION_CHOICES = ("auto", "on", "off")

_MAX_TEMPERATURE = 0.9  # at stability 0
_DEFAULT_TEMPERATURE = 0.6  # at the protocol's default stability; the Kani model's own default


@dataclass(frozen=True, slots=True)
class VoiceSettings:
    """Requested settings that differ from the protocol's defaults."""

    speed: float | None = None  # 0.7–1.2
    stability: float | None = None  # 0–1
    unused: tuple[str, ...] = ()  # names of requested settings that no engine implements
    field: str = FIELD  # the protocol's name of the object with the settings

    @property
    def temperature(self) -> float | None:
        """Sampling temperature, 0.9 at stability 0 down to 0.3 at stability 1."""
        if self.stability is None:
            return None
        return _MAX_TEMPERATURE - 2 * (_MAX_TEMPERATURE - _DEFAULT_TEMPERATURE) * self.stability

    def sampling(self, seed: int | None = None) -> Sampling:
        """Return the sampling parameters for engines that sample tokens."""
        return Sampling(temperature=self.temperature, seed=seed)

    def unused_fields(self, session_fields: list[str]) -> list[str]:
        """Name the requested fields without effect, in the protocol's terms.

        session_fields: ``SpeechSession.unused_fields``; the core's temperature is the protocol's stability.
        """
        names = {"temperature": f"{self.field}.stability"}
        return sorted({*self.unused, *(names.get(name, name) for name in session_fields)})


def parse_settings(given: Any, kind: type[Settings | DialogueSettings]) -> VoiceSettings | None:
    """Read ``voice_settings`` of a message, None if it has none. Raises InvalidRequest."""
    return None if given is None else requested(read(given, kind, FIELD), FIELD)


def requested(given: Settings | DialogueSettings | None, field: str) -> VoiceSettings:
    """Return what settings request; field: the object's name."""
    if given is None:
        return VoiceSettings(field=field)
    default = type(given)()
    values = {name: getattr(given, name) for name in given.__struct_fields__}
    changed = {name: value for name, value in values.items() if value != getattr(default, name)}
    speed, stability = changed.pop("speed", None), changed.pop("stability", None)
    return VoiceSettings(speed, stability, tuple(f"{field}.{name}" for name in changed), field)


def parse_normalization(given: str | None) -> bool:
    """Return whether numbers, abbreviations and the like are spelled out; None and "" equal "auto".

    "auto" equals "on": no engine here is slower with normalized text. Raises InvalidRequest.
    """
    if given and given not in NORMALIZATION_CHOICES:
        raise InvalidRequest(NORMALIZATION_FIELD, f"must be one of {', '.join(NORMALIZATION_CHOICES)}")
    return given != "off"
