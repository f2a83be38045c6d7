"""What Kokoro's embeddings hold: for each language it speaks, the mix that a recording was placed at.

Values, for each language of ``DEFAULT_VOICES`` in order: the row of the melody's voice, pitch, pitch range,
and the weight of each voice that ships, in the order of ``voices.json``. They may have been anywhere since
they were made, so they are read as what a stranger says.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from engines.kokoro.voice_mix import (
    HIGHEST_PITCH,
    LEAST_WEIGHT,
    MOST_BELOW_ZERO,
    MOST_WEIGHT,
    PITCH_RANGES,
    Mix,
)
from engines.kokoro.voices import DEFAULT_VOICES, ENGINE, Voices
from speech.errors import InvalidRequest
from speech.text.languages import primary
from speech.types import Embedding, Samples, Similarity

LANGUAGES = tuple(DEFAULT_VOICES)

_FACTS = 3
_ROUNDING = 1e-3
_LEAST_HEARD = 1e-6


def embedder(voices: Voices) -> str:
    """Name and version of what makes these embeddings: other voices could not be mixed by them."""
    return f"nearest-1.{voices.sha256[:8]}"


def embedding_of(mixes: Mapping[str, Mix], similarity: Mapping[str, Similarity], voices: Voices) -> Embedding:
    """An embedding of a mix for each of ``LANGUAGES``."""
    rows = {voice.id: row for row, voice in enumerate(voices.all)}
    values = np.zeros((len(LANGUAGES), _FACTS + len(rows)), np.float32)
    for part, language in zip(values, LANGUAGES, strict=True):
        mix = mixes[language]
        part[:_FACTS] = rows[mix.melody], mix.pitch, mix.pitch_range
        for voice, weight in mix.timbre:
            part[_FACTS + rows[voice]] = weight
    return Embedding(ENGINE, embedder(voices), values.ravel(), dict(similarity))


def mix_of(embedding: Embedding, language: str, voices: Voices) -> Mix:
    """The mix for one of ``LANGUAGES``.

    Raises InvalidRequest for ``reference`` where another engine or version made it, or where its values are
    none that this one makes.
    """
    made_by = embedder(voices)
    if (embedding.engine, embedding.model) != (ENGINE, made_by):
        raise InvalidRequest("reference", f"the embedding was not made by {ENGINE} {made_by}")
    values = np.asarray(embedding.values, np.float32)
    if values.shape != (len(LANGUAGES) * (_FACTS + len(voices.all)),):
        raise InvalidRequest("reference", "the embedding has not the length that this engine's have")
    return _mix(values.reshape(len(LANGUAGES), -1)[LANGUAGES.index(language)], language, voices)


def with_mix(
    embedding: Embedding, language: str, mix: Mix, similarity: Similarity, voices: Voices
) -> Embedding:
    """The same, with another mix for one of ``LANGUAGES``."""
    mixes = {other: mix_of(embedding, other, voices) for other in LANGUAGES}
    return embedding_of(mixes | {language: mix}, {**embedding.similarity, language: similarity}, voices)


def _mix(part: Samples, language: str, voices: Voices) -> Mix:
    (row, pitch, pitch_range), weights = part[:_FACTS], part[_FACTS:]
    sensible = (
        bool(np.isfinite(part).all())
        and row in range(len(voices.all))
        and primary(voices.all[int(row)].language) == language
        and abs(pitch) <= HIGHEST_PITCH
        and PITCH_RANGES[0] <= pitch_range <= PITCH_RANGES[1]
        and weights.min() >= LEAST_WEIGHT - _ROUNDING
        and weights.max() <= MOST_WEIGHT + _ROUNDING
        and -weights[weights < 0].sum() <= MOST_BELOW_ZERO + _ROUNDING
        and abs(weights.sum() - 1) <= _ROUNDING
    )
    if not sensible:
        raise InvalidRequest("reference", "the embedding's values are none that this engine makes")
    timbre = tuple(
        (voice.id, float(weight))
        for voice, weight in zip(voices.all, weights, strict=True)
        if abs(weight) > _LEAST_HEARD
    )
    return Mix(voices.all[int(row)].id, timbre, float(pitch), float(pitch_range))
