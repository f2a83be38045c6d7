"""Published files: where they are looked for, verified, fetched and kept."""

import hashlib
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.runtime.conftest import Answering, served
from tools.published.weights import NotFound, WeightFile, load

CONTENT = bytes(range(256)) * 16


class Publisher(ThreadingHTTPServer):
    daemon_threads = True
    content = CONTENT
    asked = 0


class _Handler(Answering):
    server: Publisher

    def do_GET(self) -> None:
        self.server.asked += 1
        self.answer(200, self.server.content, {"Content-Length": str(len(self.server.content))})


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    with served(Publisher(("127.0.0.1", 0), _Handler)) as server:
        yield server


@pytest.fixture
def weight(publisher: Publisher) -> WeightFile:
    parts = (("weights_half_a", "part.bin"), ("weights_half_b", "part.bin"))
    url = f"http://127.0.0.1:{publisher.server_address[1]}/model"
    return WeightFile("model.bin", hashlib.sha256(CONTENT).hexdigest(), len(CONTENT), parts, url)


def test_packages_come_first_and_a_broken_one_is_fetched(
    weight: WeightFile, publisher: Publisher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, half in (("weights_half_a", CONTENT[:1000]), ("weights_half_b", CONTENT[1000:])):
        (tmp_path / "site" / name).mkdir(parents=True)
        (tmp_path / "site" / name / "__init__.py").touch()
        (tmp_path / "site" / name / "part.bin").write_bytes(half)
    monkeypatch.syspath_prepend(tmp_path / "site")
    assert (load(weight, tmp_path), publisher.asked) == (CONTENT, 0)
    (tmp_path / "site" / "weights_half_b" / "part.bin").write_bytes(b"broken")
    assert (load(weight, tmp_path), publisher.asked) == (CONTENT, 1)
    assert (load(weight, tmp_path), publisher.asked) == (CONTENT, 1)  # kept


@pytest.mark.parametrize("content", [CONTENT[::-1], CONTENT * 4], ids=["changed", "longer"])
def test_wrong_published_file_is_never_kept(
    weight: WeightFile, publisher: Publisher, tmp_path: Path, content: bytes
) -> None:
    publisher.content = content
    with pytest.raises(NotFound, match="fails its SHA-256"):
        load(weight, tmp_path)
    assert not list(tmp_path.iterdir())
    publisher.shutdown()
    publisher.server_close()
    with pytest.raises(NotFound, match="http"):
        load(weight, tmp_path)
