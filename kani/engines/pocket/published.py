"""The published checkpoints of Pocket TTS: one for each language, at pinned revisions.

Source: PyPI pocket-tts 4.0.1, ``config/*.yaml``, ``default_parameters.py`` and ``utils/utils.py``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

CLONING_REPOSITORY = "kyutai/pocket-tts"
"""Weights that clone voices; its terms have to be accepted on the hub first."""

OPEN_REPOSITORY = "kyutai/pocket-tts-without-voice-cloning"
"""The same weights without cloning, the tokenizers, and the voices."""

_VOICES_REVISION = "a7056f505a4a8ca72d8b5fb1440071d6f1a35739"


@dataclass(frozen=True, slots=True)
class Published:
    """The checkpoint of one language."""

    folder: str  # below ``languages/`` of the repositories
    voices: tuple[str, ...]  # the default voice first
    cloning_revision: str  # of the weights in ``CLONING_REPOSITORY``
    open_revision: str  # of the weights in ``OPEN_REPOSITORY``
    tokenizer_revision: str

    @property
    def weights(self) -> str:
        """Path of the weights in both repositories."""
        return f"languages/{self.folder}/model.safetensors"

    @property
    def tokenizer(self) -> str:
        """Path of the tokenizer in ``OPEN_REPOSITORY``."""
        return f"languages/{self.folder}/tokenizer.json"

    def voice(self, name: str) -> str:
        """Path of a voice in ``OPEN_REPOSITORY``: the keys and values of its recording."""
        return f"languages/{self.folder}/embeddings/{name}.safetensors"

    @property
    def cloning_source(self) -> str:
        """Repository of the weights that clone, with their revision."""
        return f"{CLONING_REPOSITORY}@{self.cloning_revision}"

    @property
    def open_source(self) -> str:
        """Repository of the weights that do not."""
        return f"{OPEN_REPOSITORY}@{self.open_revision}"

    @property
    def tokenizer_source(self) -> str:
        """Repository of the tokenizer."""
        return f"{OPEN_REPOSITORY}@{self.tokenizer_revision}"

    @property
    def voices_source(self) -> str:
        """Repository of the voices."""
        return f"{OPEN_REPOSITORY}@{_VOICES_REVISION}"


def _european(folder: str, voice: str) -> Published:
    return Published(
        folder=folder,
        voices=(voice,),
        cloning_revision="3e82814a68665eec246ff649b14c71331f955c06",
        open_revision="1e08e6a23401048648a9fdcfde2f89348215c2a7",
        tokenizer_revision="4e1e0a3e611c51c0b4ed8174fc10f32a54644303",
    )


_ENGLISH_VOICES = (
    "alba anna azelma bill_boerst caro_davy charles cosette eponine eve fantine george jane javert jean "
    "marius mary michael paul peter_yearsley stuart_bell vera"
)

PUBLISHED = {
    "en": Published(
        folder="english",
        voices=tuple(_ENGLISH_VOICES.split()),
        cloning_revision="db04f0e653473e5c7333c69686ac92b7460b0c1d",
        open_revision="a7056f505a4a8ca72d8b5fb1440071d6f1a35739",
        tokenizer_revision="00eac05ed3d16bdc3f6b5d598874019c34a89214",
    ),
    "fr": Published(
        folder="french",
        voices=("estelle",),
        cloning_revision="3e82814a68665eec246ff649b14c71331f955c06",
        open_revision="1e08e6a23401048648a9fdcfde2f89348215c2a7",
        tokenizer_revision="8843db76457a91db32077edf8dfcd1c0e3e755fd",
    ),
    "de": _european("german", "juergen"),
    "es": _european("spanish", "lola"),
    "it": _european("italian", "giovanni"),
    "pt": _european("portuguese", "rafael"),
    "nl": _european("dutch", "daan"),
}
"""By primary language subtag."""


def languages_here(folder: Path, languages: Iterable[str], *, fetched: bool) -> tuple[str, ...]:
    """List those of the languages that a folder holds weights for, without any library.

    fetched: the folder is the cache of fetched files; else it is laid out like the hub's repositories.
    """
    if not fetched:
        return tuple(tag for tag in languages if (folder / PUBLISHED[tag].weights).is_file())
    return tuple(tag for tag in languages if _is_cached(folder, PUBLISHED[tag]))


def _is_cached(cache: Path, published: Published) -> bool:
    sources = (source.partition("@") for source in (published.cloning_source, published.open_source))
    return any(
        (
            cache / "hub" / f"models--{repository.replace('/', '--')}" / "snapshots" / revision
            / published.weights
        ).is_file()
        for repository, _, revision in sources
    )  # fmt: skip
