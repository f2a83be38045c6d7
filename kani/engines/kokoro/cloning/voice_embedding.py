"""Serialisation of Kokoro's embeddings: one voice mix for each language.

Values, for each of ``LANGUAGES`` in order: the row of the prosody voice, pitch, pitch range, and the weight
of each voice that mixes are made from, in the order of ``voices.json``. Embeddings come back from clients, so
every value is validated when it is read.
"""

from collections.abc import Mapping

import numpy as np

from kani.core.errors import InvalidRequest
from kani.core.types import Embedding, Samples, Similarity
from kani.engines.kokoro.voices import (
    ACCENTED_VOICES,
    ENGINE,
    MAX_NEGATIVE_WEIGHT,
    MAX_PITCH_SHIFT,
    MAX_WEIGHT,
    MIN_WEIGHT,
    PITCH_RANGE_LIMITS,
    VoiceMix,
    Voices,
)
from kani_text.languages import primary

LANGUAGES = ("es", "en", "fr", "it", "pt")
"""Languages with a mix of their own. Others that are spoken with an accent use the whole Italian mix, as
their voices are Italian; the rest use the timbre of the English one."""

BORROWED = "en"
BORROWED_BY_ACCENTED = "it"

_FACTS = 3
_ROUNDING = 1e-3
_LEAST_HEARD = 1e-6


def mix_language(language: str) -> str:
    """The one of ``LANGUAGES`` with the mix, or the timbre, that speaks a language (BCP 47)."""
    tag = primary(language)
    if tag in LANGUAGES:
        return tag
    return BORROWED_BY_ACCENTED if tag in ACCENTED_VOICES else BORROWED


def embedding_model(voices: Voices) -> str:
    """Name and version of the embedding format; it changes with the voices that are mixed."""
    return f"nearest-1.{voices.mixed_sha256[:8]}"


def embedding_from_mixes(
    mixes: Mapping[str, VoiceMix], similarity: Mapping[str, Similarity], voices: Voices
) -> Embedding:
    rows = {voice.id: row for row, voice in enumerate(voices.mixed)}
    values = np.zeros((len(LANGUAGES), _FACTS + len(rows)), np.float32)
    for part, language in zip(values, LANGUAGES, strict=True):
        mix = mixes[language]
        part[:_FACTS] = rows[mix.prosody_voice], mix.pitch, mix.pitch_range
        for voice, weight in mix.timbre:
            part[_FACTS + rows[voice]] = weight
    return Embedding(ENGINE, embedding_model(voices), values.ravel(), dict(similarity))


def mix_from_embedding(embedding: Embedding, language: str, voices: Voices) -> VoiceMix:
    """Decode the mix for one of ``LANGUAGES``.

    Raises InvalidRequest (field ``reference``) for an embedding of another engine or version, and for values
    outside the limits of a mix.
    """
    made_by = embedding_model(voices)
    if (embedding.engine, embedding.model) != (ENGINE, made_by):
        raise InvalidRequest("reference", f"the embedding was not made by {ENGINE} {made_by}")
    values = np.asarray(embedding.values, np.float32)
    if values.shape != (len(LANGUAGES) * (_FACTS + len(voices.mixed)),):
        raise InvalidRequest("reference", "the embedding does not have this engine's length")
    return _mix(values.reshape(len(LANGUAGES), -1)[LANGUAGES.index(language)], language, voices)


def replace_mix(
    embedding: Embedding, language: str, mix: VoiceMix, similarity: Similarity, voices: Voices
) -> Embedding:
    """A copy with another mix for one of ``LANGUAGES``."""
    mixes = {other: mix_from_embedding(embedding, other, voices) for other in LANGUAGES}
    return embedding_from_mixes(
        mixes | {language: mix}, {**embedding.similarity, language: similarity}, voices
    )


def _mix(part: Samples, language: str, voices: Voices) -> VoiceMix:
    (row, pitch, pitch_range), weights = part[:_FACTS], part[_FACTS:]
    sensible = (
        bool(np.isfinite(part).all())
        and row in range(len(voices.mixed))
        and primary(voices.mixed[int(row)].language) == language
        and abs(pitch) <= MAX_PITCH_SHIFT
        and PITCH_RANGE_LIMITS[0] <= pitch_range <= PITCH_RANGE_LIMITS[1]
        and weights.min() >= MIN_WEIGHT - _ROUNDING
        and weights.max() <= MAX_WEIGHT + _ROUNDING
        and -weights[weights < 0].sum() <= MAX_NEGATIVE_WEIGHT + _ROUNDING
        and abs(weights.sum() - 1) <= _ROUNDING
    )
    if not sensible:
        raise InvalidRequest("reference", "the embedding's values are not valid for this engine")
    timbre = tuple(
        (voice.id, float(weight))
        for voice, weight in zip(voices.mixed, weights, strict=True)
        if abs(weight) > _LEAST_HEARD
    )
    return VoiceMix(voices.mixed[int(row)].id, timbre, float(pitch), float(pitch_range))
