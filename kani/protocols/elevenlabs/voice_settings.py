"""``voice_settings`` and ``apply_text_normalization`` of a request, validated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kani.core.errors import InvalidRequest
from kani.core.request import Range
from kani.core.types import Sampling

FIELD = "voice_settings"

DEFAULT_SETTINGS = {
    "stability": 0.5,
    "similarity_boost": 0.75,
    "style": 0.0,
    "use_speaker_boost": True,
    "speed": 1.0,
}
"""The protocol's defaults. A client that sends a default value requests nothing by it."""

SETTING_RANGES = {
    "stability": Range(0.0, 1.0),
    "similarity_boost": Range(0.0, 1.0),
    "style": Range(0.0, 1.0),
    "speed": Range(0.7, 1.2),
}

DIALOGUE_SETTINGS = ("stability", "similarity", "clone_strength")
DIALOGUE_SETTING_RANGE = Range(0.0, 1.0)

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


def parse_voice_settings(given: Any) -> VoiceSettings:
    """Validate ``voice_settings`` of a message; None equals ``{}``, and null a missing field.

    Ignores unknown fields, as ElevenLabs' service does. Raises InvalidRequest with the field and its limit.
    """
    if given is None:
        return VoiceSettings()
    if not isinstance(given, dict):
        raise InvalidRequest(FIELD, "must be an object")
    fields = {name: given[name] for name in DEFAULT_SETTINGS if given.get(name) is not None}
    for name, allowed in SETTING_RANGES.items():
        if name in fields:
            _check(f"{FIELD}.{name}", allowed, fields[name])
    if not isinstance(fields.get("use_speaker_boost", True), bool):
        raise InvalidRequest(f"{FIELD}.use_speaker_boost", "must be true or false")
    changed = {name: value for name, value in fields.items() if value != DEFAULT_SETTINGS[name]}
    unused = ("similarity_boost", "style", "use_speaker_boost")
    return VoiceSettings(
        speed=changed.get("speed"),
        stability=changed.get("stability"),
        unused=tuple(f"{FIELD}.{name}" for name in unused if name in changed),
    )


def parse_dialogue_settings(given: Any, field: str) -> VoiceSettings:
    """Validate the settings of a dialogue, which has fewer of them; else as ``parse_voice_settings``.

    field: the object's name. Raises InvalidRequest with the setting and its limit.
    """
    if given is None:
        return VoiceSettings(field=field)
    if not isinstance(given, dict):
        raise InvalidRequest(field, "must be an object")
    settings = {name: given[name] for name in DIALOGUE_SETTINGS if given.get(name) is not None}
    for name, value in settings.items():
        _check(f"{field}.{name}", DIALOGUE_SETTING_RANGE, value)
    stability = settings.pop("stability", None)
    return VoiceSettings(
        stability=stability if stability != DEFAULT_SETTINGS["stability"] else None,
        unused=tuple(f"{field}.{name}" for name in settings),
        field=field,
    )


def parse_normalization(given: str | None) -> bool:
    """Return whether numbers, abbreviations and the like are spelled out; None and "" equal "auto".

    "auto" equals "on": no engine here is slower with normalized text. Raises InvalidRequest.
    """
    if given and given not in NORMALIZATION_CHOICES:
        raise InvalidRequest(NORMALIZATION_FIELD, f"must be one of {', '.join(NORMALIZATION_CHOICES)}")
    return given != "off"


def _check(path: str, allowed: Range, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidRequest(path, "must be a number")
    allowed.check(path, value)
