"""Loads the languages of Pocket TTS with one codec, from a folder or a model hub."""

from __future__ import annotations

import hashlib
import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from huggingface_hub import constants, get_token
from tokenizers import Tokenizer
from torch import Tensor

from kani.engines.pocket import text
from kani.engines.pocket.checkpoint import read_tokenizer, read_voice, read_weights
from kani.engines.pocket.codec import Codec
from kani.engines.pocket.flow_lm import LanguageModel
from kani.engines.pocket.published import CLONING_REPOSITORY, OPEN_REPOSITORY, PUBLISHED, Published
from kani.engines.pocket.transformer import KeyValueCache
from kani.runtime.errors import CheckpointError, DeviceError
from kani.runtime.hub import Hub
from kani.runtime.linear import Int8
from kani.runtime.model_names import local_path

SAMPLE_RATE = 24_000
FRAME_S = 0.08

_KEPT_VOICES = 32

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Files:
    """The files of one language."""

    weights: Path
    tokenizer: Path
    voices: dict[str, Path]
    clones: bool


@dataclass(frozen=True, slots=True)
class Language:
    """The model of one language, with its voices."""

    tag: str
    model: LanguageModel
    tokenizer: Tokenizer
    replaced: Mapping[str, str]
    voices: dict[str, KeyValueCache]
    clones: bool
    cloned: OrderedDict[bytes, KeyValueCache] = field(default_factory=OrderedDict)

    def tokens(self, written: str) -> list[int]:
        """Tokens of a prepared text."""
        return list(self.tokenizer.encode(written).ids)

    def token_count(self, part: str) -> int:
        """Tokens of a part of a text, once it is prepared."""
        return len(self.tokens(text.prepare(part, self.replaced)))

    def voice_of(self, latents: Tensor) -> KeyValueCache:
        """The voice of a recording's latents [frames, latent size]; computed once while it is in use."""
        key = hashlib.sha256(latents.numpy().tobytes()).digest()
        known = self.cloned.pop(key, None)
        self.cloned[key] = voice = self.model.read_voice(latents) if known is None else known
        if len(self.cloned) > _KEPT_VOICES:
            self.cloned.popitem(last=False)
        return voice


@dataclass(frozen=True, slots=True)
class PocketModel:
    """The languages and their codec."""

    languages: dict[str, Language]  # by primary subtag
    codec: Codec
    precision: str
    cloning_model: str  # name and version of the encoder of recordings; empty if no language clones


def load(
    languages: Sequence[str],
    folder: str | None = None,
    *,
    precision: str = "auto",
    cache: Path,
    may_fetch: bool = False,
    report: Callable[[str], None] = log.info,
) -> PocketModel:
    """Load and check the models of ``languages`` (keys of ``PUBLISHED``).

    folder: holds ``languages/NAME/`` as the hub's repositories do; None: the hub's. precision: auto, float32
    or int8; cache: folder of fetched files; may_fetch: missing files may be downloaded; report: receives
    lines of progress. Raises CheckpointError and DeviceError, each with the cure.
    """
    int8 = _is_int8(precision)
    hub = Hub(cache, may_fetch, report)
    found = {
        tag: _local(local_path(folder), PUBLISHED[tag]) if folder else _fetched(hub, PUBLISHED[tag])
        for tag in languages
    }
    shared: tuple[Codec, dict[str, Tensor]] | None = None
    loaded: dict[str, Language] = {}
    for tag, files in found.items():
        report(f"loading Pocket TTS, {PUBLISHED[tag].folder}")
        weights = read_weights(files.weights)
        own = {name: weights.pop(name) for name in list(weights) if name.startswith("mimi.")}
        if shared is None:
            shared = Codec(own), own
        elif any(not torch.equal(values, own[name]) for name, values in shared[1].items()):
            raise CheckpointError(
                f"{files.weights} has another codec than {next(iter(loaded))}: take all languages of one "
                "release, or only one language (KANI_POCKET_LANGUAGES)"
            )
        loaded[tag] = _language(tag, files, weights, int8=int8)
    if shared is None:
        raise CheckpointError("no language of Pocket TTS is chosen: set KANI_POCKET_LANGUAGES")
    codec, weights = shared
    clones = any(language.clones for language in loaded.values())
    return PocketModel(
        loaded, codec, "int8" if int8 else "float32", f"pocket {_digest(weights)}" if clones else ""
    )


def _language(tag: str, files: _Files, weights: dict[str, Tensor], *, int8: bool) -> Language:
    tokens = len(weights["flow_lm.conditioner.embed.weight"]) - 1  # the last one is padding
    tokenizer = read_tokenizer(files.tokenizer, tokens)
    model = LanguageModel(weights, int8=int8)
    voices = {}
    for name, path in files.voices.items():
        layers, length = read_voice(path, model.transformer.layers, model.transformer.size)
        voices[name] = model.voice_of(layers, length)
    # Weights without cloning have nothing to project a voice by.
    clones = files.clones and bool(weights["flow_lm.speaker_proj_weight"].any())
    if not voices:
        raise CheckpointError(f"{files.weights.parent} has no voice: put one into its folder embeddings/")
    return Language(tag, model, tokenizer, PUBLISHED[tag].replaced, voices, clones)


def _is_int8(precision: str) -> bool:
    match precision:
        case "auto":
            return Int8.supported()
        case "int8" if not Int8.supported():
            raise DeviceError("this build of torch has no int8 kernels (fbgemm): use float32")
        case "int8":
            return True
        case "float32":
            return False
    raise DeviceError(f"Pocket TTS computes in float32 or int8, not in {precision!r}")


def _local(folder: Path, published: Published) -> _Files:
    weights = folder / published.weights
    if not weights.is_file():
        raise CheckpointError(f"{weights} is not there: KANI_POCKET_MODEL has to hold {published.weights}")
    named = {path.stem: path for path in sorted((weights.parent / "embeddings").glob("*.safetensors"))}
    # The default voice is the first one.
    names = [*(name for name in published.voices if name in named), *named]
    return _Files(
        weights, folder / published.tokenizer, {name: named[name] for name in dict.fromkeys(names)}, True
    )


def _fetched(hub: Hub, published: Published) -> _Files:
    tokenizer = hub.find_files(f"{OPEN_REPOSITORY}@{published.tokenizer_revision}", (published.tokenizer,))
    paths = {name: published.voice(name) for name in published.voices}
    voices = hub.find_files(published.voices_source, tuple(paths.values()))
    weights, clones = _fetched_weights(hub, published)
    return _Files(
        weights,
        tokenizer / published.tokenizer,
        {name: voices / path for name, path in paths.items()},
        clones,
    )


def _fetched_weights(hub: Hub, published: Published) -> tuple[Path, bool]:
    """The weights that clone, if they are here or the user's account may fetch them; else the open ones."""
    name = f"{CLONING_REPOSITORY}@{published.cloning_revision}"
    # Without an account the hub would refuse: ask it only for what can be had.
    asking = Hub(hub.cache, hub.may_fetch and _sends_account(), hub.report)
    try:
        return asking.find_files(name, (published.weights,)) / published.weights, True
    except CheckpointError as error:
        if asking.may_fetch:
            hub.report(f"voice cloning is disabled for {published.folder}: {error}")
    name = f"{OPEN_REPOSITORY}@{published.open_revision}"
    return hub.find_files(name, (published.weights,)) / published.weights, False


def _sends_account() -> bool:
    """True if the user lets the account's token be sent, which this server does not do unasked."""
    return not constants.HF_HUB_DISABLE_IMPLICIT_TOKEN and get_token() is not None


def _digest(weights: Mapping[str, Tensor]) -> str:
    """Version of the encoder: of its last weights, which differ wherever a training did."""
    return hashlib.sha256(weights["mimi.downsample.conv.conv.weight"].numpy().tobytes()).hexdigest()[:12]
