"""Finds the files of Pocket TTS, on the hub or in a folder that is laid out like it."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from kani.core.errors import EngineUnavailable
from kani.engines.plugin import Resources
from kani.engines.pocket.published import CLONING_REPOSITORY, OPEN_REPOSITORY, PUBLISHED, Published
from kani.engines.pocket.settings import PocketSettings
from kani.runtime.model_names import local_path
from kani.runtime.packages.checkpoint import check_file, fetched

_CURE = "remove it and fetch it again by --fetch --engine pocket, or name another folder (KANI_POCKET_MODEL)"

log = logging.getLogger(__name__)


def find(settings: PocketSettings, resources: Resources) -> dict[str, Any]:
    """Return the adapter's settings: the files of the languages, fetched if they may be.

    Raises EngineUnavailable, naming the file and the cure.
    """
    languages = {}
    for tag in settings.languages:
        published = PUBLISHED[tag]
        found = (
            _local(local_path(settings.model), published)
            if settings.model
            else _fetched(published, resources)
        )
        for path in (found["weights"], found["tokenizer"], *found["voices"].values()):
            check_file(Path(path), _CURE)
        languages[tag] = found | {"name": published.folder}
    return {"precision": settings.precision, "languages": languages}


def _local(folder: Path, published: Published) -> dict[str, Any]:
    weights, tokenizer = (folder / path for path in (published.weights, published.tokenizer))
    for path in (weights, tokenizer):
        if not path.is_file():
            raise EngineUnavailable(f"{path} is not there: KANI_POCKET_MODEL has to hold {published.weights}")
    named = {path.stem: path for path in sorted((weights.parent / "embeddings").glob("*.safetensors"))}
    if not named:
        raise EngineUnavailable(f"{weights.parent} has no voice: put one into its folder embeddings/")
    # The default voice is the first one.
    names = dict.fromkeys([*(name for name in published.voices if name in named), *named])
    return _files(weights, tokenizer, {name: named[name] for name in names}, clones=True)


def _files(weights: Path, tokenizer: Path, voices: dict[str, Path], *, clones: bool) -> dict[str, Any]:
    paths = {name: str(path.absolute()) for name, path in voices.items()}
    return {
        "weights": str(weights.absolute()),
        "tokenizer": str(tokenizer.absolute()),
        "voices": paths,
        "clones": clones,
    }


def _fetched(published: Published, resources: Resources) -> dict[str, Any]:
    def file(source: str, *paths: str, may_fetch: bool = resources.may_fetch) -> Path:
        cache = resources.cache_dir
        return fetched(
            source, paths, cache, engine="Pocket", setting="KANI_POCKET_MODEL", may_fetch=may_fetch
        )

    paths = {name: published.voice(name) for name in published.voices}
    tokenizer = file(f"{OPEN_REPOSITORY}@{published.tokenizer_revision}", published.tokenizer)
    voices = file(published.voices_source, *paths.values())
    try:
        # Without an account the hub would refuse: ask it only for what can be had.
        asking = resources.may_fetch and _sends_account()
        name = f"{CLONING_REPOSITORY}@{published.cloning_revision}"
        weights, clones = file(name, published.weights, may_fetch=asking), True
    except EngineUnavailable as error:
        if asking:
            log.info("voice cloning is disabled for %s: %s", published.folder, error)
        weights, clones = file(f"{OPEN_REPOSITORY}@{published.open_revision}", published.weights), False
    return _files(
        weights / published.weights,
        tokenizer / published.tokenizer,
        {name: voices / path for name, path in paths.items()},
        clones=clones,
    )


def _sends_account() -> bool:
    """Return True if the user lets the account's token be sent, which this server does not do unasked."""
    from huggingface_hub import constants, get_token

    return not constants.HF_HUB_DISABLE_IMPLICIT_TOKEN and get_token() is not None
