"""``apply_text_normalization``: whether what was written is spelled out before it is said."""

from __future__ import annotations

from speech.errors import InvalidRequest

NORMALIZATION_FIELD = "apply_text_normalization"
NORMALIZATION_CHOICES = ("auto", "on", "off")


def parse_normalization(given: str | None) -> bool:
    """Whether numbers, abbreviations and the like are spelled out; nothing, and "", are "auto".

    Here "auto" is the same as "on": there is no model that would be slower for it. Raises InvalidRequest.
    """
    if given and given not in NORMALIZATION_CHOICES:
        raise InvalidRequest(NORMALIZATION_FIELD, f"must be one of {', '.join(NORMALIZATION_CHOICES)}")
    return given != "off"
