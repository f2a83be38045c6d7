"""Parameters of one utterance: defaults and ranges of VoxCPM's package and of its WebSocket protocol."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from kani.core.errors import InvalidRequest
from kani.core.types import OptionValue

RANGES: Mapping[str, tuple[float, float]] = {
    "cfg_value": (0.1, 10.0),
    "inference_timesteps": (1, 50),
    "retry_badcase_max_times": (0, 10),
    "retry_badcase_ratio_threshold": (1.0, 20.0),
}
"""Ranges of the numbers, ends included."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """Options of a request that the model uses; the names are those of the package."""

    cfg_value: float = 2.0
    """Weight of the text and of the voice against free generation."""
    inference_timesteps: int = 10
    """Steps of the diffusion for each patch of audio."""
    denoise: bool = False
    """True if the recording's latents are to be those made after the denoiser."""
    retry_badcase: bool | None = None
    """True if a segment that is too long for its text is made again. True and False both have it decoded and
    sent once it is complete; None streams it."""
    retry_badcase_max_times: int = 3
    """Attempts, the first included; 0 is one attempt, too."""
    retry_badcase_ratio_threshold: float = 6.0
    """Patches of audio for each token of the text from which on a segment is too long; it ends there."""
    prompt_text: str = ""
    """Transcript of the recording, which the speech then continues."""

    @classmethod
    def of(cls, options: Mapping[str, OptionValue]) -> Parameters:
        """Return the parameters of a segment's options; other options are ignored.

        Raises InvalidRequest for a value of another type, or out of its range.
        """
        given: dict[str, Any] = {}
        for field in fields(cls):
            value = options.get(field.name)
            if value is not None:
                _check(field.name, value, bool if field.default is None else type(field.default))
                given[field.name] = value
        return cls(**given)


def _check(name: str, value: OptionValue, kind: type) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not (number if kind is float else type(value) is kind):
        raise InvalidRequest(name, f"has to be of type {kind.__name__}")
    if name in RANGES and number:
        low, high = RANGES[name]
        # False for NaN.
        if not low <= float(value) <= high:
            raise InvalidRequest(name, f"must be between {low} and {high}")
