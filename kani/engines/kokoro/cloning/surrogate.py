"""Surrogate model: predicts the speaker embedding of a mix without synthesis.

At a given pitch the embedding of a mix is nearly linear in its weights: e = Σ wᵢ (Tᵢ + p Sᵢ) + p² q, with p
in octaves above 160 Hz. T (a table for each language), S and q were fitted on synthesised mixes
(``tools/kokoro_data/surrogate.py``). The data also holds the measured embedding and F0 of each single
voice in its own language.
"""

from collections.abc import Sequence
from zipfile import BadZipFile

import numpy as np

from kani.core.errors import EngineUnavailable
from kani.engines.kokoro.cloning.pitch import PitchProfile
from kani.engines.kokoro.cloning.voice_embedding import LANGUAGES
from kani.engines.kokoro.cloning.weight_solver import Array
from kani.engines.kokoro.voices import DATA
from kani.runtime.speaker_encoder.encoder import EMBEDDING_SIZE

DATA_FILE = "surrogate.npz"
ORIGIN_FILE = "surrogate.json"

OCTAVE = float(np.log(2.0))
MIDDLE = float(np.log(160.0))
"""Log F0 (log hertz) at which p is 0."""


class Surrogate:
    """The fitted tables; immutable."""

    def __init__(self, voices: Sequence[str]) -> None:
        """voices: ids in the order of the data file's rows. Raises EngineUnavailable if they don't match."""
        try:
            # Opened here: np.load leaves a file open that is not an archive.
            with (DATA / DATA_FILE).open("rb") as file, np.load(file) as data:
                self._tables, self._slopes, self._bend, self.single_voices = (
                    data[name].astype(np.float64) for name in ("tables", "slopes", "bend", "alone")
                )
                self._melodies = [
                    PitchProfile(float(level), float(spread)) for level, spread in data["melodies"]
                ]
        except (OSError, EOFError, ValueError, KeyError, BadZipFile) as error:
            raise EngineUnavailable(
                f"Kokoro's surrogate is missing or broken: restore kani/engines/kokoro/data/{DATA_FILE} from "
                "the repository"
            ) from error
        shape = (len(voices), EMBEDDING_SIZE)
        if self._tables.shape != (len(LANGUAGES), *shape) or self.single_voices.shape != shape:
            raise EngineUnavailable(
                f"Kokoro's {DATA_FILE} and voices.json do not match: restore both from the repository"
            )
        self._rows = {voice: row for row, voice in enumerate(voices)}

    def table(self, language: str, level: float) -> Array:
        """Contribution of each voice to a mix's embedding, per unit of weight [voices, 256].

        language: one of ``LANGUAGES``; level: the mix's log F0 (log hertz).
        """
        octaves = (level - MIDDLE) / OCTAVE
        return np.asarray(
            self._tables[LANGUAGES.index(language)] + octaves * self._slopes + octaves**2 * self._bend
        )

    def pitch(self, voice: str) -> PitchProfile:
        return self._melodies[self._rows[voice]]
