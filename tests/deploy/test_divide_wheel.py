"""The wheel in parts, for a registry that takes at most 100 MB."""

import runpy
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import websocket_config
from tests.conftest import ROOT

DIVIDED = runpy.run_path(str(ROOT / "deploy" / "divide_wheel.py"))
PARTS = DIVIDED["PARTS"]
MOST_BYTES = 100_000_000


def test_parts_are_installed_as_the_whole(tmp_path: Path) -> None:
    wheel = tmp_path / f"kani_tts_server-{websocket_config.VERSION}-py3-none-any.whl"
    info = f"kani_tts_server-{websocket_config.VERSION}.dist-info"
    metadata = (
        f"Metadata-Version: 2.4\nName: kani-tts-server\nVersion: {websocket_config.VERSION}\n\nReadme\n\nx"
    )
    with zipfile.ZipFile(wheel, "w") as whole:
        whole.writestr("kani/some.py", "x = 1\n")
        for part in PARTS.values():
            whole.writestr(f"{part}weights", b"part")
        whole.writestr(f"{info}/METADATA", metadata)
        whole.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        whole.writestr(f"{info}/RECORD", "kani/some.py,,\n")
    part = DIVIDED["divide"](wheel, tmp_path / "parts")
    site = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps"]
    # pip compares each file with its hash in RECORD.
    subprocess.run([*pip, "--target", str(site), str(part)], check=True)
    assert (site / "kani" / "some.py").is_file() and not any(
        (site / part).exists() for part in PARTS.values()
    )
    told = (site / info / "METADATA").read_text("utf-8")
    required = "".join(f"\nRequires-Dist: {name}=={websocket_config.VERSION}" for name in PARTS)
    assert f"{required}\n\nReadme\n\nx" in told


@pytest.mark.heard
@pytest.mark.parametrize("name", PARTS)
def test_part_is_a_wheel_of_its_own_below_the_limit(tmp_path: Path, name: str) -> None:
    folder = ROOT / "deploy" / name.replace("kani-tts", "kani")
    assert tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["project"]["name"] == name
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=folder, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.stat().st_size < MOST_BYTES
    with zipfile.ZipFile(wheel) as built:
        held = {each for each in built.namelist() if ".dist-info/" not in each}
    assert held == {f"{PARTS[name]}{path.name}" for path in (ROOT / PARTS[name]).iterdir()}
