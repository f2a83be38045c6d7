"""Finds a model's files in a local folder, or downloads them from a model hub once."""

import errno
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import partial
from pathlib import Path

import httpx2
from huggingface_hub import HfApi, ModelInfo, constants, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from kani.runtime.cancelling import in_thread
from kani.runtime.errors import CheckpointError
from kani.runtime.model_names import HUB_NAME, local_path
from kani_text.foreign.files import read_regular

_FILES = ("*.json", "*.safetensors", "*.jinja", "README*")
_TIMEOUT_S = 10
_GRACE_S, _LEAST_RATE = 60.0, 10_000
"""Seconds that a hub has for an answer, and bytes of files for each further one: a start waits for it."""

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True, slots=True)
class Hub:
    """A model hub and the local cache of its files."""

    cache: Path  # folder of downloaded files
    may_fetch: bool  # missing files may be downloaded
    report: Callable[[str], None]  # receives a line with size and licence before a download

    def find(self, name: str) -> Path:
        """Folder of a model: ``name`` itself, or a hub's ``OWNER/NAME[@REVISION]``, downloaded once.

        Without a revision, the head of the hub's main branch at the first download is pinned, so that speech
        does not change later. The hub is not contacted for files that are complete here. Raises
        CheckpointError.
        """
        folder = local_path(name)
        return folder if folder.is_dir() else self.find_files(name, _FILES)

    def find_codec(self, name: str) -> Path:
        """The .nemo file of a codec: ``name`` itself, or as ``find_file`` finds it."""
        path = local_path(name)
        return path if path.is_file() else self.find_file(name, "*.nemo")

    def find_file(self, name: str, pattern: str) -> Path:
        """The one file of a folder, or of a hub's repository as ``find`` knows it, that matches a pattern.

        Raises CheckpointError, for no file and for several before any is downloaded.
        """
        folder = local_path(name)
        if not folder.is_dir():
            folder = self.find_files(name, (pattern,), only_one=True)
        found = sorted(folder.rglob(pattern))
        _check_only_one(name, pattern, len(found))
        return found[0]

    def find_files(self, name: str, files: tuple[str, ...], *, only_one: bool = False) -> Path:
        """Folder of a hub's repository, as ``find`` knows it, with the files that match some patterns.

        only_one: exactly one file has to match. Raises CheckpointError.
        """
        if not HUB_NAME.fullmatch(name):
            raise CheckpointError(
                f"{name!r} is neither a local path nor a model's name on a hub (OWNER/NAME)"
            )
        repository, _, revision = name.partition("@")
        pin = self.cache / "revisions" / f"{repository.replace('/', '--')}.txt"
        pinned = revision or (read_regular(pin, 1000).decode("ascii").strip() if pin.exists() else "")
        try:
            if pinned and (here := self._cached(repository, pinned, files)):
                return here
            if not self.may_fetch:
                raise CheckpointError(
                    f"{name} is not here, and is not fetched unasked or with --no-fetch: fetch it by "
                    "--fetch, or give a folder that holds it"
                )
            ask = partial(HfApi().model_info, timeout=_TIMEOUT_S, files_metadata=True)
            info = in_thread(lambda: ask(repository, revision=pinned or "main")).result(_GRACE_S)
            taken = [
                each for each in info.siblings or () if any(fnmatch(each.rfilename, kind) for kind in files)
            ]
            if only_one:
                _check_only_one(name, files[0], len(taken))
            size = sum(each.size or 0 for each in taken)
            self.report(f"fetching {_described(info, size)}")
            fetch = partial(self._snapshot, repository, pinned or info.sha or "main", files, here=False)
            found = in_thread(fetch).result(_GRACE_S + size / _LEAST_RATE)
        except HFValidationError as error:
            raise CheckpointError(f"{name!r} is not a valid model name on a hub: {error}") from error
        except GatedRepoError as error:
            raise CheckpointError(
                f"{repository} is gated: accept its terms at {constants.ENDPOINT}/{repository}, and set "
                "HF_TOKEN and HF_HUB_DISABLE_IMPLICIT_TOKEN=0"
            ) from error
        except RevisionNotFoundError as error:
            raise CheckpointError(f"the model hub has no revision {name}") from error
        except RepositoryNotFoundError as error:
            raise CheckpointError(f"the model hub has no {repository}") from error
        except (httpx2.HTTPError, OSError) as error:
            if isinstance(error, OSError) and error.errno in _NO_SPACE:
                raise CheckpointError(
                    f"{name} does not fit on the disk of {self.cache}: free some space, or name a folder on "
                    "another one (KANI_CACHE_DIR); completed downloads are kept",
                    passing=True,
                ) from error
            raise CheckpointError(
                f"{name} cannot be fetched from the model hub ({type(error).__name__}); give a folder that "
                "holds it, or start again when there is a network: completed downloads are kept",
                passing=True,
            ) from error
        if not pinned:
            pin.parent.mkdir(parents=True, exist_ok=True)
            pin.write_text(found.name, "ascii")
        return found

    def _cached(self, repository: str, revision: str, files: tuple[str, ...]) -> Path | None:
        """Folder of a revision that was downloaded completely before, without contacting the hub."""
        try:
            folder = self._snapshot(repository, revision, files, here=True)
        except LocalEntryNotFoundError:
            return None
        # A revision may be here with only other files of it; a repository need not have each kind of file.
        here = {each: any(folder.rglob(each)) for each in files}
        named = (found for each, found in here.items() if "*" not in each)
        return folder if all(named) and any(here.values()) else None

    def _snapshot(self, repository: str, revision: str, files: tuple[str, ...], *, here: bool) -> Path:
        return Path(
            snapshot_download(
                repository,
                revision=revision,
                allow_patterns=list(files),
                cache_dir=self.cache / "hub",
                etag_timeout=_TIMEOUT_S,
                local_files_only=here,
            )
        )


def _check_only_one(name: str, pattern: str, count: int) -> None:
    if count != 1:
        raise CheckpointError(f"{name} holds {count} files {pattern}; exactly one is needed")


def _described(info: ModelInfo, size: int) -> str:
    """Describe a repository: its revision, the bytes that are fetched, and the licence its page names."""
    card = info.card_data
    licence = (card.get("license_name") or card.get("license") if card is not None else None) or "not named"
    page = f"{constants.ENDPOINT}/{info.id}"
    return f"{info.id} at revision {info.sha} ({size / 1e6:.0f} MB, licence: {licence}, see {page})"
