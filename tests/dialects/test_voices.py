"""The voices of a server, listed, kept and deleted over HTTP."""

from __future__ import annotations

import io
import struct
import wave
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import httpx
import pytest

if TYPE_CHECKING:
    from tests.conftest import ServerProcess, StartServer

PATH = "/v1/audio/voices"
CONSENT = "This is my own voice and it may be used here."


def recording(seconds: float = 3.5) -> bytes:
    """A WAV file of a sawtooth, 8 kHz."""
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(8000)
        out.writeframes(b"".join(struct.pack("<h", 100 * (n % 80)) for n in range(round(8000 * seconds))))
    return file.getvalue()


def form(audio: bytes | None = None, **fields: str) -> dict[str, Any]:
    """The arguments of a POST that keeps a voice; an empty field is left out."""
    given = {"name": "ana", "consent": CONSENT} | fields
    files = {"audio": ("ana.wav", recording() if audio is None else audio, "audio/wav")}
    return {"data": {name: value for name, value in given.items() if value}, "files": files}


@pytest.fixture
def client(espeak_server: ServerProcess) -> Iterator[httpx.Client]:
    """A client of the server; no voice stays behind."""
    with httpx.Client(base_url=espeak_server.http_url, timeout=30) as client:
        yield client
        for voice in client.get(PATH).json()["voices"]:
            if voice["kept"]:
                client.delete(f"{PATH}/{voice['id']}")


def test_the_engines_voices_are_listed(client: httpx.Client) -> None:
    """Each voice says its id, name, language, gender and engine, and that nobody added it."""
    voices = client.get(PATH).json()["voices"]
    assert len(voices) > 10
    spanish = next(voice for voice in voices if voice["id"] == "espeak:es-419")
    assert spanish.keys() == {"id", "name", "language", "gender", "engine", "kept"}
    assert (spanish["language"], spanish["engine"], spanish["kept"]) == ("es-419", "espeak", False)


def test_a_voice_is_kept_listed_and_deleted(client: httpx.Client) -> None:
    """A recording with consent becomes custom:NAME, and is gone once it is deleted."""
    answer = client.post(PATH, **form(language="spanish", description="warm"))
    kept = {
        "id": "custom:ana",
        "name": "ana",
        "language": "es",
        "gender": "",
        "engine": "espeak",
        "kept": True,
    }
    assert (answer.status_code, answer.json()) == (201, kept)
    assert kept in client.get(PATH).json()["voices"]
    assert client.delete(f"{PATH}/custom:ana").status_code == 204
    assert kept not in client.get(PATH).json()["voices"]


@pytest.mark.parametrize("prefix", ["", "custom:"])
def test_a_voice_is_deleted_by_name_or_id(client: httpx.Client, prefix: str) -> None:
    """DELETE takes the id with or without custom:, and answers 404 to what is not there."""
    assert client.post(PATH, **form(name="ñandú")).status_code == 201
    assert client.delete(f"{PATH}/{prefix}ñandú").status_code == 204
    answer = client.delete(f"{PATH}/{prefix}ñandú")
    assert answer.status_code == 404
    assert answer.json()["error"]["param"] == "voice" and "unknown voice" in answer.json()["error"]["message"]


def test_built_in_voices_cannot_be_deleted(client: httpx.Client) -> None:
    """An engine's voice is none of those that are kept."""
    assert client.delete(f"{PATH}/espeak:es-419").status_code == 404


def test_a_name_is_given_once(client: httpx.Client) -> None:
    """A second voice of the same name is a conflict, and the first stays."""
    assert client.post(PATH, **form()).status_code == 201
    answer = client.post(PATH, **form())
    assert answer.status_code == 409 and answer.json()["error"]["param"] == "name"
    assert sum(voice["id"] == "custom:ana" for voice in client.get(PATH).json()["voices"]) == 1


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"name": ""}, "name"),
        ({"name": "../etc/passwd"}, "name"),
        ({"name": "a" * 65}, "name"),
        ({"consent": ""}, "consent"),
        ({"consent": "  "}, "consent"),
        ({"language": "klingonish"}, "language"),
        ({"description": "x" * 2001}, "description"),
    ],
)
def test_a_wrong_field_is_named(client: httpx.Client, fields: dict[str, str], param: str) -> None:
    """A field that is missing or cannot be taken is 400, by its name; nothing is kept."""
    answer = client.post(PATH, **form(**fields))
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
    assert answer.json()["error"]["message"].startswith(f"{param}: ")
    assert not any(voice["kept"] for voice in client.get(PATH).json()["voices"])


@pytest.mark.parametrize("audio", [b"", b"not audio at all", recording()[:60], recording(0.5), recording(61)])
def test_what_is_no_fit_recording_is_refused(client: httpx.Client, audio: bytes) -> None:
    """Something that is no audio, or too short, or too long, is 400 for the field audio."""
    answer = client.post(PATH, **form(audio))
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "audio")


def test_a_form_without_a_file_is_refused(client: httpx.Client) -> None:
    """The audio has to be a file of the form."""
    answer = client.post(PATH, data={"name": "ana", "consent": "yes", "audio": "ana.wav"}, files={"x": b""})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "audio")


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", b"{}"),
        ("multipart/form-data", b"x"),
        ("multipart/form-data; boundary=b", b"nonsense"),
        ("multipart/form-data; boundary=b", b"--b\r\ncontent-disposition: form-data\r\n\r\nx\r\n--b--\r\n"),
        ("multipart/form-data; boundary=b", b"--b\r\n\r\n"),
    ],
)
def test_what_is_no_form_is_refused(client: httpx.Client, content_type: str, body: bytes) -> None:
    """A body that is not the form that was announced is 400, not a failure."""
    answer = client.post(PATH, content=body, headers={"content-type": content_type})
    assert answer.status_code == 400 and answer.json()["error"]["message"]


def test_too_large_an_upload_is_stopped_on_the_way(client: httpx.Client) -> None:
    """An upload that goes on beyond 10 MiB is 413, though its length was never told."""

    def endless() -> Iterator[bytes]:
        yield b'--b\r\ncontent-disposition: form-data; name="audio"; filename="a.wav"\r\n\r\n'
        for _ in range(12):
            yield bytes(2**20)
        yield b"\r\n--b--\r\n"

    answer = client.post(PATH, content=endless(), headers={"content-type": "multipart/form-data; boundary=b"})
    assert (answer.status_code, answer.json()["error"]["param"]) == (413, "audio")


def test_kept_voices_outlive_the_server(start_server: StartServer, tmp_path: Any) -> None:
    """A voice is still there when the server has been started anew."""
    for status in (201, 409):
        server = start_server("--engine", "espeak", KANI_DATA_DIR=str(tmp_path))
        assert httpx.post(f"{server.http_url}{PATH}", **form()).status_code == status
        server.stop()


def test_a_folder_that_cannot_be_written_is_said(start_server: StartServer, tmp_path: Any) -> None:
    """Where nothing can be written, the client is told so and the server goes on."""
    (tmp_path / "file").write_bytes(b"")
    server = start_server("--engine", "espeak", KANI_DATA_DIR=str(tmp_path / "file"))
    answer = httpx.post(f"{server.http_url}{PATH}", **form())
    assert answer.status_code == 507
    assert str(tmp_path) not in answer.text
    assert httpx.get(f"{server.http_url}/health").status_code == 200
