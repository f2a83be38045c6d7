"""Finds the folder of the checkpoint that the settings name, fetched from a model hub if it may be."""

from __future__ import annotations

import logging
from pathlib import Path

from kani.engines.whisper.checkpoint.contents import CONFIG, MODEL, TOKENIZER
from kani.runtime.model_names import local_path, short_name

_FILES = (MODEL, CONFIG, TOKENIZER, "vocabulary.*")

log = logging.getLogger(__name__)


def find_checkpoint(model: str, *, models_dir: Path | None, cache_dir: Path, may_fetch: bool) -> Path:
    """Return the folder of a checkpoint. Raises CheckpointError with the cure. Blocks.

    model: a folder, or a hub's ``OWNER/NAME[@REVISION]``; models_dir: the user's folder, which is looked
    at first; cache_dir: folder of fetched files; may_fetch: whether the network may be used.
    """
    if (folder := local_folder(model, models_dir)) is not None:
        return folder
    from kani.runtime.hub import Hub

    return Hub(cache_dir, may_fetch, log.info).find_files(model, _FILES)


def local_folder(model: str, models_dir: Path | None) -> Path | None:
    """Return the folder ``model``, or the one of its short name in ``models_dir``; None if there is none."""
    folders = [local_path(model), *([models_dir / short_name(model)] if models_dir is not None else [])]
    return next((folder for folder in folders if folder.is_dir()), None)
