"""Nothing leaves the machine unless the user asked for it."""

import ast
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.server.outgoing import STRACE, TracedServer, exercise
from kani import no_telemetry
from tests.running.sources import ROOT
from tests.support.programs import python

BARE = {name: value for name, value in os.environ.items() if name not in no_telemetry.VARIABLES}
REPORTING = frozenset({"onnxruntime", "huggingface_hub", "transformers", "faster_whisper", "torch"})
"""Libraries that report, or import one that does (torch reports nothing by itself)."""

FILES = sorted(
    path
    for path in ROOT.rglob("*.py")
    if not any(part.startswith((".", "build")) for part in path.parts[:-1])
)
# These run in other environments, as children of processes that have the variables.
CHILDREN = frozenset(ROOT.glob("tests/**/*_judge.py")) | frozenset(ROOT.glob("tests/judges/makers.py"))


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.module.partition(".")[0]


def passes(path: Path) -> bool:
    """Return True if a package or conftest around a module imports ``kani``, which turns it off."""
    around = [folder / name for folder in path.parents for name in ("__init__.py", "conftest.py")]
    return any("kani" in imported(each) for each in around if each.exists() and ROOT in each.parents)


def test_each_importer_of_a_library_that_reports_turns_that_off() -> None:
    # Not at the collection: each process would read all files.
    importers = [path for path in FILES if path not in CHILDREN and REPORTING & set(imported(path))]
    assert len(importers) > 20
    assert [path for path in importers if not passes(path)] == []


@pytest.mark.server
@pytest.mark.parametrize(
    "package", ["kani", "kani.engines.whisper", "benchmarks", "tools", "websocket_server"]
)
def test_import_turns_telemetry_off_and_keeps_set_variables(package: str) -> None:
    code = f"import os, {package}; print(*(os.environ[name] for name in {sorted(no_telemetry.VARIABLES)}))"

    def values(**more: str) -> list[str]:
        return python("-c", code, env=BARE | more).stdout.split()

    assert values() == ["1"] * len(no_telemetry.VARIABLES)
    assert "0" in values(DO_NOT_TRACK="0")


@pytest.mark.server
def test_huggingface_hub_reads_the_variables() -> None:
    code = (
        "import kani; from huggingface_hub import constants as c; "
        "assert c.HF_HUB_DISABLE_TELEMETRY and c.HF_HUB_DISABLE_IMPLICIT_TOKEN; "
        "assert c.HF_HUB_DISABLE_UPDATE_CHECK"
    )
    python("-c", code, env=BARE)


@pytest.mark.server
@pytest.mark.skipif(STRACE is None, reason="no strace, which tells what a server sends")
async def test_a_default_server_sends_nothing_and_leaves_nothing(tmp_path: Path) -> None:
    with TracedServer(tmp_path) as server:
        await exercise(server, minutes=0, interruptions=1)
    left = server.outgoing()
    assert (left.files, left.elsewhere, left.questions) == ((), (), ())


def test_trace_shows_connections_to_other_machines(tmp_path: Path) -> None:
    (tmp_path / "trace").write_text(
        '1 connect(5, {sa_family=AF_INET, sin_port=htons(53), sin_addr=inet_addr("127.0.0.53")}, 16) = 0\n'
        '1 connect(5, {sa_family=AF_INET, sin_port=htons(443), sin_addr=inet_addr("203.0.113.7")}, 16) = 0\n'
        "1 connect(5, {sa_family=AF_INET6, sin6_port=htons(443), sin6_flowinfo=htonl(0), "
        'inet_pton(AF_INET6, "2001:db8::7", &sin6_addr), sin6_scope_id=0}, 28) = 0\n'
        '1 connect(5, {sa_family=AF_INET, sin_port=htons(8001), sin_addr=inet_addr("127.0.0.1")}, 16) = 0\n'
        '1 bind(5, {sa_family=AF_INET, sin_port=htons(8001), sin_addr=inet_addr("0.0.0.0")}, 16) = 0\n'
    )
    (tmp_path / ".cache" / "Microsoft").mkdir(parents=True)
    (tmp_path / ".cache" / "Microsoft" / "deviceid").touch()
    left = TracedServer(tmp_path).outgoing()
    assert left.files == (".cache/Microsoft/deviceid",)
    assert (len(left.questions), len(left.elsewhere)) == (1, 2)
