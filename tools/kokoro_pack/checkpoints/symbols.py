"""Short texts in the symbols of a checkpoint, and whether it has all that a language needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from kani.core.voices import sample_sentences
from kani.engines.espeak.client import EspeakClient
from kani.engines.kokoro.checkpoints.loading import Unreadable, checkpoint_reader
from kani.engines.kokoro.lead_in import BEGINNINGS, LEAD_INS
from kani.engines.kokoro.text.marks import MARK_SYMBOLS
from kani.engines.kokoro.text.phonemes import split_utterances
from kani.engines.kokoro.text.reader import TextReader
from kani.engines.kokoro.text.vocabulary import VOCABULARY
from kani_text.languages import english_name, primary

_NUMBERS = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 20, 100."
"""Text that espeak-ng reads in every language."""

_ZHUYIN = "\u3105", "\u312f"


class CheckpointSymbols:
    def __init__(self, espeak: EspeakClient, vocabulary: Mapping[str, int], cache_dir: Path) -> None:
        """vocabulary: the checkpoint's; cache_dir: where the Japanese dictionary is unpacked."""
        self._trained = frozenset(vocabulary)
        self._own = partial(checkpoint_reader, espeak, self._trained, cache_dir)
        self._all = partial(checkpoint_reader, espeak, VOCABULARY, cache_dir)

    def texts(self, language: str) -> list[str]:
        """Return the symbols of some short texts of a language. Raises Unreadable."""
        return self._written(self._own, language)

    def check(self, language: str) -> None:
        """Raise Unreadable if the checkpoint lacks symbols that Kokoro has for a language."""
        if primary(language) == "zh" and any(_ZHUYIN[0] <= symbol <= _ZHUYIN[1] for symbol in self._trained):
            raise Unreadable("its Chinese is written in zhuyin, and this server writes IPA")
        written = self._written(self._all, language)
        if not written:
            raise Unreadable(f"there is no text to try {english_name(language)} with")
        beginnings = LEAD_INS.get(primary(language), ""), *BEGINNINGS.get(primary(language), {}).values()
        needed = dict.fromkeys("".join((*written, *sorted(MARK_SYMBOLS), *beginnings)))
        if missing := [symbol for symbol in needed if symbol not in self._trained]:
            raise Unreadable(f"config.json: vocab lacks {' '.join(missing)}, which {language} needs")

    @staticmethod
    def _written(reader: Callable[[str], TextReader], language: str) -> list[str]:
        texts = sample_sentences.sentence(language), _NUMBERS
        found = (split_utterances(text, reader(language)) for text in texts)
        return [utterances[0].symbols for utterances in found if utterances]
