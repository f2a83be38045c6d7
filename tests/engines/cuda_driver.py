"""A replacement of CUDA's driver that counts devices, and can do nothing with them."""

import shutil
import subprocess
from pathlib import Path

import pytest

_SOURCE = """
int cuInit(unsigned int flags) { return 0; }
int cuDeviceGetCount(int *count) { *count = DEVICES; return 0; }
"""


def cuda_driver(folder: Path, *, devices: int = 1) -> Path:
    """Build a driver that finds ``devices`` devices; returns its folder for LD_LIBRARY_PATH."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler (cc) to build a replacement of CUDA's driver")
    library = folder / "driver" / "libcuda.so.1"
    library.parent.mkdir()
    subprocess.run(
        [compiler, "-shared", "-fPIC", f"-DDEVICES={devices}", "-x", "c", "-o", str(library), "-"],
        input=_SOURCE.encode(),
        check=True,
    )
    return library.parent
