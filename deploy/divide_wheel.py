"""Divides the server's wheel in two, for a registry that takes files of 100 MB at most.

    pip wheel . --no-deps -w whole                            # 125 MB, 64 of them Kokoro's network
    python deploy/divide_wheel.py whole/*.whl parts           # the rest, which requires it
    pip wheel ./deploy/kani-network --no-deps -w parts        # the network

Both install into the folder `kani`. A source distribution stays in one piece.
"""

from __future__ import annotations

import base64
import hashlib
import sys
import zipfile
from pathlib import Path

NETWORK = "kani/engines/kokoro/data/network/"


def divide(wheel: Path, folder: Path) -> Path:
    """Write the wheel without the network, of the same name; returns its path."""
    _, version, *_ = wheel.stem.split("-")
    folder.mkdir(parents=True, exist_ok=True)
    with (
        zipfile.ZipFile(wheel) as whole,
        zipfile.ZipFile(folder / wheel.name, "w", zipfile.ZIP_DEFLATED) as part,
    ):
        record = ""
        for entry in whole.infolist():
            content = whole.read(entry)
            if entry.filename.startswith(NETWORK):
                continue
            if entry.filename.endswith(".dist-info/METADATA"):
                head, end, text = content.partition(b"\n\n")
                content = head + f"\nRequires-Dist: kani-tts-network=={version}".encode() + end + text
            if entry.filename.endswith(".dist-info/RECORD"):
                content = f"{record}{entry.filename},,\n".encode()
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            record += f"{entry.filename},sha256={digest},{len(content)}\n"
            part.writestr(entry, content)
    return folder / wheel.name


if __name__ == "__main__":
    print(divide(Path(sys.argv[1]), Path(sys.argv[2])))
