"""Loads the checkpoints that a setting names, each with the fast decoder once that is calibrated."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kani.core.types import Segment
from kani.engines.espeak.client import EspeakClient
from kani.engines.kokoro.checkpoints import parts
from kani.engines.kokoro.checkpoints.files import CheckpointFiles, Place, read_checkpoints, unusable
from kani.engines.kokoro.checkpoints.measured_statistics import Network, VoiceMeasurer
from kani.engines.kokoro.checkpoints.reading import CheckpointReader, Unreadable
from kani.engines.kokoro.network.norm_statistics import StatisticsTable
from kani.engines.kokoro.network.onnx_model import ModelFailed
from kani.engines.kokoro.network.parts import SplitModel
from kani.engines.kokoro.synthesizer import NetworkSynthesizer
from kani.engines.kokoro.text.reader import TextReader
from kani.engines.kokoro.text.vocabulary import VOCABULARY
from kani.engines.kokoro.voices import StyleTables, Voices
from kani.runtime import weights
from kani.runtime.build_cache import BuildFailed
from kani_text.languages import primary

if TYPE_CHECKING:
    from kani.engines.kokoro.checkpoints.calibration import Calibration

logger = logging.getLogger(__name__)

MOST_VOICES = 7
"""Voices that speak for a calibration: with two texts each, as many sentences as Kokoro's own took."""


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    files: CheckpointFiles
    synthesizer: NetworkSynthesizer
    measurer: VoiceMeasurer | None  # None where the statistics of its voices ship
    calibration: Calibration | None  # None where the fast decoder needs none, or does not run
    _reader: CheckpointReader

    def reader(self, language: str) -> TextReader:
        """Return what converts text of one of its languages (BCP 47)."""
        return self._reader.reader(language)

    def measure(self) -> Iterator[bool]:
        """Measure its voices and speak for its calibration; yields True for each step. Raises ModelFailed."""
        if self.measurer is not None:
            for voice in self.files.voices:
                self.measurer.measure(voice.id)
                yield True
            self.measurer.release()
        if self.calibration is not None:
            yield from self.calibration.speak()


class Checkpoints:
    def __init__(self, by_language: Mapping[str, Checkpoint], imitated: Collection[str] = ()) -> None:
        """by_language: the checkpoint of each primary subtag; imitated: languages in which Kokoro itself
        speaks like a recording.
        """
        self._by_language = by_language
        self._imitated = imitated
        self.all = list(dict.fromkeys(by_language.values()))

    @property
    def calibrations(self) -> list[Calibration]:
        return [each.calibration for each in self.all if each.calibration is not None]

    def speaking(self, segment: Segment) -> Checkpoint | None:
        """Return the checkpoint that speaks a segment; None where Kokoro itself does."""
        language = primary(segment.language)
        if segment.embedding is not None and language in self._imitated:
            return None
        return self._by_language.get(language)


@dataclass(frozen=True, slots=True)
class Kokoro:
    """Parts of Kokoro itself that its checkpoints share."""

    espeak: EspeakClient
    voices: Voices
    model: SplitModel
    read_published: Callable[[], bytes]  # reads Kokoro's graph, which other weights are filled into
    cache_dir: Path  # folder of built files
    threads: int  # cores for one call


def load_checkpoints(places: Mapping[str, Place], kokoro: Kokoro, imitated: Collection[str]) -> Checkpoints:
    """Load the checkpoints of some folders, by primary language subtag.

    imitated: see ``Checkpoints``. Raises EngineUnavailable.
    """
    loaded: dict[str, Checkpoint] = {}
    for files in read_checkpoints(places, kokoro.voices.all):
        checkpoint = _load(files, kokoro)
        loaded |= dict.fromkeys(files.languages, checkpoint)
        logger.info("Kokoro speaks %s by the checkpoint in %s", ", ".join(files.languages), files.folder)
    return Checkpoints(loaded, imitated)


def _load(files: CheckpointFiles, kokoro: Kokoro) -> Checkpoint:
    own, cache_dir = kokoro.model, kokoro.cache_dir
    reader = CheckpointReader(kokoro.espeak, files.vocabulary, cache_dir)
    content = files.read_network()
    sha256 = hashlib.sha256(content).hexdigest()
    styles = StyleTables(files.tables)
    try:
        for language in files.languages:
            reader.check(language)
        load_part = parts.load(kokoro.read_published(), content, files.languages, cache_dir)
        # Kokoro's own network is in memory once, with its fast decoder.
        same = sha256 == weights.KOKORO.sha256 and files.vocabulary == VOCABULARY
        model = own if same else SplitModel.on_onnxruntime(load_part, kokoro.threads, files.vocabulary)
    except (Unreadable, BuildFailed, ModelFailed) as error:
        raise unusable(files.folder, str(error)) from error
    network, measurer = Network(model, load_part, sha256, cache_dir), None
    if sha256 == weights.KOKORO.sha256 and _are_shipped(files, kokoro.voices):
        statistics = StatisticsTable.shipped([voice.id for voice in kokoro.voices.all])
    else:
        languages = {voice.id: voice.language for voice in files.voices}
        measurer = VoiceMeasurer(
            network, styles.style, lambda voice: reader.texts(languages[voice]), kokoro.threads
        )
        statistics = StatisticsTable(measurer.measure)
    language = files.languages[0]
    sample = reader.texts(language)[0], Segment("", files.default_voice(language), language)
    synthesizer = NetworkSynthesizer(model, styles, statistics, sample=sample)
    calibration = None
    if own.decoder.name == "litert" and model is not own:
        # Imported here: LiteRT does not run everywhere.
        from kani.engines.kokoro.checkpoints.calibration import Calibration

        calibration = Calibration(
            network,
            synthesizer,
            styles,
            _sayings(files, reader),
            own.decoder.generator,
            "-".join(files.languages),
        )
        calibration.load()
    return Checkpoint(files, synthesizer, measurer, calibration, reader)


def _sayings(files: CheckpointFiles, reader: CheckpointReader) -> list[tuple[str, Segment]]:
    """Return symbols, and segments with the voices that speak them, to calibrate a decoder with."""
    every = -(-len(files.voices) // MOST_VOICES)
    return [
        (symbols, Segment("", voice.id, voice.language))
        for voice in files.voices[::every]
        for symbols in reader.texts(voice.language)
    ]


def _are_shipped(files: CheckpointFiles, shipped: Voices) -> bool:
    """Return True if all voices are Kokoro's own, but for the rounding of those that ship."""
    own = {voice.id for voice in shipped.all}
    return all(
        voice.id in own and np.array_equal(files.tables[voice.id].astype(np.float16), shipped.table(voice.id))
        for voice in files.voices
    )
