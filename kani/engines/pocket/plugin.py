"""Description of Pocket TTS for the server, which finds the files, on the hub or in a folder like it."""

import logging
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator

from kani.core.errors import EngineUnavailable
from kani.engines.packages.package import Package
from kani.engines.plugin import MODEL, EnginePlugin, Resources
from kani.engines.plugin_settings import PluginSettings, choices, listed, lower, setting
from kani.engines.pocket.published import PUBLISHED, VOICES, Published, languages_here
from kani.runtime.model_names import local_path
from kani.runtime.packages.checkpoint import check_files
from kani.runtime.packages.environment import TORCH_SIZE, PackageEnvironment

POCKET = "Pocket TTS"


def _languages(value: Any) -> Any:
    tags = tuple(dict.fromkeys(lower(tag) for tag in listed(value)))
    if not tags or not set(tags) <= PUBLISHED.keys():
        raise ValueError(f"has to be {choices(PUBLISHED)}")
    return tags


class PocketSettings(PluginSettings):
    languages: Annotated[tuple[str, ...], BeforeValidator(_languages)] = setting(
        tuple(PUBLISHED),
        "KANI_POCKET_LANGUAGES",
        group=POCKET,
        after="precision",
        accepts=choices(PUBLISHED),
        about="Languages of `--engine pocket`; each has a model of its own (some 440 MB, in memory too). "
        "With `auto` those of them that Kokoro lacks, if their files are here.",
    )


_BEYOND_KOKORO = ("de", "nl")

log = logging.getLogger(__name__)


def find(settings: PocketSettings, resources: Resources) -> dict[str, Any]:
    """Return the adapter's settings: the files of the languages, fetched if they may be.

    Raises EngineUnavailable, naming the file and the cure, and CheckpointError.
    """
    languages = {}
    for tag in settings.languages:
        published = PUBLISHED[tag]
        found = _local(resources.model, published) if resources.model else _fetched(published, resources)
        weights, tokenizer, voices, clones = found
        check_files(weights, tokenizer, *voices.values())
        languages[tag] = {
            "name": published.folder,
            "weights": str(weights.absolute()),
            "tokenizer": str(tokenizer.absolute()),
            "voices": {name: str(path.absolute()) for name, path in voices.items()},
            "clones": clones,
        }
    return {"languages": languages}


_Files = tuple[Path, Path, dict[str, Path], bool]
"""Weights, tokenizer, voices by their names, the default voice first, and whether the weights may clone."""


def _local(model: str, published: Published) -> _Files:
    folder = local_path(model)
    weights, tokenizer = folder / published.weights, folder / published.tokenizer
    for path in (weights, tokenizer):
        if not path.is_file():
            raise EngineUnavailable(f"{path} is not there: {MODEL} has to hold {published.weights}")
    named = {path.stem: path for path in sorted((weights.parent / "embeddings").glob("*.safetensors"))}
    if not named:
        raise EngineUnavailable(f"{weights.parent} has no voice: put one into its folder embeddings/")
    names = dict.fromkeys([*(name for name in published.voices if name in named), *named])
    return weights, tokenizer, {name: named[name] for name in names}, True


def _fetched(published: Published, resources: Resources) -> _Files:
    voices = {name: published.voice(name) for name in published.voices}
    tokenizers = PACKAGE.fetched(published.tokenizers, (published.tokenizer,), resources)
    embeddings = PACKAGE.fetched(VOICES, (*voices.values(),), resources)
    # Without an account the hub would refuse: ask it only for what can be had.
    asking = resources.may_fetch and _sends_account()
    files = (published.weights,)
    try:
        folder = PACKAGE.fetched(published.cloning, files, replace(resources, may_fetch=asking))
        clones = True
    except EngineUnavailable as error:
        if asking:
            log.info("voice cloning is disabled for %s: %s", published.folder, error)
        folder, clones = PACKAGE.fetched(published.open, files, resources), False
    paths = {name: embeddings / path for name, path in voices.items()}
    return folder / published.weights, tokenizers / published.tokenizer, paths, clones


def _sends_account() -> bool:
    """Return True if the user lets the account's token be sent, which this server does not do unasked."""
    from huggingface_hub import constants, get_token

    return not constants.HF_HUB_DISABLE_IMPLICIT_TOKEN and get_token() is not None


PACKAGE = Package(
    "pocket",
    PackageEnvironment(
        engine="Pocket",
        modules=("msgspec", "numpy", "torch", "pocket_tts"),
        packages="pocket-tts==4.0.1 msgspec",
        size=TORCH_SIZE,
        licence="MIT",
    ),
    "kani.engines.pocket.adapter:Pocket",
    find,
    # As much as 128 frames of 80 ms hold with the pause that the package adds.
    recording_s=10.16,
)


def joins(settings: PocketSettings, resources: Resources) -> tuple[PocketSettings, Resources] | None:
    """Speak the languages that Kokoro was not trained on, with the package and files that are here.

    Raises EngineUnavailable for an environment that is not complete.
    """
    wanted = [tag for tag in settings.languages if tag in _BEYOND_KOKORO]
    here = languages_here(resources.cache_dir, wanted)
    if not here:
        return None
    made = resources.pythons.get("pocket") or PACKAGE.environment.made_python(resources.cache_dir)
    if not made and not find_spec("pocket_tts"):
        return None
    return settings.model_copy(update={"languages": here}), replace(resources, model=None, may_fetch=False)


ENGINE = EnginePlugin(
    "pocket", PocketSettings, PACKAGE.engine, PACKAGE.prepare, joins=joins, own_process=False
)
