"""Description of Pocket TTS for the server, which finds the files, on the hub or in a folder like it."""

from __future__ import annotations

import logging
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from kani.core.errors import EngineUnavailable
from kani.engines.packages.package import Package
from kani.engines.plugin import EnginePlugin, Resources
from kani.engines.pocket.published import PUBLISHED, Published, languages_here
from kani.engines.pocket.settings import PocketSettings
from kani.runtime.model_names import local_path
from kani.runtime.packages.environment import PackageEnvironment

_BEYOND_KOKORO = ("de", "nl")

log = logging.getLogger(__name__)


def find(settings: PocketSettings, resources: Resources) -> dict[str, Any]:
    """Return the adapter's settings: the files of the languages, fetched if they may be.

    Raises EngineUnavailable, naming the file and the cure.
    """
    languages = {}
    for tag in settings.languages:
        published = PUBLISHED[tag]
        found = _local(settings.model, published) if settings.model else _fetched(published, resources)
        PACKAGE.check(found["weights"], found["tokenizer"], *found["voices"].values())
        paths = {name: str(found[name].absolute()) for name in ("weights", "tokenizer")}
        voices = {name: str(path.absolute()) for name, path in found["voices"].items()}
        languages[tag] = {"name": published.folder, "clones": found["clones"], "voices": voices, **paths}
    return {"languages": languages}


def _local(model: str, published: Published) -> dict[str, Any]:
    folder = local_path(model)
    weights, tokenizer = (folder / path for path in (published.weights, published.tokenizer))
    for path in (weights, tokenizer):
        if not path.is_file():
            raise EngineUnavailable(f"{path} is not there: KANI_POCKET_MODEL has to hold {published.weights}")
    named = {path.stem: path for path in sorted((weights.parent / "embeddings").glob("*.safetensors"))}
    if not named:
        raise EngineUnavailable(f"{weights.parent} has no voice: put one into its folder embeddings/")
    # The default voice is the first one.
    names = dict.fromkeys([*(name for name in published.voices if name in named), *named])
    voices = {name: named[name] for name in names}
    return {"weights": weights, "tokenizer": tokenizer, "voices": voices, "clones": True}


def _fetched(published: Published, resources: Resources) -> dict[str, Any]:
    def folder(source: str, *paths: str, may_fetch: bool = resources.may_fetch) -> Path:
        return PACKAGE.fetched(source, paths, replace(resources, may_fetch=may_fetch))

    paths = {name: published.voice(name) for name in published.voices}
    tokenizer = folder(published.tokenizer_source, published.tokenizer)
    voices = folder(published.voices_source, *paths.values())
    # Without an account the hub would refuse: ask it only for what can be had.
    asking = resources.may_fetch and _sends_account()
    try:
        weights, clones = folder(published.cloning_source, published.weights, may_fetch=asking), True
    except EngineUnavailable as error:
        if asking:
            log.info("voice cloning is disabled for %s: %s", published.folder, error)
        weights, clones = folder(published.open_source, published.weights), False
    return {
        "weights": weights / published.weights,
        "tokenizer": tokenizer / published.tokenizer,
        "voices": {name: voices / path for name, path in paths.items()},
        "clones": clones,
    }


def _sends_account() -> bool:
    """Return True if the user lets the account's token be sent, which this server does not do unasked."""
    from huggingface_hub import constants, get_token

    return not constants.HF_HUB_DISABLE_IMPLICIT_TOKEN and get_token() is not None


PACKAGE = Package(
    "pocket",
    PackageEnvironment(
        engine="Pocket",
        package="pocket-tts",
        modules=("msgspec", "numpy", "torch", "pocket_tts"),
        requirements="requirements-pocket.txt",
        packages="pocket-tts==4.0.1 msgspec",
        variable="KANI_POCKET_PYTHON",
        size="mostly torch: some 5 GB on Linux, where PyPI's brings CUDA",
        licence="MIT",
    ),
    "kani.engines.pocket.adapter:Pocket",
    find,
    "KANI_POCKET_MODEL",
    # As much as 128 frames of 80 ms hold with the pause that the package adds.
    recording_s=10.16,
)


def joins(settings: PocketSettings, resources: Resources) -> tuple[PocketSettings, Resources] | None:
    """Speak the languages that Kokoro was not trained on, with the package and files that are here.

    Raises EngineUnavailable for an environment that is not complete.
    """
    folder = local_path(settings.model) if settings.model else resources.cache_dir
    wanted = [tag for tag in settings.languages if tag in _BEYOND_KOKORO]
    here = languages_here(folder, wanted, fetched=settings.model is None)
    if not here:
        return None
    made = settings.python or PACKAGE.made_python(resources.cache_dir)
    if not made and not find_spec("pocket_tts"):
        return None
    return settings.model_copy(update={"languages": here}), replace(resources, may_fetch=False)


ENGINE = EnginePlugin(
    "pocket", PocketSettings, PACKAGE.engine, PACKAGE.prepare, joins=joins, own_process=False
)
