"""Divides the server's wheel in three, for a registry that takes files of 100 MB at most.

    pip wheel . --no-deps -w whole                                    # 189 MB
    python deploy/divide_wheel.py whole/*.whl parts                   # 61 MB, which requires the others
    pip wheel ./deploy/kani-network --no-deps -w parts                # Kokoro's network, 64 MB
    pip wheel ./deploy/kani-whisper --no-deps -w parts                # Whisper base, 64 MB

All install into the folder `kani`. A source distribution stays in one piece.
"""

from __future__ import annotations

import base64
import hashlib
import sys
import zipfile
from pathlib import Path

PARTS = {
    "kani-tts-network": "kani/engines/kokoro/data/network/",
    "kani-tts-whisper": "kani/engines/whisper/data/",
}
"""Folders that are distributions of their own, by their names."""


def divide(wheel: Path, folder: Path) -> Path:
    """Write the wheel without the parts, of the same name; returns its path."""
    _, version, *_ = wheel.stem.split("-")
    folder.mkdir(parents=True, exist_ok=True)
    with (
        zipfile.ZipFile(wheel) as whole,
        zipfile.ZipFile(folder / wheel.name, "w", zipfile.ZIP_DEFLATED) as part,
    ):
        record = ""
        for entry in whole.infolist():
            content = whole.read(entry)
            if entry.filename.startswith(tuple(PARTS.values())):
                continue
            if entry.filename.endswith(".dist-info/METADATA"):
                head, end, text = content.partition(b"\n\n")
                required = "".join(f"\nRequires-Dist: {name}=={version}" for name in PARTS)
                content = head + required.encode() + end + text
            if entry.filename.endswith(".dist-info/RECORD"):
                content = f"{record}{entry.filename},,\n".encode()
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            record += f"{entry.filename},sha256={digest},{len(content)}\n"
            part.writestr(entry, content)
    return folder / wheel.name


if __name__ == "__main__":
    print(divide(Path(sys.argv[1]), Path(sys.argv[2])))
