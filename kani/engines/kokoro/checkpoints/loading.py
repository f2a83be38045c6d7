"""Loads the checkpoints that a setting names."""

import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from kani.core.types import Segment, Voice
from kani.engines.espeak.client import EspeakClient
from kani.engines.kokoro.checkpoints.files import CheckpointFiles, read_checkpoints, unusable
from kani.engines.kokoro.litert.packed import BROKEN, PackedNetwork
from kani.engines.kokoro.network.decoder_checks import check_speech
from kani.engines.kokoro.network.norm_statistics import StatisticsTable
from kani.engines.kokoro.network.onnx_model import ModelFailed
from kani.engines.kokoro.network.parts import Decoder, DecoderUnavailable, OnnxFeatureDecoder, SplitModel
from kani.engines.kokoro.synthesizer import NetworkSynthesizer
from kani.engines.kokoro.text.espeak_ipa import Phonemizer, espeak_voice
from kani.engines.kokoro.text.reader import TextReader
from kani.engines.kokoro.text.readers import missing_packages, reader_for
from kani.engines.kokoro.voices import StyleTables
from kani_text.languages import english_name, primary

logger = logging.getLogger(__name__)


class Unreadable(Exception):
    """A language cannot be written in a checkpoint's symbols; the message is the reason."""


def checkpoint_reader(
    espeak: EspeakClient, vocabulary: Collection[str], cache_dir: Path, language: str
) -> TextReader:
    """Return what converts text of a language (BCP 47) to a checkpoint's symbols. Raises Unreadable.

    vocabulary: the checkpoint's; cache_dir: where the Japanese dictionary is unpacked.
    """
    if missing := missing_packages(language):
        raise Unreadable(f"{english_name(language)} needs the packages {', '.join(missing)}")
    if primary(language) in ("zh", "ja"):
        found = reader_for(espeak, language, cache_dir)
        assert found is not None
        return found
    voice = espeak_voice(language) or primary(language)
    if not espeak.has_voice(voice):
        raise Unreadable(f"espeak-ng has no voice of the language {language}")
    return Phonemizer(espeak, voice, frozenset(vocabulary))


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    files: CheckpointFiles
    synthesizer: NetworkSynthesizer
    reader: Callable[[str], TextReader]
    """Returns what converts text of one of its languages (BCP 47)."""


class Checkpoints:
    def __init__(self, by_language: Mapping[str, Checkpoint], imitated: Collection[str] = ()) -> None:
        """by_language: the checkpoint of each primary subtag; imitated: languages in which Kokoro itself
        speaks like a recording.
        """
        self._by_language = by_language
        self._imitated = imitated
        self.all = list(dict.fromkeys(by_language.values()))

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
    voices: tuple[Voice, ...]
    model: SplitModel
    cache_dir: Path  # folder of the Japanese dictionary
    threads: int  # cores for one call


def load_checkpoints(models: Mapping[str, str], kokoro: Kokoro, imitated: Collection[str]) -> Checkpoints:
    """Load the checkpoints of some folders, by primary language subtag.

    imitated: see ``Checkpoints``. Raises EngineUnavailable.
    """
    loaded: dict[str, Checkpoint] = {}
    for files in read_checkpoints(models, kokoro.voices):
        checkpoint = _load(files, kokoro)
        loaded |= dict.fromkeys(files.languages, checkpoint)
        logger.info("Kokoro speaks %s by the checkpoint in %s", ", ".join(files.languages), files.folder)
    return Checkpoints(loaded, imitated)


def _load(files: CheckpointFiles, kokoro: Kokoro) -> Checkpoint:
    # Imported here: LiteRT is loaded only where a network runs.
    from kani.engines.kokoro.litert.generator import LiteRtGenerator

    own, vocabulary = kokoro.model.decoder.generator, files.description.vocabulary
    assert isinstance(own, LiteRtGenerator)
    reader = partial(checkpoint_reader, kokoro.espeak, vocabulary, kokoro.cache_dir)
    try:
        for language in files.languages:
            reader(language)
        packed = PackedNetwork.open(files.folder)
        generator = LiteRtGenerator(packed.generator, own.cores)
        check_speech(generator, packed.generator.window("probe"), packed.generator.array("probe.audio"))
        features = OnnxFeatureDecoder(lambda name: packed.prosody.content(f"{name}.onnx"), kokoro.threads)
        encoder = packed.prosody.content("encoder.onnx")
        model = SplitModel(encoder, Decoder(features, generator), kokoro.threads, vocabulary)
    except (Unreadable, ModelFailed, DecoderUnavailable, *BROKEN) as error:
        raise unusable(files.folder, str(error)) from error
    language = files.languages[0]
    sample = files.description.sample, Segment("", files.default_voice(language), language)
    synthesizer = NetworkSynthesizer(
        model, StyleTables(files.tables), StatisticsTable(files.statistics.__getitem__), sample
    )
    return Checkpoint(files, synthesizer, reader)
