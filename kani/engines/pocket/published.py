"""The published checkpoints of Pocket TTS: one for each language, at pinned revisions.

Source: PyPI pocket-tts 4.0.1, ``config/*.yaml``, ``default_parameters.py`` and ``utils/utils.py``.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

CLONING_REPOSITORY = "kyutai/pocket-tts"
"""Weights that clone voices; its terms have to be accepted on the hub first."""

OPEN_REPOSITORY = "kyutai/pocket-tts-without-voice-cloning"
"""The same weights without cloning, the tokenizers, and the voices."""

_ENGLISH = "a7056f505a4a8ca72d8b5fb1440071d6f1a35739"
VOICES = f"{OPEN_REPOSITORY}@{_ENGLISH}"
"""Repository of the voices of all languages, with their revision."""


class Published(NamedTuple):
    """The checkpoint of one language; repositories are named with their revisions."""

    folder: str  # below ``languages/`` of the repositories
    voices: tuple[str, ...]  # the default voice first
    cloning: str  # repository of the weights that clone
    open: str  # repository of the weights that do not
    tokenizers: str  # repository of the tokenizer

    @property
    def weights(self) -> str:
        return f"languages/{self.folder}/model.safetensors"

    @property
    def tokenizer(self) -> str:
        return f"languages/{self.folder}/tokenizer.json"

    def voice(self, name: str) -> str:
        """Path of a voice in ``VOICES``: the keys and values of its recording."""
        return f"languages/{self.folder}/embeddings/{name}.safetensors"


def _european(
    folder: str, voice: str, tokenizers: str = "4e1e0a3e611c51c0b4ed8174fc10f32a54644303"
) -> Published:
    cloning = f"{CLONING_REPOSITORY}@3e82814a68665eec246ff649b14c71331f955c06"
    opened = f"{OPEN_REPOSITORY}@1e08e6a23401048648a9fdcfde2f89348215c2a7"
    return Published(folder, (voice,), cloning, opened, f"{OPEN_REPOSITORY}@{tokenizers}")


_ENGLISH_VOICES = (
    "alba anna azelma bill_boerst caro_davy charles cosette eponine eve fantine george jane javert jean "
    "marius mary michael paul peter_yearsley stuart_bell vera"
)

PUBLISHED = {
    "en": Published(
        "english",
        tuple(_ENGLISH_VOICES.split()),
        f"{CLONING_REPOSITORY}@db04f0e653473e5c7333c69686ac92b7460b0c1d",
        f"{OPEN_REPOSITORY}@{_ENGLISH}",
        f"{OPEN_REPOSITORY}@00eac05ed3d16bdc3f6b5d598874019c34a89214",
    ),
    "fr": _european("french", "estelle", "8843db76457a91db32077edf8dfcd1c0e3e755fd"),
    "de": _european("german", "juergen"),
    "es": _european("spanish", "lola"),
    "it": _european("italian", "giovanni"),
    "pt": _european("portuguese", "rafael"),
    "nl": _european("dutch", "daan"),
}
"""Languages, by their primary subtags."""


def languages_here(cache: Path, languages: Iterable[str]) -> tuple[str, ...]:
    """List those of the languages that have their weights here, without any library."""
    return tuple(tag for tag in languages if any(map(Path.is_file, _weights(cache, tag))))


def _weights(cache: Path, tag: str) -> Iterator[Path]:
    """Yield the paths that the weights of a language may have."""
    published = PUBLISHED[tag]
    for source in (published.cloning, published.open):
        repository, _, revision = source.replace("/", "--").partition("@")
        yield cache / "hub" / f"models--{repository}" / "snapshots" / revision / published.weights
