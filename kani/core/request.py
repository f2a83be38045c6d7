"""Limits of a request's fields, and their validation."""

from dataclasses import asdict

from kani.core.emotions import prosody_of
from kani.core.engine import EngineInfo
from kani.core.errors import InvalidRequest, Reason
from kani.core.types import Range as Range
from kani.core.types import Sampling, SpeechRequest
from kani_text.lexicon import Lexicon, parse_entry

TOKENS_PER_SECOND = 50
"""A ``max_tokens`` of 50 is one second of speech, for every engine (Kani: 12.5 frames × 4)."""

DEFAULT_MAX_TOKENS = 1200

MAX_TEXT = 10_000
"""Characters of one session, unless another limit is set."""


RANGES = {
    "speed": Range(0.25, 4.0),
    "pitch": Range(-12.0, 12.0),
    "melody": Range(0.0, 1.0),
    "duration_s": Range(0.1, 300.0),
    "temperature": Range(0.0, 2.0),
    "top_p": Range(0.0, 1.0),
    "top_k": Range(0, 1000),
    "repetition_penalty": Range(1.0, 2.0),
    "max_tokens": Range(1, 100_000),
    "seed": Range(0, 2**63 - 1),
}


def validate(request: SpeechRequest) -> None:
    """Validate every field except voice and language, which the catalogue resolves.

    Raises InvalidRequest with the field's name and its limit.
    """
    for field, allowed in RANGES.items():
        value = getattr(request.sampling if field in Sampling.__slots__ else request, field)
        if value is not None:
            allowed.check(field, value)
    # Clients send a speed of 1 by default, with a duration too.
    if request.duration_s is not None and request.speed not in (None, 1.0):
        raise InvalidRequest(
            "duration_s",
            "cannot be given together with a speed: it tells how fast to speak",
            Reason("not_with_speed"),
        )
    prosody_of(request.emotion, request.emotion_strength)
    Lexicon().with_request(request.lexicon)


def unused_fields(request: SpeechRequest, info: EngineInfo) -> list[str]:
    """Return the names of the fields that were given and are of no use to the engine.

    They include the lexicon where an entry has nothing but IPA and the engine does not accept IPA.
    """
    given = {**asdict(request.sampling), **request.options, "melody": request.melody}
    known = info.supported_fields | info.native_prosody
    unused = [name for name, value in given.items() if value is not None and name not in known]
    if not info.reading.ipa and any(parse_entry(how).spelling is None for how in request.lexicon.values()):
        unused.append("lexicon")
    return sorted(unused)
