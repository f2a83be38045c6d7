"""``apply_text_normalization``: whether what was written is spelled out before it is said."""

from __future__ import annotations

from speech.errors import InvalidRequest

FIELD = "apply_text_normalization"
CHOICES = ("auto", "on", "off")


def read_normalization(given: str | None) -> bool:
    """Whether numbers, abbreviations and the like are spelled out; nothing, and "", are "auto".

    Here "auto" is the same as "on": there is no model that would be slower for it. Raises InvalidRequest.
    """
    if given and given not in CHOICES:
        raise InvalidRequest(FIELD, f"must be one of {', '.join(CHOICES)}")
    return given != "off"
