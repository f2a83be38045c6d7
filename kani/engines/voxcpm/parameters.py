"""Options of one utterance, with the names, defaults and ranges of VoxCPM's package."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import msgspec
from msgspec import Meta

from kani.core.errors import InvalidRequest
from kani.core.types import OPTION_RANGES, OptionValue
from kani_text import foreign


def _limits(name: str) -> Meta:
    allowed = OPTION_RANGES[name]
    return Meta(ge=allowed.low, le=allowed.high)


class Parameters(msgspec.Struct, frozen=True):
    cfg_value: Annotated[float, _limits("cfg_value")] = 2.0
    """Weight of the text and of the voice against free generation."""
    inference_timesteps: Annotated[int, _limits("inference_timesteps")] = 10
    """Steps of the diffusion for each patch of audio."""
    denoise: bool = False  # True if the recording's latents are to be those made after the denoiser
    retry_badcase: bool | None = None
    """True if a segment that is too long for its text is made again. True and False both have it decoded and
    sent once it is complete; None streams it."""
    retry_badcase_max_times: Annotated[int, _limits("retry_badcase_max_times")] = 3
    """Attempts, the first included; 0 is one attempt, too."""
    retry_badcase_ratio_threshold: Annotated[float, _limits("retry_badcase_ratio_threshold")] = 6.0
    """Patches of audio for each token of the text from which on a segment is too long; it ends there."""
    prompt_text: str = ""  # transcript of the recording, which the speech then continues

    @classmethod
    def of(cls, options: Mapping[str, OptionValue]) -> Parameters:
        """Return the parameters of a segment's options; other options are ignored.

        Raises InvalidRequest for a value of another type, or out of its range.
        """
        try:
            return foreign.convert({name: each for name, each in options.items() if each is not None}, cls)
        except foreign.Unreadable as error:
            raise InvalidRequest(error.field, error.reason) from error
