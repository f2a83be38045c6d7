"""``voice_settings``: how a client wants its voice, and what of that an engine can do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from speech.errors import InvalidRequest
from speech.request import Range
from speech.types import Sampling

FIELD = "voice_settings"

DEFAULT_SETTINGS = {
    "stability": 0.5,
    "similarity_boost": 0.75,
    "style": 0.0,
    "use_speaker_boost": True,
    "speed": 1.0,
}
"""What the protocol says where a client says nothing; such a value asks for nothing."""

SETTING_RANGES = {
    "stability": Range(0.0, 1.0),
    "similarity_boost": Range(0.0, 1.0),
    "style": Range(0.0, 1.0),
    "speed": Range(0.7, 1.2),
}

_WARMEST, _USUAL = 0.9, 0.6
"""Temperatures: of no stability at all, and of the protocol's default, which is the Kani model's own."""


@dataclass(frozen=True, slots=True)
class VoiceSettings:
    """speed: 0.7–1.2; stability: 0–1; None is "not given". unused: names that nobody here has a use for."""

    speed: float | None = None
    stability: float | None = None
    unused: tuple[str, ...] = ()

    @property
    def temperature(self) -> float | None:
        """Stability for engines that draw their tokens: the steadier, the colder; 0.9 to 0.3."""
        if self.stability is None:
            return None
        return _WARMEST - 2 * (_WARMEST - _USUAL) * self.stability

    def sampling(self, seed: int | None = None) -> Sampling:
        """How an engine that draws its tokens shall do so."""
        return Sampling(temperature=self.temperature, seed=seed)

    def unused_fields(self, unused_fields: list[str]) -> list[str]:
        """What of a request stays without effect, in the protocol's words.

        unused_fields: what ``SpeechSession.unused`` names; stability is the core's temperature.
        """
        words = {"temperature": f"{FIELD}.stability"}
        return sorted({*self.unused, *(words.get(name, name) for name in unused_fields)})


def parse_voice_settings(given: Any) -> VoiceSettings:
    """``voice_settings`` of a message; None is as good as ``{}``, and so is null for a field.

    Unknown fields are ignored, as in the original. Raises InvalidRequest, which names the field and its
    limit.
    """
    if given is None:
        return VoiceSettings()
    if not isinstance(given, dict):
        raise InvalidRequest(FIELD, "must be an object")
    fields = {name: given[name] for name in DEFAULT_SETTINGS if given.get(name) is not None}
    for name, allowed in SETTING_RANGES.items():
        if name in fields:
            _check(name, allowed, fields[name])
    if not isinstance(fields.get("use_speaker_boost", True), bool):
        raise InvalidRequest(f"{FIELD}.use_speaker_boost", "must be true or false")
    asked = {name: value for name, value in fields.items() if value != DEFAULT_SETTINGS[name]}
    return VoiceSettings(
        speed=asked.get("speed"),
        stability=asked.get("stability"),
        unused=tuple(
            f"{FIELD}.{name}" for name in ("similarity_boost", "style", "use_speaker_boost") if name in asked
        ),
    )


def _check(name: str, allowed: Range, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidRequest(f"{FIELD}.{name}", "must be a number")
    allowed.check(f"{FIELD}.{name}", value)
