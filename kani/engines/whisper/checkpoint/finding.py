"""Finds the folder of the checkpoint that the settings name, fetched from a model hub if it may be."""

from __future__ import annotations

import logging
from pathlib import Path

from kani.engines.whisper.checkpoint.contents import CONFIG, MODEL, TOKENIZER

_FILES = (MODEL, CONFIG, TOKENIZER, "vocabulary.*")

log = logging.getLogger(__name__)


def short_name(model: str) -> str:
    """Return the last part of a folder's or a hub's name, without the revision."""
    return model.partition("@")[0].rstrip("/").rpartition("/")[2]


def find_checkpoint(model: str, *, models_dir: Path | None, cache_dir: Path, may_fetch: bool) -> Path:
    """Return the folder of a checkpoint. Raises CheckpointError with the cure. Blocks.

    model: a folder, or a hub's ``OWNER/NAME[@REVISION]``; cache_dir: folder of fetched files; the others: as
    for ``local_folder`` and for ``weights.load``.
    """
    if (folder := local_folder(model, models_dir)) is not None:
        return folder
    from kani.runtime.hub import Hub

    return Hub(cache_dir, may_fetch, log.info).find_files(model, _FILES)


def local_folder(model: str, models_dir: Path | None) -> Path | None:
    """Return the folder ``model``, or the one of its short name in ``models_dir``; None if there is none."""
    folders = [
        Path(model).expanduser(),
        *([models_dir / short_name(model)] if models_dir is not None else []),
    ]
    return next((folder for folder in folders if folder.is_dir()), None)
