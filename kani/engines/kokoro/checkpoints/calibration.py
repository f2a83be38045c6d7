"""Calibrates Kokoro's fast decoder for a checkpoint: its voices speak some texts, once.

What the calibration makes is kept in the cache folder. Only the generator is replaced, which takes most of
the time; what comes before it stays in float32 on onnxruntime.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator, Sequence
from zipfile import ZipFile

from kani.core.types import Segment
from kani.engines.kokoro.checkpoints.measured_statistics import Network
from kani.engines.kokoro.checkpoints.parts import SOURCES
from kani.engines.kokoro.litert.calibration.store import calibrated, read_window, written
from kani.engines.kokoro.litert.generator import LiteRtGenerator
from kani.engines.kokoro.litert.packing.store import CONTEXT_FRAMES, PackedArchive
from kani.engines.kokoro.network.decoder import Decoder, DecoderUnavailable, Generator, Window
from kani.engines.kokoro.network.decoder_checks import check_speech
from kani.engines.kokoro.network.onnx_model import ModelFailed, Stop
from kani.engines.kokoro.synthesizer import NetworkSynthesizer
from kani.engines.kokoro.voices import StyleTables
from kani.runtime.build_cache import BuildFailed, ChildProcess

logger = logging.getLogger(__name__)


class Calibration:
    def __init__(
        self,
        network: Network,
        synthesizer: NetworkSynthesizer,
        styles: StyleTables,
        sayings: Sequence[tuple[str, Segment]],
        own: Generator,
        name: str,
    ) -> None:
        """sayings: symbols, and a segment with the voice that speaks them; own: Kokoro's own generator on
        LiteRT; name: for the log.
        """
        assert isinstance(own, LiteRtGenerator)
        self._network, self._synthesizer = network, synthesizer
        self._sayings, self._cores, self._name = sayings, own.cores, name
        parts = [network.sha256.encode(), *(path.read_bytes() for path in SOURCES)]
        for symbols, segment in sayings:
            parts += [symbols.encode(), styles.style(segment.voice or "", len(symbols)).tobytes()]
        self._key = hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()
        self._child = ChildProcess()
        self._cache = calibrated(name, self._child)
        self._sentences: list[Window] = []
        self._done = False

    def load(self) -> None:
        """Use the generator that an earlier start made, if it is there."""
        known = self._cache.cached(self._key, self._network.cache_dir)
        if known is not None:
            self._use(lambda: known)

    def speak(self) -> Iterator[bool]:
        """Speak what has to be measured, a sentence a step; yields True for each. Raises ModelFailed."""
        if self._done:
            return
        stop = Stop()
        for symbols, segment in self._sayings:
            self._sentences.append(self._synthesizer.prepare(symbols, segment, stop).sounding(stop))
            yield True

    def make(self) -> None:
        """Calibrate from what was spoken, and use the result: a minute or two in a process of its own."""
        if not self._done:
            self._use(lambda: self._cache.load_known(self._key, self._spoken, self._network.cache_dir))
            self._sentences.clear()

    def end(self) -> None:
        """End a calibration that is being made."""
        self._child.end()

    def _spoken(self) -> bytes:
        return written(self._network.load_part("generator"), self._sentences)

    def _use(self, opened: Callable[[], ZipFile]) -> None:
        """Replace the model's generator; where that is impossible, the log has the reason."""
        try:
            archive = PackedArchive(opened())
            generator = LiteRtGenerator(archive, self._cores)
            probe = read_window("probe", archive, CONTEXT_FRAMES)
            check_speech(generator, probe, archive.array("probe.audio"))
        except (BuildFailed, DecoderUnavailable, ModelFailed) as error:
            if not self._child.ended:
                logger.warning("Kokoro's fast decoder cannot speak %s: %s", self._name, error)
        else:
            model = self._network.model
            model.decoder = Decoder("litert", model.decoder.feature_decoder, generator)
            logger.info("Kokoro's fast decoder speaks %s", self._name)
        self._done = True
