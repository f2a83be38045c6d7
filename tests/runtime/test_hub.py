"""Downloads from a model hub: only if allowed, once per model, and never for cached files."""

import asyncio
import errno
import json
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

import pytest
from huggingface_hub.errors import LocalEntryNotFoundError

from kani.runtime.errors import CheckpointError
from kani.runtime.hub import Hub as HubFiles
from tests.protocols import raw_site
from tests.runtime.conftest import Answering, served
from tests.support.patience import WITHIN_S


def find(name: str, cache: Path, *, may_fetch: bool = True) -> Path:
    return HubFiles(cache, may_fetch, lambda line: None).find(name)


class Hub(ThreadingHTTPServer):
    """A local model hub with one repository and a main branch that can move."""

    repository = "owner/name"

    def __init__(self, files: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), _HubHandler)
        self.files = files
        self.commit = "a" * 40
        self.card = {"license": "other", "license_name": "an-open-licence"}
        self.fails: dict[str, int] = {}
        self.asked: list[str] = []
        self.refused = False
        self.marks_files = True  # whether each file ends with its commit


class _HubHandler(Answering):
    server: Hub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        hub, path = self.server, unquote(self.path.partition("?")[0])
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
            if hub.refused:
                return self.answer(403, b"{}", {"X-Error-Code": "GatedRepo"})
            commit, _, name = path.removeprefix(files).partition("/")
            headers = {"ETag": f'"{commit[0]}{name}"', "X-Repo-Commit": commit}
            if name in hub.fails and self.command == "GET":
                self.close_connection = True
                return self.answer(hub.fails[name], b"half", headers | {"Content-Length": "1000"})
            mark = commit.encode() if hub.marks_files else b""
            return self.answer(200, hub.files[name] + mark, headers)
        return self.answer(404, b"{}", {"X-Error-Code": "RepoNotFound"})


NO_HUB = "http://127.0.0.1:9"


def use_hub(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    """Make huggingface_hub use this hub, as HF_ENDPOINT does at its start."""
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", address)
    template = address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    files = {"config.json": b"config ", "a.safetensors": b"weights ", "pytorch_model.bin": b"pickle "}
    with served(Hub(files)) as server:
        use_hub(monkeypatch, f"http://127.0.0.1:{server.server_port}")
        yield server


NO_PATH = r"neither .* nor a model's name on a hub \(OWNER/NAME\)"
REFUSED = {
    NO_PATH: ("name", "a/b/c", "/nowhere/at/all", "a/b@c@d", "a/b@../c", "a b/c", "é/b"),
    "is not a valid model name on a hub": ("a/..", "-a/b", "a--b/c", "a/b.git", "a" * 100 + "/b"),
    "cannot be fetched .*; give a folder that holds it": ("owner/name", "owner/name@v1.0"),
}


@pytest.mark.parametrize(("why", "name"), [(why, name) for why, names in REFUSED.items() for name in names])
def test_invalid_name_or_missing_network_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, why: str, name: str
) -> None:
    use_hub(monkeypatch, NO_HUB)
    with pytest.raises(CheckpointError, match=why) as refused:
        find(name, tmp_path)
    assert name in str(refused.value) and not (tmp_path / "revisions").exists()


def test_first_unnamed_revision_is_pinned_and_needs_no_further_request(tmp_path: Path, hub: Hub) -> None:
    with pytest.raises(CheckpointError, match=r"owner/name is not here.*--no-fetch.*--fetch"):
        find("owner/name", tmp_path, may_fetch=False)
    assert find(str(tmp_path), tmp_path / "cache") == tmp_path
    assert hub.asked == [] and list(tmp_path.iterdir()) == []
    assert find("owner/name@" + "b" * 40, tmp_path).name == "b" * 40
    first = find("owner/name", tmp_path)
    assert first.name == "a" * 40
    assert (first / "config.json").read_bytes() == b"config " + b"a" * 40
    assert sorted(path.name for path in first.iterdir()) == ["a.safetensors", "config.json"], "no pickle"
    assert not [path for path in hub.asked if path.endswith(".bin")]
    hub.commit = "b" * 40
    assert find("owner/name", tmp_path) == first
    hub.commit = "a" * 40
    names = ["owner/name@" + "a" * 40, "owner/name@main", "owner/name"]
    assert [find(name, tmp_path) for name in names] == [first] * 3
    hub.commit = "b" * 40
    hub.asked.clear()
    assert [find(name, tmp_path, may_fetch=False) for name in names] == [first] * 3
    assert find("owner/name", tmp_path) == first and hub.asked == []
    assert find("owner/name", tmp_path / "other").name == "b" * 40
    for missing in ("owner/other", "owner/name@v9"):
        with pytest.raises(CheckpointError, match=missing):
            find(missing, tmp_path)


@pytest.mark.parametrize(
    ("card", "licence"),
    [
        ({"license": "other", "license_name": "an-open-licence"}, "an-open-licence"),
        ({"license": "mit"}, "mit"),
        (None, "not named"),
    ],
)
def test_fetch_is_told_before(tmp_path: Path, hub: Hub, card: dict[str, str] | None, licence: str) -> None:
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


@pytest.mark.parametrize("status", [pytest.param(403, id="refused"), pytest.param(200, id="cut off")])
def test_broken_fetch_resumes(tmp_path: Path, hub: Hub, status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # The library tries again for a minute.
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)
    hub.fails["a.safetensors"] = status
    with pytest.raises(CheckpointError, match=r"owner/name cannot be fetched .*completed downloads are kept"):
        find("owner/name", tmp_path)
    with pytest.raises(CheckpointError, match="is not here"):
        find("owner/name", tmp_path, may_fetch=False)
    hub.fails.clear()
    hub.asked.clear()
    assert len(list(find("owner/name", tmp_path).iterdir())) == 2
    assert not [path for path in hub.asked if path.endswith("config.json")]


def test_full_disk_is_named_with_cure(tmp_path: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """No disk can be filled here: the hub's client fails as the system's write would."""

    def write(*_: object, local_files_only: bool, **__: object) -> str:
        if local_files_only:
            raise LocalEntryNotFoundError("nothing")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("kani.runtime.hub.snapshot_download", write)
    with pytest.raises(
        CheckpointError, match=rf"{hub.repository} does not fit on the disk of {tmp_path}: free"
    ):
        find(hub.repository, tmp_path)


def test_codec_is_exactly_one_nemo_file(tmp_path: Path, hub: Hub) -> None:
    find_codec = HubFiles(tmp_path / "cache", True, lambda line: None).find_codec
    file = tmp_path / "codec.nemo"
    file.touch()
    assert find_codec(str(file)) == find_codec(str(tmp_path)) == file
    (tmp_path / "other.nemo").touch()
    for name, count in ((str(tmp_path), 2), ("owner/name", 0)):
        with pytest.raises(CheckpointError, match=rf"{name} holds {count} files \*\.nemo"):
            find_codec(name)
    hub.files["c.nemo"] = b"codec "
    assert find_codec("owner/name").read_bytes() == b"codec " + b"a" * 40


def test_named_files_of_a_revision_are_fetched_once_each(tmp_path: Path, hub: Hub) -> None:
    """A revision that is here with only other files of it counts as missing."""
    files = HubFiles(tmp_path, True, lambda line: None)
    name = "owner/name@" + "b" * 40
    assert (files.find_files(name, ("config.json",)) / "config.json").is_file()
    folder = files.find_files(name, ("a.safetensors",))
    assert sorted(path.name for path in folder.iterdir()) == ["a.safetensors", "config.json"]
    hub.asked.clear()
    assert files.find_files(name, ("a.safetensors", "config.json")) == folder and not hub.asked
    with pytest.raises(CheckpointError, match="nothing-like-it@v1 is not here"):
        HubFiles(tmp_path, False, print).find_files("owner/nothing-like-it@v1", ("a.safetensors",))
    hub.refused = True
    with pytest.raises(CheckpointError, match=r"owner/name is gated: accept its terms at .*HF_TOKEN"):
        files.find_files("owner/name@" + "a" * 40, ("config.json",))


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        (b"", b"HTTP/1.1 100 C\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\na: ", b"b"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n", b" "),
        (b"HTTP/1.1 503 No\r\ntransfer-encoding: chunked\r\n\r\n", b"1\r\na\r\n"),
    ],
)
async def test_hub_that_drips_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, head: bytes, piece: bytes
) -> None:
    monkeypatch.setattr("kani.runtime.hub._GRACE_S", 0.3)
    async with raw_site.opened() as site, asyncio.timeout(WITHIN_S):
        site.otherwise = raw_site.endless(head, piece, pause_s=0.01)
        use_hub(monkeypatch, site.url(""))
        with pytest.raises(CheckpointError, match=r"cannot be fetched from the model hub \(TimeoutError\)"):
            await asyncio.to_thread(find, "owner/name", tmp_path)
