"""The code blocks of the documents run as they are written, or say why not."""

import json
import os
import tomllib
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
import yaml

from tests.conftest import ServerProcess, server_process
from tests.snippets import REAL, ROOT, RUNNER, Snippet, check, run_shell, snippets
from tests.support.patience import WITHIN_S
from tests.support.programs import python

SHELL = [snippet for snippet in snippets("bash") if snippet.reason is None]
WITH_SERVER = [snippet for snippet in SHELL if any(real in snippet.code for real in REAL)]
WITHOUT_SERVER = [snippet for snippet in SHELL if snippet not in WITH_SERVER]

RUN_ELSEWHERE = {
    "docs/library.md": "tests/library/test_library.py",
    "docs/integration_guide.md": "tests/cli/test_integration_guide.py",
}
"""Pages with Python that tests of their own run."""

ENDS = {
    "README.md": "assert await greet(lambda audio, metadata: None)",
    "docs/elevenlabs.md": 'assert b"".join(audio)',
}
"""What calls the functions of a page, after its blocks."""

PYTHON = [one for one in snippets("python") if one.reason is None and one.page not in RUN_ELSEWHERE]

SPEECH = "The train to the coast leaves at noon, and it arrives at the harbour in the afternoon."


def test_every_kind_of_block_has_a_test() -> None:
    kinds = {"bash", "python", "json", "toml", "yaml", "promql"}
    others = [one for one in snippets(r"\w+", "js", "nginx") if one.language not in kinds]
    assert others and all(one.reason for one in others)
    marked = [one for one in snippets(*kinds, "js", "nginx") if one.reason]
    assert len(marked) < 20 and all(len((one.reason or "").split()) > 1 for one in marked)


@pytest.mark.parametrize("snippet", snippets("json", "toml", "yaml"), ids=str)
def test_data_can_be_read(snippet: Snippet) -> None:
    match snippet.language:
        case "toml":
            assert tomllib.loads(snippet.code)
        case "yaml":
            assert yaml.safe_load(snippet.code)
        case _ if snippet.code.count("\n{") and "\n}" not in snippet.code:
            assert [json.loads(line) for line in snippet.code.splitlines()]
        case _:
            assert json.loads(snippet.code)


@pytest.mark.parametrize("snippet", WITHOUT_SERVER, ids=str)
def test_command_is_accepted(snippet: Snippet, tmp_path: Path) -> None:
    folder = tmp_path / "clone"
    folder.mkdir()
    calls = run_shell(snippet.code, folder)
    assert calls
    for call in calls:
        check(call)


KEYS = [one for one in SHELL if "secrets.token_hex" in one.code]


@pytest.mark.parametrize("snippet", KEYS, ids=str)
def test_key_that_a_page_makes_is_its_users_alone(snippet: Snippet, tmp_path: Path) -> None:
    assert len(KEYS) == 3
    (tmp_path / ".env").touch(0o644)
    run_shell("\n".join(snippet.code.splitlines()[:2]), tmp_path)
    assert (tmp_path / ".env").stat().st_mode & 0o077 == 0
    assert (tmp_path / ".env").read_text(encoding="utf-8").startswith("KANI_API_KEYS=")


@pytest.fixture(scope="module")
def snippet_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server of these tests' own, as they store voices."""
    with server_process(tmp_path_factory.mktemp("server"), "--engine", "espeak") as running:
        yield running


@pytest.fixture
def folder(snippet_server: ServerProcess, tmp_path: Path) -> Iterator[Path]:
    """A folder with the recordings and texts that documents name; voices are removed afterwards."""
    clone = tmp_path / "clone"
    clone.mkdir()
    with httpx2.Client(base_url=snippet_server.http_url, timeout=WITHIN_S) as client:
        for name, file_format in (("ana.wav", "wav"), ("meeting.mp3", "mp3"), ("reunion.m4a", "aac")):
            spoken = {"input": SPEECH, "voice": "alloy", "response_format": file_format, "stream": False}
            (clone / name).write_bytes(client.post("/v1/audio/speech", json=spoken).read())
        for name in ("consent.wav", "recording.wav"):
            (clone / name).write_bytes((clone / "ana.wav").read_bytes())
        (clone / "book.txt").write_text(SPEECH, encoding="utf-8")
        yield clone
        client.delete("/v1/audio/voices/custom:ana")


@pytest.mark.server
@pytest.mark.parametrize("snippet", WITH_SERVER, ids=str)
def test_command_runs(snippet: Snippet, snippet_server: ServerProcess, folder: Path) -> None:
    for call in run_shell(snippet.code, folder, snippet_server.url):
        check(call)
    for path in folder.glob("*.wav"):
        assert path.stat().st_size > 1000, path.name


@pytest.mark.server
def test_python_of_the_pages_runs(snippet_server: ServerProcess, folder: Path) -> None:
    pages = {
        page: "\n".join([*(one.code for one in PYTHON if one.page == page), ENDS.get(page, "")])
        for page in sorted({one.page for one in PYTHON})
    }
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'examples'}"}
    given = json.dumps(pages).replace("8001", str(snippet_server.port))
    python("-c", RUNNER, given=given, cwd=folder, env=environment)
