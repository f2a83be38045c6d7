"""Make ``voices.npy`` and ``voices.json`` from the source distribution of PyPI's kokoro 0.9.4.

    pip download kokoro==0.9.4 --no-deps --no-binary :all:
    python -m tools.published.kokoro_voices kokoro-0.9.4.tar.gz

The distribution holds the style tables as ``kokoro.js/voices/NAME.bin``: float32
[510, 1, 256], row n - 1 for an utterance of n symbols. Here they become one float16 array
[voices, 510, 256], which is memory-mapped at run time. The same input gives the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tarfile
from pathlib import Path

import numpy as np

from kani.engines.kokoro.voices import DATA, INDEX_FILE, STYLES_FILE, STYLES_SHAPE

ORIGIN = "https://pypi.org/project/kokoro/0.9.4/ (kokoro.js/voices), by hexgrad"
LICENCE = "Apache-2.0"

# The first letter of a voice's name is its language, the second its gender.
LANGUAGES = {"a": "en-US", "b": "en-GB", "e": "es", "f": "fr", "i": "it", "p": "pt-BR"}
LATER_LANGUAGES = {"h": "hi", "j": "ja", "z": "zh"}
"""Languages with voices that follow those of ``LANGUAGES``: the rows that embeddings refer to never move."""

GENDERS = {"f": "female", "m": "male"}


def build(distribution: Path, folder: Path) -> int:
    """Write both files into ``folder``; returns how many voices there are.

    Raises tarfile.TarError when ``distribution`` is no tar archive, ValueError when it holds no
    voices or one of an unexpected size.
    """
    languages = LANGUAGES | LATER_LANGUAGES
    styles, index = [], []
    with tarfile.open(distribution) as archive:
        members = sorted(archive.getmembers(), key=_row_order)
        for member in members:
            path = Path(member.name)
            if path.suffix != ".bin" or path.parent.parts[-2:] != ("kokoro.js", "voices"):
                continue
            if path.stem[0] not in languages:
                continue
            source = archive.extractfile(member)
            if source is None:
                raise ValueError(f"{member.name} is not a file")
            data = source.read()
            styles.append(np.frombuffer(data, "<f4").reshape(STYLES_SHAPE).astype("<f2"))
            index.append(
                {
                    "name": path.stem,
                    "language": languages[path.stem[0]],
                    "gender": GENDERS[path.stem[1]],
                    "source_sha256": hashlib.sha256(data).hexdigest(),
                }
            )
    if not styles:
        raise ValueError(f"{distribution.name} holds no voices")
    array = np.stack(styles)
    np.save(folder / STYLES_FILE, array)
    mixed = sum(entry["language"] in LANGUAGES.values() for entry in index)
    facts = {
        "origin": ORIGIN,
        "licence": LICENCE,
        "sha256": hashlib.sha256(array.tobytes()).hexdigest(),
        "mixed": mixed,
        "mixed_sha256": hashlib.sha256(array[:mixed].tobytes()).hexdigest(),
    }
    text = json.dumps({**facts, "voices": index}, indent=1)
    (folder / INDEX_FILE).write_text(text + "\n", encoding="utf-8")
    return len(index)


def _row_order(member: tarfile.TarInfo) -> tuple[bool, str]:
    """Sort key of a member: the later languages last, else by name."""
    return Path(member.name).name[:1] in LATER_LANGUAGES, member.name


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m tools.published.kokoro_voices")
    parser.add_argument("distribution", type=Path, help="kokoro-0.9.4.tar.gz")
    arguments = parser.parse_args()
    print(build(arguments.distribution, DATA), "voices")


if __name__ == "__main__":
    main()
