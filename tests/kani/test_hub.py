"""A model hub: asked only with leave, once for each model, and never for what is here already."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from kani.hub import Hub as HubFiles
from kani.tokens import CheckpointError


def find(name: str, cache: Path, *, may_fetch: bool = True) -> Path:
    """The folder of a model, by this cache."""
    return HubFiles(cache, may_fetch, lambda line: None).find(name)


def find_codec(name: str, cache: Path) -> Path:
    """The file of a codec, by this cache."""
    return HubFiles(cache, True, lambda line: None).find_codec(name)


class Hub(ThreadingHTTPServer):
    """A model hub on this machine: one repository, whose main branch moves when it is told to."""

    repository = "owner/name"

    def __init__(self, files: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), _HubHandler)
        self.files = files
        self.commit = "a" * 40
        self.card = {"license": "other", "license_name": "an-open-licence"}
        self.fails: dict[str, int] = {}
        self.asked: list[str] = []


class _HubHandler(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Be quiet."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        hub, path = self.server, self.path.partition("?")[0]
        hub.asked.append(path)
        models = f"/api/models/{hub.repository}"
        api, tree, files = f"{models}/revision/", f"{models}/tree/", f"/{hub.repository}/resolve/"
        if path.startswith(api):
            revision = path.removeprefix(api)
            if revision not in ("main", "a" * 40, "b" * 40):
                return self.answer(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
            commit = hub.commit if revision == "main" else revision
            siblings = [{"rfilename": name, "size": 1_000_000} for name in hub.files]
            content = {"id": hub.repository, "sha": commit, "siblings": siblings, "cardData": hub.card}
            return self.answer(200, json.dumps(content).encode(), {"Content-Type": "application/json"})
        if path.startswith(tree):
            entries = [{"type": "file", "path": n, "size": 1, "oid": "0"} for n in hub.files]
            return self.answer(200, json.dumps(entries).encode(), {"Content-Type": "application/json"})
        if path.startswith(files):
            commit, _, name = path.removeprefix(files).partition("/")
            headers = {"ETag": f'"{commit[0]}{name}"', "X-Repo-Commit": commit}
            if name in hub.fails and self.command == "GET":
                return self.answer(hub.fails[name], b"half", headers | {"Content-Length": "1000"})
            return self.answer(200, hub.files[name] + commit.encode(), headers)
        return self.answer(404, b"{}", {"X-Error-Code": "RepoNotFound"})

    def answer(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(content))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)


NO_HUB = "http://127.0.0.1:9"


def ask(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    """Have huggingface_hub ask this hub, as HF_ENDPOINT does at its start."""
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", address)
    template = address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub that huggingface_hub asks."""
    server = Hub({"config.json": b"config ", "a.safetensors": b"weights ", "pytorch_model.bin": b"pickle "})
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    ask(monkeypatch, f"http://127.0.0.1:{server.server_port}")
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_folder_is_found_where_it_is(tmp_path: Path) -> None:
    """A folder's path is not looked for on any hub."""
    assert find(str(tmp_path), tmp_path / "cache") == tmp_path
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["name", "a/b/c", "/nowhere/at/all", "a/b@c@d", "a/b@../c", "a b/c", "é/b"])
def test_what_is_neither_folder_nor_name_is_refused(tmp_path: Path, name: str) -> None:
    """The message says what would do."""
    with pytest.raises(CheckpointError, match=r"neither .* nor a model's name on a hub \(OWNER/NAME\)"):
        find(name, tmp_path)


@pytest.mark.parametrize("name", ["a/..", "-a/b", "a--b/c", "a/b.git", "a" * 100 + "/b"])
def test_a_name_that_no_hub_has_is_refused(tmp_path: Path, name: str) -> None:
    """Before anything is asked or written."""
    with pytest.raises(CheckpointError, match="is not a valid model name on a hub"):
        find(name, tmp_path)
    assert not (tmp_path / "revisions").exists()


@pytest.mark.parametrize("name", ["owner/name", "owner/name@v1.0"])
def test_without_a_network_the_message_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """And nothing is kept that would be taken for the model later."""
    ask(monkeypatch, NO_HUB)
    with pytest.raises(CheckpointError, match=f"{name} cannot be fetched .*; give a folder that holds it"):
        find(name, tmp_path)
    assert not (tmp_path / "revisions").exists()


def test_what_was_heard_yesterday_is_heard_tomorrow(
    tmp_path: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commit of the first fetch is kept, though the hub's main branch moves, and without a network."""
    first = find("owner/name", tmp_path)
    assert first.name == "a" * 40
    assert (first / "config.json").read_bytes() == b"config " + b"a" * 40
    assert sorted(path.name for path in first.iterdir()) == ["a.safetensors", "config.json"]
    hub.commit = "b" * 40
    assert find("owner/name", tmp_path) == first
    assert find("owner/name", tmp_path / "other").name == "b" * 40
    ask(monkeypatch, NO_HUB)
    assert find("owner/name", tmp_path) == first


@pytest.mark.parametrize("name", ["owner/name", "owner/name@" + "a" * 40, "owner/name@main"])
def test_the_hub_is_asked_nothing_for_what_is_here(tmp_path: Path, hub: Hub, name: str) -> None:
    """The second start sends nothing, and needs no leave to fetch."""
    first = find(name, tmp_path)
    hub.asked.clear()
    assert find(name, tmp_path, may_fetch=False) == first
    assert hub.asked == []


def test_nothing_is_fetched_without_leave(tmp_path: Path, hub: Hub) -> None:
    """Without leave the hub is not asked, and the message names what is missing and the cure."""
    with pytest.raises(CheckpointError, match=r"owner/name is not here.*--no-fetch.*--fetch"):
        find("owner/name", tmp_path, may_fetch=False)
    assert hub.asked == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("card", "licence"),
    [
        ({"license": "other", "license_name": "an-open-licence"}, "an-open-licence"),
        ({"license": "mit"}, "mit"),
        (None, "not named"),
    ],
)
def test_a_fetch_says_size_licence_and_revision_first(
    tmp_path: Path, hub: Hub, card: dict[str, str] | None, licence: str
) -> None:
    """Of the files that are taken, before any of them is asked for."""
    hub.card = card
    asked: list[list[str]] = []
    lines: list[str] = []

    def told(line: str) -> None:
        lines.append(line)
        asked.append([path for path in hub.asked if "/resolve/" in path])

    HubFiles(tmp_path, True, told).find("owner/name")
    (line,) = lines
    assert line.startswith(f"fetching owner/name at revision {'a' * 40} (2 MB, licence: {licence}, see http")
    assert asked == [[]]


@pytest.mark.parametrize(
    "status",
    [
        pytest.param(403, id="refused"),
        # huggingface_hub tries again for a minute.
        pytest.param(200, id="cut off", marks=pytest.mark.slow),
    ],
)
def test_a_fetch_that_fails_goes_on_with_the_next(tmp_path: Path, hub: Hub, status: int) -> None:
    """What came whole is kept, half a model is never taken for one, and the message says what to do."""
    hub.fails["a.safetensors"] = status
    with pytest.raises(CheckpointError, match=r"owner/name cannot be fetched .*completed downloads are kept"):
        find("owner/name", tmp_path)
    with pytest.raises(CheckpointError, match="is not here"):
        find("owner/name", tmp_path, may_fetch=False)
    hub.fails.clear()
    hub.asked.clear()
    assert len(list(find("owner/name", tmp_path).iterdir())) == 2
    assert not [path for path in hub.asked if path.endswith("config.json")]


def test_a_named_revision_is_taken_and_not_kept(tmp_path: Path, hub: Hub) -> None:
    """One request's @REVISION does not become everybody's."""
    assert find("owner/name@" + "b" * 40, tmp_path).name == "b" * 40
    assert find("owner/name", tmp_path).name == "a" * 40


def test_pickles_are_not_even_fetched(tmp_path: Path, hub: Hub) -> None:
    """Of a hub's repository only JSON and safetensors files are asked for."""
    find("owner/name", tmp_path)
    assert not [path for path in hub.asked if path.endswith(".bin")]


def test_a_repository_or_revision_that_is_not_there_is_named(tmp_path: Path, hub: Hub) -> None:
    """The message holds the name that was asked for."""
    with pytest.raises(CheckpointError, match="owner/other"):
        find("owner/other", tmp_path)
    with pytest.raises(CheckpointError, match="owner/name@v9"):
        find("owner/name@v9", tmp_path)


def test_a_codec_is_one_nemo_file(tmp_path: Path, hub: Hub) -> None:
    """Given itself, alone in a folder, or from a hub; none or two are refused."""
    file = tmp_path / "codec.nemo"
    file.touch()
    assert find_codec(str(file), tmp_path) == find_codec(str(tmp_path), tmp_path) == file
    (tmp_path / "other.nemo").touch()
    with pytest.raises(CheckpointError, match=r"holds 2 \.nemo files"):
        find_codec(str(tmp_path), tmp_path)
    with pytest.raises(CheckpointError, match=r"owner/name holds 0 \.nemo files"):
        find_codec("owner/name", tmp_path / "cache")
    hub.files["c.nemo"] = b"codec "
    assert find_codec("owner/name", tmp_path / "new").read_bytes() == b"codec " + b"a" * 40
