"""Kokoro's 54 voices and their style tables, and mixes of voices.

``data/voices.json`` lists the voices, ``data/voices.npy`` holds the tables. Both are built from the model
authors' distribution (Apache-2.0) by ``tools/published/kokoro_voices.py``. ``data/pitches.json`` says how
each voice sounds, measured by ``tools/kokoro_data/pitches.py``, and ``data/levels.json`` how loud it is,
measured by ``tools/kokoro_data/levels.py``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from kani.core.audio.pcm import LEVEL_LUFS, decibels
from kani.core.errors import EngineUnavailable, UnknownVoice
from kani.core.types import Prosody, Voice
from kani.core.voices.names import SEPARATOR, parse_mix
from kani.engines.kokoro.text.vocabulary import ACCENTED_SYMBOLS

MAX_PITCH_SHIFT = 18.0
"""Largest pitch shift, up or down, from the prosody voice, in semitones."""

PITCH_RANGE_LIMITS = (0.5, 2.0)
"""Smallest and largest factor on the prosody voice's pitch range."""

MIN_WEIGHT, MAX_WEIGHT = -0.6, 1.6
"""Limits of one voice's weight. A negative weight extrapolates away from that voice."""

MAX_NEGATIVE_WEIGHT = 0.6
"""Largest sum of the negative weights' magnitudes: beyond it the timbre no longer sounds like a person."""


@dataclass(frozen=True, slots=True)
class VoiceMix:
    """A weighted timbre of several voices, the prosody of one, and a pitch shift.

    The first half of a style conditions the decoder and carries the timbre; the second conditions the
    prediction of rhythm and pitch. The halves may therefore come from different voices, and timbres can be
    interpolated.
    """

    prosody_voice: str  # voice that rhythm and pitch are predicted for
    timbre: tuple[tuple[str, float], ...]  # voices and their weights, which sum to 1
    pitch: float = 0.0  # shift from the prosody voice in semitones
    pitch_range: float = 1.0  # factor on the distances from the prosody voice's log F0

    @classmethod
    def from_voice(cls, voice: str) -> VoiceMix:
        return cls(voice, ((voice, 1.0),))

    @classmethod
    def from_name(cls, name: str) -> VoiceMix:
        """Return the mix of a name ("af_bella(2)+af_sky(1)"), with the prosody of its largest part.

        Raises InvalidRequest.
        """
        parts = parse_mix(name)
        return cls(parts[0].voice, tuple((part.voice, part.share) for part in parts))


VoiceOrMix = str | VoiceMix
"""The id of a shipped voice, or a mix."""


def voice_or_mix(voice: str) -> VoiceOrMix:
    """Return the mix that a segment's voice names, or the voice itself. Raises InvalidRequest."""
    return VoiceMix.from_name(voice) if SEPARATOR in voice else voice


def add_mix_prosody(prosody: Prosody, voice: VoiceOrMix) -> Prosody:
    """Add the pitch shift and range of a mix to the requested prosody."""
    if isinstance(voice, str):
        return prosody
    return replace(
        prosody, pitch=prosody.pitch + voice.pitch, pitch_range=prosody.pitch_range * voice.pitch_range
    )


ENGINE = "kokoro"
DATA = Path(__file__).parent / "data"
"""Folder of the files that ship with Kokoro."""

INDEX_FILE = "voices.json"
STYLES_FILE = "voices.npy"
PITCHES_FILE = "pitches.json"
LEVELS_FILE = "levels.json"
SOUND = ("pitch_hz", "pitch_range", "pace", "brightness_db")
"""A voice's numbers in it."""

STYLES_SHAPE = (510, 256)
"""One voice's table: a style vector [256] for each utterance length of 1–510 symbols."""

TIMBRE_SIZE = 128
"""Length of a style's first half, which conditions the decoder (timbre)."""

DEFAULT_VOICES = {
    "es": "ef_dora",
    "en": "af_heart",
    "fr": "ff_siwis",
    "it": "if_sara",
    "pt": "pf_dora",
    "zh": "zf_xiaoxiao",
    "ja": "jf_alpha",
    "hi": "hf_alpha",
}

NATIVE_SHARES = {
    ("en", "es"): 0.5,
    ("en", "fr"): 0.5,
    ("en", "it"): 0.5,
    ("en", "pt"): 0.25,
    ("es", "fr"): 0.5,
    ("es", "pt"): 0.5,
    ("fr", "es"): 0.25,
    ("fr", "it"): 0.25,
    ("fr", "pt"): 0.25,
    ("it", "fr"): 0.5,
    ("it", "pt"): 0.25,
    ("pt", "es"): 0.25,
    ("pt", "fr"): 0.35,
}
"""Share of its timbre that a voice takes from one of the language that it speaks, by both languages.

With its own timbre it is hard to understand there; with the other voice's whole timbre it is another speaker.
In other pairs a voice keeps its timbre and its prosody (``python -m benchmarks.languages.quotations``, which
has no text of fr-it, fr-pt, it-fr, it-pt, pt-es and pt-fr).
"""

ACCENTED_VOICES = dict.fromkeys(ACCENTED_SYMBOLS, ("if_sara", "im_nicola"))
"""Voices for the languages that the model was not trained on, the default first."""


class StyleTables:
    def __init__(self, tables: Mapping[str, npt.NDArray[np.floating[Any]]]) -> None:
        """tables: of the shape ``STYLES_SHAPE``, by voice."""
        self._tables = tables

    def style(self, voice: VoiceOrMix, symbols: int) -> npt.NDArray[np.float32]:
        """Style [1, 256] of a voice or mix for an utterance of ``symbols`` (1–510).

        Raises UnknownVoice.
        """
        if isinstance(voice, str):
            return self._style(voice, symbols).astype(np.float32)[np.newaxis]
        style = self._style(voice.prosody_voice, symbols).astype(np.float32)
        style[:TIMBRE_SIZE] = sum(
            np.float32(weight) * self._style(voice, symbols)[:TIMBRE_SIZE] for voice, weight in voice.timbre
        )
        return style[np.newaxis]

    def table(self, voice: str) -> npt.NDArray[np.floating[Any]]:
        """Return the table of a voice. Raises UnknownVoice."""
        if voice not in self._tables:
            raise UnknownVoice(voice)
        return self._tables[voice]

    def _style(self, voice: str, symbols: int) -> npt.NDArray[np.floating[Any]]:
        # The reference pipeline (kokoro 0.9.4, pipeline.py) indexes by length - 1.
        return np.asarray(self.table(voice)[symbols - 1])


class Voices(StyleTables):
    """The voices that ship with the engine; tables are memory-mapped."""

    def __init__(self) -> None:
        """Raises EngineUnavailable when a data file is missing or the two do not match."""
        try:
            facts = json.loads((DATA / INDEX_FILE).read_text(encoding="utf-8"))
            index, mixed = facts["voices"], int(facts["mixed"])
            pitches = json.loads((DATA / PITCHES_FILE).read_text(encoding="utf-8"))
            levels = json.loads((DATA / LEVELS_FILE).read_text(encoding="utf-8"))
            self._gains_db = {voice: LEVEL_LUFS - float(lufs) for voice, lufs in levels.items()}
            self.mixed_sha256 = str(facts["mixed_sha256"])
            styles = np.load(DATA / STYLES_FILE, mmap_mode="r")
        except (OSError, ValueError, KeyError) as error:
            raise EngineUnavailable(
                "Kokoro's voice files are missing or broken: restore them from the repository "
                "(kani/engines/kokoro/data/voices.npy, voices.json, pitches.json and levels.json)"
            ) from error
        if styles.shape != (len(index), *STYLES_SHAPE):
            raise EngineUnavailable(
                "Kokoro's voices.npy and voices.json do not match: restore both from the repository"
            )
        if not 0 < mixed <= len(index):
            raise EngineUnavailable("Kokoro's voices.json is broken: restore it from the repository")
        super().__init__({entry["name"]: styles[row] for row, entry in enumerate(index)})
        self.all = tuple(
            Voice(
                id=entry["name"],
                name=entry["name"],
                language=entry["language"],
                engine=ENGINE,
                gender=entry["gender"],
                **dict(zip(SOUND, pitches.get(entry["name"], ()), strict=False)),
            )
            for entry in index
        )
        self.mixed = self.all[:mixed]  # the voices that mixes are made of: the first rows

    def gain(self, voice: VoiceOrMix) -> float:
        """Return the factor that gives a voice or mix the level of all voices, ``LEVEL_LUFS``."""
        parts = ((voice, 1.0),) if isinstance(voice, str) else voice.timbre
        return decibels(sum(share * self._gains_db.get(part, 0.0) for part, share in parts))
