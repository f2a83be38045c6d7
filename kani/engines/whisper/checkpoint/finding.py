"""Finds the checkpoint that the settings name, fetched if it may be, or the base that the package brings."""

import hashlib
import logging
import re
from pathlib import Path

from kani.engines.whisper.checkpoint.contents import CONFIG, MODEL, TOKENIZER
from kani.runtime.errors import CheckpointError
from kani.runtime.model_names import local_path, short_name

_FILES = (MODEL, CONFIG, TOKENIZER, "vocabulary.*")

log = logging.getLogger(__name__)

BASE = Path(__file__).parents[1] / "data"
ORIGIN, VOCABULARY = "ORIGIN.txt", "vocabulary.txt"

_LISTED = re.compile(r"^([0-9a-f]{64}) +\d+ +(\S+)$", re.MULTILINE)
_BROKEN = "Whisper base is missing or broken (%s): restore kani/engines/whisper/data/ from the repository"


def read_base() -> dict[str, bytes | Path]:
    """Return the files as ``Contents.files`` has them, if they have the checksums of ORIGIN.txt.

    Raises CheckpointError with the cure. Blocks.
    """
    files = dict[str, bytes | Path]()
    try:
        for sha256, name in _LISTED.findall((BASE / ORIGIN).read_text(encoding="utf-8")):
            with (BASE / name).open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
                    raise CheckpointError(_BROKEN % f"{name} fails its SHA-256")
            files[name] = BASE / name if name == MODEL else (BASE / name).read_bytes()
    except OSError as error:
        raise CheckpointError(_BROKEN % error.strerror) from error
    except UnicodeDecodeError as error:
        raise CheckpointError(_BROKEN % f"{ORIGIN} is no text") from error
    if files.keys() != {MODEL, CONFIG, TOKENIZER, VOCABULARY}:
        raise CheckpointError(_BROKEN % f"{ORIGIN} lists other files")
    return files


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
