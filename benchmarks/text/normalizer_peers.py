"""Other projects' normalizers, run by the python of an environment that has them.

``python -P normalizer_peers.py SYSTEM LANGUAGE FOLDER IN.json OUT.json``: SYSTEM is ``nemo``
(nemo_text_processing; FOLDER keeps its compiled grammars) or ``kokoro-fastapi`` (FOLDER is its checkout,
which needs inflect and pydantic). IN.json is a list of texts; OUT.json gets the version, the seconds until
the first text could be read, each reading (null where it failed), and the seconds for all of them in a second
pass.
"""

from __future__ import annotations

import importlib
import json
import logging
import sys
import time
import types
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

Read = Callable[[str], str | None]


def nemo(language: str, folder: str) -> tuple[Read, str]:
    """nemo-text-processing as its own tests call it: written text with its capitals."""
    logging.disable(logging.CRITICAL)
    from nemo_text_processing.text_normalization.normalize import Normalizer
    from pynini import FstOpError
    from pynini.lib.rewrite import Error as RewriteError

    normalizer = Normalizer(input_case="cased", lang=language, cache_dir=folder, overwrite_cache=False)

    def read(text: str) -> str | None:
        try:
            return str(normalizer.normalize(text, punct_post_process=True))
        except (FstOpError, RewriteError, ValueError, IndexError):
            return None

    return read, version("nemo_text_processing")


def kokoro_fastapi(language: str, folder: str) -> tuple[Read, str]:
    """Kokoro-FastAPI's English normaliser, with its units on, which is the most that it can read."""
    # Its packages import the whole server: they are given their folders, and not run.
    package = ""
    for part in ("api", "src", "services", "text_processing"):
        package = f"{package}.{part}".lstrip(".")
        module = types.ModuleType(package)
        module.__path__ = [str(Path(folder, *package.split(".")))]
        sys.modules[package] = module
    structures = types.ModuleType("api.src.structures")
    structures.__path__ = [str(Path(folder, "api", "src", "structures"))]
    sys.modules["api.src.structures"] = structures
    normalization = importlib.import_module("api.src.services.text_processing.normalization")
    schemas = importlib.import_module("api.src.structures.schemas")
    options = schemas.NormalizationOptions(unit_normalization=True)

    def read(text: str) -> str | None:
        return str(normalization.normalize_text(text, options))

    return read, f"inflect {version('inflect')}"


def main(system: str, language: str, folder: str, given: str, out: str) -> None:
    """The command line."""
    texts: list[str] = json.loads(Path(given).read_text(encoding="utf-8"))
    begun = time.perf_counter()
    read, found_version = {"nemo": nemo, "kokoro-fastapi": kokoro_fastapi}[system](language, folder)
    read("a")
    ready = time.perf_counter()
    readings = [read(text) for text in texts]
    again = time.perf_counter()
    for text in texts:
        read(text)
    spent_s = time.perf_counter() - again
    answer = {"version": found_version, "start_s": ready - begun, "readings": readings, "spent_s": spent_s}
    Path(out).write_text(json.dumps(answer), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
