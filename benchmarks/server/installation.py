"""From the first command to the first sound, and the size of an installation.

    python -m benchmarks.server.installation [default] [kani]

A virtual environment is made and the packages of requirements.txt (``default``), or those of
requirements/kani.txt as well (``kani``), are installed in it, by pip and, where there is one, by uv. A server
with the defaults and empty folders is started there, and is asked for a sentence as soon as it is ready.
Run it twice: in the second run every package comes from the caches of pip and uv.
"""

from __future__ import annotations

import asyncio
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from importlib.metadata import Distribution, distributions
from pathlib import Path

from benchmarks.playback_client import connected, request_speech
from benchmarks.report import measure, mib, table
from benchmarks.server_process import ROOT, Server

LARGE_BYTES = 20_000_000
SENTENCE = ("es", "Buenos días, ¿en qué puedo ayudarte?")


def commands(environment: Path, files: Sequence[str]) -> dict[str, list[list[str]]]:
    """Return the commands that install requirements files, by the installer."""
    python = str(environment / "bin" / "python")
    options = [word for file in files for word in ("-r", file)]
    found = {
        "pip": [
            [sys.executable, "-m", "venv", str(environment)],
            [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", *options],
        ]
    }
    if uv := shutil.which("uv"):
        found["uv"] = [
            [uv, "venv", "-q", "--python", sys.executable, str(environment)],
            [uv, "pip", "install", "-q", "--python", python, *options],
        ]
    return found


def size(package: Distribution) -> int:
    """Return the bytes of a package's files."""
    paths = (Path(str(package.locate_file(file))) for file in package.files or ())
    return sum(path.stat().st_size for path in paths if path.is_file())


def sizes(environment: Path) -> Counter[str]:
    """Return the bytes of each installed package."""
    (site,) = environment.glob("lib/python*/site-packages")
    return Counter({each.name: size(each) for each in distributions(path=[str(site)])})


def site_packages_bytes(environment: Path) -> int:
    """Return the bytes of all files of an environment's packages, pip and bytecode included."""
    (site,) = environment.glob("lib/python*/site-packages")
    return sum(path.stat().st_size for path in site.rglob("*") if path.is_file())


def processor_s() -> float:
    """Return the processor seconds of all child processes that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


async def first_audio(url: str) -> float:
    """Return the seconds from a request to its first audio."""
    async with connected(url) as socket:
        return (await request_speech(socket, *SENTENCE)).first_audio_s


def installed(*files: str) -> None:
    """Install the files by each installer; print times, memory, and the large packages."""
    rows = []
    for installer in commands(Path(), files):
        with tempfile.TemporaryDirectory() as folder:
            environment = Path(folder, "env")
            begun, used = time.perf_counter(), processor_s()
            for command in commands(environment, files)[installer]:
                subprocess.run(command, cwd=ROOT, check=True)
            install_s = time.perf_counter() - begun
            python = str(environment / "bin" / "python")
            with Server(python=python, KANI_CACHE_DIR=str(Path(folder, "cache"))) as server:
                memory = server.memory_bytes()
                audio_s = asyncio.run(first_audio(server.url))
                start_s = server.start_s
            whole_s = install_s + start_s + audio_s
            # The server's time is included, as it has ended.
            used = processor_s() - used
            seconds = [f"{each:.1f} s" for each in (install_s, start_s, audio_s, whole_s, used)]
            packages, on_disk = sizes(environment), f"{site_packages_bytes(environment) / 1e6:.0f} MB"
            rows.append([installer, *seconds, on_disk, mib(memory)])
    print(f"`{' '.join(files)}`:\n")
    head = (
        "installer",
        "environment and packages",
        "start to ready",
        "first audio",
        "together",
        "processor time",
    )
    print(table((*head, "site-packages", "resident memory when ready"), rows))
    large = [
        [name, f"{bytes_ / 1e6:.0f} MB"] for name, bytes_ in packages.most_common() if bytes_ > LARGE_BYTES
    ]
    print(f"\n{table(('package', 'size'), large)}\n", flush=True)


PARTS = {
    "default": lambda: installed("requirements.txt"),
    "kani": lambda: installed("requirements.txt", "requirements/kani.txt"),
}

if __name__ == "__main__":
    measure("server.installation", __doc__, "Installation", PARTS)
