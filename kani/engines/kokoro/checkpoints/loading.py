"""Loads the checkpoints that a setting names, on onnxruntime."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kani.core.types import Segment
from kani.engines.espeak.client import EspeakClient
from kani.engines.kokoro.checkpoints import parts
from kani.engines.kokoro.checkpoints.files import CheckpointFiles, read_checkpoints, unusable
from kani.engines.kokoro.checkpoints.finding import Place
from kani.engines.kokoro.checkpoints.measured_statistics import VoiceMeasurer
from kani.engines.kokoro.checkpoints.reading import CheckpointReader, Unreadable
from kani.engines.kokoro.network.norm_statistics import StatisticsTable
from kani.engines.kokoro.network.onnx_model import ModelFailed
from kani.engines.kokoro.network.parts import SplitModel
from kani.engines.kokoro.synthesizer import NetworkSynthesizer
from kani.engines.kokoro.text.reader import TextReader
from kani.engines.kokoro.voices import StyleTables, Voices
from kani.runtime import weights
from kani.runtime.build_cache import BuildFailed
from kani.text.languages import primary

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """A loaded checkpoint."""

    files: CheckpointFiles
    synthesizer: NetworkSynthesizer
    measurer: VoiceMeasurer | None  # None where the statistics of its voices ship
    _reader: CheckpointReader

    def reader(self, language: str) -> TextReader:
        """Return what converts text of one of its languages (BCP 47)."""
        return self._reader.reader(language)

    def measure(self) -> Iterator[bool]:
        """Measure its voices, one a step; yields True for each. Raises ModelFailed."""
        if self.measurer is None:
            return
        for voice in self.files.voices:
            self.measurer.measure(voice.id)
            yield True
        self.measurer.release()


class Checkpoints:
    """All checkpoints of an engine."""

    def __init__(self, by_language: Mapping[str, Checkpoint], imitated: Collection[str] = ()) -> None:
        """by_language: the checkpoint of each primary subtag; imitated: languages in which Kokoro itself
        speaks like a recording.
        """
        self._by_language = by_language
        self._imitated = imitated
        self._all = list(dict.fromkeys(by_language.values()))

    @property
    def files(self) -> list[CheckpointFiles]:
        """List their files."""
        return [checkpoint.files for checkpoint in self._all]

    @property
    def synthesizers(self) -> list[NetworkSynthesizer]:
        """List their synthesizers."""
        return [checkpoint.synthesizer for checkpoint in self._all]

    def speaking(self, segment: Segment) -> Checkpoint | None:
        """Return the checkpoint that speaks a segment; None where Kokoro itself does."""
        language = primary(segment.language)
        if segment.embedding is not None and language in self._imitated:
            return None
        return self._by_language.get(language)

    def measure(self) -> Iterator[bool]:
        """Measure all voices, one a step; yields True for each. Raises ModelFailed."""
        for checkpoint in self._all:
            yield from checkpoint.measure()


def load_checkpoints(
    places: Mapping[str, Place],
    espeak: EspeakClient,
    shipped: Voices,
    *,
    imitated: Collection[str],
    read_published: Callable[[], bytes],
    cache_dir: Path,
    threads: int,
) -> Checkpoints:
    """Load the checkpoints of some folders, by primary language subtag.

    shipped: Kokoro's own voices; imitated: see ``Checkpoints``; read_published: reads Kokoro's graph, which
    others are filled into; cache_dir: folder of built files; threads: cores for one call.
    Raises EngineUnavailable.
    """
    loaded: dict[str, Checkpoint] = {}
    for files in read_checkpoints(places, shipped.all):
        checkpoint = _load(files, espeak, shipped, read_published, cache_dir, threads)
        loaded |= dict.fromkeys(files.languages, checkpoint)
        logger.info("Kokoro speaks %s by the checkpoint in %s", ", ".join(files.languages), files.folder)
    return Checkpoints(loaded, imitated)


def _load(
    files: CheckpointFiles,
    espeak: EspeakClient,
    shipped: Voices,
    read_published: Callable[[], bytes],
    cache_dir: Path,
    threads: int,
) -> Checkpoint:
    reader = CheckpointReader(espeak, files.vocabulary, cache_dir)
    network = files.read_network()
    sha256 = hashlib.sha256(network).hexdigest()
    styles = StyleTables(files.tables)
    try:
        for language in files.languages:
            reader.check(language)
        load_part = parts.load(read_published(), network, files.languages, cache_dir)
        model = SplitModel.on_onnxruntime(load_part, threads, files.vocabulary)
    except (Unreadable, BuildFailed, ModelFailed) as error:
        raise unusable(files.folder, str(error)) from error
    measurer = None
    if sha256 == weights.KOKORO.sha256 and _are_shipped(files, shipped):
        statistics = StatisticsTable.shipped([voice.id for voice in shipped.all])
    else:
        languages = {voice.id: voice.language for voice in files.voices}
        measurer = VoiceMeasurer(
            model,
            load_part,
            styles.style,
            lambda voice: reader.texts(languages[voice]),
            network=sha256,
            cache_dir=cache_dir,
            threads=threads,
        )
        statistics = StatisticsTable(measurer.measure)
    language = files.languages[0]
    sample = reader.texts(language)[0], Segment("", files.default_voice(language), language)
    synthesizer = NetworkSynthesizer(model, styles, statistics, sample=sample)
    return Checkpoint(files, synthesizer, measurer, reader)


def _are_shipped(files: CheckpointFiles, shipped: Voices) -> bool:
    """Return True if all voices are Kokoro's own, but for the rounding of those that ship."""
    own = {voice.id for voice in shipped.all}
    return all(
        voice.id in own and np.array_equal(files.tables[voice.id].astype(np.float16), shipped.table(voice.id))
        for voice in files.voices
    )
