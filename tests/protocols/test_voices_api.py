"""The voices of a server, listed, kept and deleted over HTTP."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import httpx
import numpy as np
import pytest
from starlette.applications import Starlette

from kani.core.audio.pcm import wav
from kani.core.types import Samples
from kani.core.voices.consents import ConsentStore
from kani.core.voices.recording_advice import advice
from kani.engines.espeak.reference_voice import EspeakReferenceVoice
from kani.protocols.voices_api import routes
from tests.support.app_server import app_server
from tests.support.sessions import build
from tests.support.tone import ToneEngine

if TYPE_CHECKING:
    from tests.conftest import StartServer
    from tests.support.app_server import AppServer, StartApp

PATH = "/v1/audio/voices"
CONSENT = "This is my own voice and it may be used here."


@cache
def speech() -> tuple[Samples, int]:
    text = "Me llamo Ana. Esta es mi propia voz, y se puede usar aquí para leer textos en voz alta."
    rendered = asyncio.run(EspeakReferenceVoice().render(text, "es", 1.0))
    return rendered.samples, rendered.sample_rate


@cache
def recording(seconds: float = 3.5) -> bytes:
    samples, rate = speech()
    return wav(np.resize(samples, round(rate * seconds)), rate)


def encoded(codec: str, container_format: str) -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", container_format) as container:
        rate = 48_000 if codec == "libopus" else 22_050
        stream = container.add_stream(codec, rate=rate, layout="mono")
        with av.open(io.BytesIO(recording())) as source:
            for frame in source.decode(audio=0):
                container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


def form(audio: bytes | None = None, spoken: bytes | None = None, **fields: str) -> dict[str, Any]:
    """The arguments of a POST that keeps a voice; spoken: its consent; an empty field is left out."""
    given = {"name": "ana", "consent": CONSENT} | fields
    files = {"audio": ("ana.wav", recording() if audio is None else audio, "audio/wav")}
    if spoken is not None:
        files["consent_recording"] = ("consent.wav", spoken, "audio/wav")
    return {"data": {name: value for name, value in given.items() if value}, "files": files}


@pytest.fixture
def client(espeak_app: AppServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=espeak_app.http_url, timeout=300) as client:
        yield client
        for voice in client.get(PATH).json()["voices"]:
            if voice["kept"]:
                client.delete(f"{PATH}/{voice['id']}")


def test_built_in_voices_are_listed(client: httpx.Client) -> None:
    voices = client.get(PATH).json()["voices"]
    assert len(voices) > 10
    spanish = next(voice for voice in voices if voice["id"] == "espeak:es-419")
    assert spanish.keys() == {"id", "name", "language", "gender", "engine", "kept"}
    assert (spanish["language"], spanish["engine"], spanish["kept"]) == ("es-419", "espeak", False)


def test_voice_is_stored_listed_and_deleted(client: httpx.Client) -> None:
    answer = client.post(PATH, **form(language="spanish", description="warm"))
    assert answer.status_code == 201
    voice = answer.json()
    assert client.get(f"{PATH}/custom:ana").json() == client.get(f"{PATH}/ana").json() == voice
    assert voice in client.get(PATH).json()["voices"]
    assert datetime.now(UTC) - datetime.fromisoformat(voice.pop("consent_at")) < timedelta(minutes=1)
    reasons = [advice(each["code"], **each["values"]) for each in voice.pop("advice_reasons")]
    assert reasons == voice.pop("advice")
    assert voice == {
        "id": "custom:ana",
        "name": "ana",
        "language": "es",
        "gender": "",
        "engine": "espeak",
        "kept": True,
        "description": "warm",
        "duration_s": 3.5,
        "origin": "voices",
        "consent_recording": False,
        "renamed_at": None,
        "engines": [{"engine": "espeak", "cloning": "none", "state": "missing", "similarity": {}}],
    }
    assert client.delete(f"{PATH}/custom:ana").status_code == 204
    assert client.get(f"{PATH}/custom:ana").status_code == 404
    assert not any(voice["kept"] for voice in client.get(PATH).json()["voices"])


def test_built_in_voice_is_returned_by_id(client: httpx.Client) -> None:
    listed = {voice["id"]: voice for voice in client.get(PATH).json()["voices"]}
    assert client.get(f"{PATH}/espeak:es-419").json() == listed["espeak:es-419"]
    for path in ("espeak:es-419/sample", "nobody", "nobody/sample", "custom:nobody", "..%2f..%2fetc"):
        answer = client.get(f"{PATH}/{path}")
        assert answer.status_code == 404, path


@pytest.mark.parametrize(
    ("codec", "container_format", "kind", "extension"),
    [
        ("pcm_s16le", "wav", "audio/wav", "wav"),
        ("libmp3lame", "mp3", "audio/mpeg", "mp3"),
        ("libopus", "ogg", "audio/ogg", "ogg"),
        ("flac", "flac", "audio/flac", "flac"),
        ("aac", "ipod", "audio/mp4", "m4a"),
    ],
)
def test_recording_is_served_unchanged(
    client: httpx.Client, codec: str, container_format: str, kind: str, extension: str
) -> None:
    audio = encoded(codec, container_format)
    assert client.post(PATH, **form(audio, name="ñandú")).status_code == 201
    answer = client.get(f"{PATH}/custom:ñandú/sample")
    assert (answer.status_code, answer.content) == (200, audio)
    assert answer.headers["content-type"] == kind
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-disposition"] == f"inline; filename*=UTF-8''%C3%B1and%C3%BA.{extension}"


def test_consent_may_be_recording(client: httpx.Client) -> None:
    answer = client.post(PATH, **form(spoken=recording(2.0), consent=""))
    assert answer.status_code == 201 and answer.json()["consent_recording"] is True
    answer = client.post(PATH, **form(name="eva", consent=""))
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "consent")


@pytest.mark.parametrize("spoken", [b"", b"I agree.", recording(0.5), recording(61)])
def test_invalid_consent_recording_is_refused(client: httpx.Client, spoken: bytes) -> None:
    answer = client.post(PATH, **form(spoken=spoken))
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "consent_recording")
    data = {"name": "ana", "consent_recording": "I agree."}
    answer = client.post(PATH, data=data, files={"audio": ("a.wav", recording())})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "consent_recording")
    assert not any(voice["kept"] for voice in client.get(PATH).json()["voices"])


@pytest.mark.parametrize("prefix", ["", "custom:"])
def test_voice_is_renamed(client: httpx.Client, prefix: str) -> None:
    before = client.post(PATH, **form(language="es")).json()
    answer = client.patch(f"{PATH}/{prefix}ana", json={"name": " María "})
    assert answer.status_code == 200
    after = answer.json()
    assert after == client.get(f"{PATH}/custom:María").json()
    assert after.pop("renamed_at") and before.pop("renamed_at") is None
    assert after == before | {"id": "custom:María", "name": "María"}
    assert client.get(f"{PATH}/custom:ana").status_code == 404
    assert client.get(f"{PATH}/custom:María/sample").content == recording()


def test_invalid_rename_changes_nothing(client: httpx.Client) -> None:
    for name in ("ana", "eva"):
        assert client.post(PATH, **form(name=name)).status_code == 201
    listed = client.get(PATH).json()
    for voice, body, status, param in (
        ("custom:ana", b'{"name": "eva"}', 409, "name"),
        ("custom:ana", b'{"name": "../eva"}', 400, "name"),
        ("custom:ana", b'{"name": ""}', 400, "name"),
        ("custom:ana", b'{"name": 1}', 400, "name"),
        ("custom:ana", b'{"name": "x", "consent": "y"}', 400, "name"),
        ("custom:ana", b"{}", 400, "name"),
        ("custom:ana", b"name=x", 400, "name"),
        ("custom:ana", b'{"name": "x", "y": ' + b"[" * 1000 + b"]" * 1000 + b"}", 400, "name"),
        ("custom:ana", b'{"name": "\xff"}', 400, "name"),
        ("custom:ana", b'{"name": "\\ud800"}', 400, "name"),
        ("custom:ana", b" " * 20_000, 413, None),
        ("custom:nobody", b'{"name": "x"}', 404, "voice"),
        ("espeak:es-419", b'{"name": "x"}', 404, "voice"),
    ):
        answer = client.patch(f"{PATH}/{voice}", content=body)
        assert (answer.status_code, answer.json()["error"]["param"]) == (status, param), body
        assert answer.json()["error"]["message"]
        assert client.get(PATH).json() == listed


def test_concurrent_requests_cannot_share_name(client: httpx.Client) -> None:
    assert client.post(PATH, **form(name="old")).status_code == 201

    def attempt(number: int) -> int:
        if number == 0:
            return client.patch(f"{PATH}/custom:old", json={"name": "ana"}).status_code
        return client.post(PATH, **form(recording(3.0 + number))).status_code

    with ThreadPoolExecutor(4) as pool:
        answers = sorted(pool.map(attempt, range(4)))
    assert answers[0] in (200, 201) and answers[1:] == [409, 409, 409]
    names = [voice["name"] for voice in client.get(PATH).json()["voices"] if voice["kept"]]
    assert names in (["ana"], ["ana", "old"])


@pytest.mark.parametrize("prefix", ["", "custom:"])
def test_voice_is_deleted_by_name_or_id(client: httpx.Client, prefix: str) -> None:
    assert client.post(PATH, **form(name="ñandú")).status_code == 201
    assert client.delete(f"{PATH}/{prefix}ñandú").status_code == 204
    answer = client.delete(f"{PATH}/{prefix}ñandú")
    assert answer.status_code == 404
    assert answer.json()["error"]["param"] == "voice" and "unknown voice" in answer.json()["error"]["message"]


def test_built_in_voice_cannot_be_deleted(client: httpx.Client) -> None:
    assert client.delete(f"{PATH}/espeak:es-419").status_code == 404


def test_duplicate_name_is_conflict(client: httpx.Client) -> None:
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
def test_invalid_field_is_named(client: httpx.Client, fields: dict[str, str], param: str) -> None:
    answer = client.post(PATH, **form(**fields))
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
    assert answer.json()["error"]["message"].startswith(f"{param}: ")
    assert not any(voice["kept"] for voice in client.get(PATH).json()["voices"])


@pytest.mark.parametrize("audio", [b"", b"not audio at all", recording()[:60], recording(0.5), recording(61)])
def test_invalid_recording_is_refused(client: httpx.Client, audio: bytes) -> None:
    answer = client.post(PATH, **form(audio))
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "audio")


def test_form_without_file_is_refused(client: httpx.Client) -> None:
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
def test_invalid_form_is_refused(client: httpx.Client, content_type: str, body: bytes) -> None:
    answer = client.post(PATH, content=body, headers={"content-type": content_type})
    assert answer.status_code == 400 and answer.json()["error"]["message"]


def test_oversized_upload_is_stopped(client: httpx.Client) -> None:
    def endless() -> Iterator[bytes]:
        yield b'--b\r\ncontent-disposition: form-data; name="audio"; filename="a.wav"\r\n\r\n'
        for _ in range(16):
            yield bytes(2**20)
        yield b"\r\n--b--\r\n"

    answer = client.post(PATH, content=endless(), headers={"content-type": "multipart/form-data; boundary=b"})
    assert (answer.status_code, answer.json()["error"]["param"]) == (413, "audio")


@pytest.mark.parametrize("field", ["audio", "consent_recording"])
def test_oversized_recording_is_refused(client: httpx.Client, field: str) -> None:
    large = {"audio": "audio", "consent_recording": "spoken"}[field]
    answer = client.post(PATH, **form(**{large: bytes(10 * 2**20 + 1)}))
    assert (answer.status_code, answer.json()["error"]["param"]) == (413, field)


async def test_similarity_is_reported_for_each_engine(tmp_path: Path) -> None:
    service = build(tmp_path, ToneEngine(clones=True))
    await service.start()
    transport = httpx.ASGITransport(Starlette(routes=routes(service, ConsentStore(tmp_path))))
    foreseen = {"before": 0.5, "now": 0.6, "measured": False}
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        (likeness,) = (await client.post(PATH, **form(language="es"))).json()["engines"]
        assert (likeness["engine"], likeness["cloning"]) == ("tone", "nearest voice")
        assert likeness["state"] in ("refining", "ready")
        assert likeness["similarity"]["en"] == foreseen
        while likeness["state"] != "ready":
            (likeness,) = (await client.get(f"{PATH}/custom:ana")).json()["engines"]
        assert likeness["similarity"] == {"es": {"before": 0.5, "now": 0.8, "measured": True}, "en": foreseen}
        assert (await client.get(PATH)).json()["voices"][-1]["engines"] == [likeness]
    await service.stop()


def test_stored_voices_survive_restart(tmp_path: Path) -> None:
    for status in (201, 409):
        with app_server(tmp_path) as server:
            assert httpx.post(f"{server.http_url}{PATH}", **form()).status_code == status


def test_store_of_newer_version_is_refused(start_server: StartServer, tmp_path: Path) -> None:
    (tmp_path / "voices").mkdir()
    (tmp_path / "voices" / "version").write_text("3\n")
    server = start_server("--engine", "espeak", ready=False, KANI_DATA_DIR=str(tmp_path))
    assert server.wait() == 1
    assert "newer version of this server" in server.terminal and "start that one" in server.terminal


def test_unwritable_store_is_reported(start_app: StartApp, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    server = start_app(KANI_DATA_DIR=str(tmp_path / "file"))
    answer = httpx.post(f"{server.http_url}{PATH}", **form())
    assert answer.status_code == 507
    assert str(tmp_path) not in answer.text
    assert httpx.get(f"{server.http_url}/health").status_code == 200
