"""What the speaker encoder would hear of a mix, without saying a word.

The embedding of a mix is nearly linear in its weights, at a given pitch: e = Σ wᵢ (Tᵢ + p Sᵢ) + p² q, with p
in octaves above 160 Hz. T, a table for each language, S and q were fitted on mixes that spoke
(``build_surrogate.py``). Beside them is what each voice sounds like by itself in its own language: its
embedding, its pitch and how far that spreads.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from engines.kokoro.cloning.pitch import PitchProfile
from engines.kokoro.cloning.weight_solver import Array
from engines.kokoro.voice_embedding import LANGUAGES
from engines.speaker_encoder.encoder import EMBEDDING_SIZE
from speech.errors import EngineUnavailable

DATA_FILE = "surrogate.npz"
ORIGIN_FILE = "surrogate.json"

OCTAVE = float(np.log(2.0))
MIDDLE = float(np.log(160.0))
"""Log hertz from which pitch counts here."""


class Surrogate:
    """The fitted tables; read only, for any thread."""

    def __init__(self, voices: Sequence[str]) -> None:
        """voices: whose rows the data file holds, in its order. Raises EngineUnavailable if it doesn't."""
        try:
            # Opened here, because numpy leaves a file open that is no archive.
            with (Path(__file__).parents[1] / "data" / DATA_FILE).open("rb") as file, np.load(file) as data:
                self._tables, self._slopes, self._bend, self.single_voices = (
                    data[name].astype(np.float64) for name in ("tables", "slopes", "bend", "alone")
                )
                self._melodies = [
                    PitchProfile(float(level), float(spread)) for level, spread in data["melodies"]
                ]
        except (OSError, EOFError, ValueError, KeyError, BadZipFile) as error:
            raise EngineUnavailable(
                f"Kokoro's surrogate is missing or broken: take engines/kokoro/{DATA_FILE} anew from the "
                "repository"
            ) from error
        shape = (len(voices), EMBEDDING_SIZE)
        if self._tables.shape != (len(LANGUAGES), *shape) or self.single_voices.shape != shape:
            raise EngineUnavailable(
                f"Kokoro's {DATA_FILE} and voices.json do not belong together: "
                "take both anew from the repository"
            )
        self._rows = {voice: row for row, voice in enumerate(voices)}

    def table(self, language: str, level: float) -> Array:
        """What each voice adds to a mix's embedding, by weight [voices, 256].

        language: one of ``LANGUAGES``; level: log hertz at which the mix is to be heard.
        """
        octaves = (level - MIDDLE) / OCTAVE
        return np.asarray(
            self._tables[LANGUAGES.index(language)] + octaves * self._slopes + octaves**2 * self._bend
        )

    def pitch(self, voice: str) -> PitchProfile:
        """How high and lively a voice is by itself."""
        return self._melodies[self._rows[voice]]
