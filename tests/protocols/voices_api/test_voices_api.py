"""The voices of a server, listed, kept, deleted and heard in previews over HTTP."""

import asyncio
import shutil
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from starlette.applications import Starlette

from kani.core.audio.pcm import decode_recording, wav
from kani.core.voices.recording_check import advice
from kani.core.voices.store import ConsentStore, NewVoice
from kani.engines.espeak.engine import EspeakReferenceVoice
from kani.protocols.voices_api.preview import PreviewCache
from kani.protocols.voices_api.protocol import routes
from tests.core.audio.test_pcm import encoded
from tests.support.patience import happens
from tests.support.servers.app_server import KEY, AppServer, StartApp, app_server
from tests.support.sessions import started
from tests.support.tone import ToneEngine

PATH = "/v1/audio/voices"
CONSENT = "This is my own voice and it may be used here."


@cache
def recording(seconds: float = 3.5) -> bytes:
    text = "Me llamo Ana. Esta es mi propia voz, y se puede usar aquí para leer textos en voz alta."
    spoken = asyncio.run(EspeakReferenceVoice().render(text, "es", 1.0))
    return wav(np.resize(spoken.samples, round(spoken.sample_rate * seconds)), spoken.sample_rate)


def form(audio: bytes | None = None, spoken: bytes | None = None, **fields: str) -> dict[str, Any]:
    """The arguments of a POST that keeps a voice; spoken: its consent; an empty field is left out."""
    given = {"name": "ana", "consent": CONSENT} | fields
    files = {"audio": ("ana.wav", recording() if audio is None else audio, "audio/wav")}
    if spoken is not None:
        files["consent_recording"] = ("consent.wav", spoken, "audio/wav")
    return {"data": {name: value for name, value in given.items() if value}, "files": files}


@pytest.fixture
def client(espeak_app: AppServer) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=espeak_app.http_url) as client:
        yield client
        for voice in client.get(PATH).json()["voices"]:
            if voice["kept"]:
                client.delete(f"{PATH}/{voice['id']}")


def test_built_in_voices_are_listed_returned_and_stay(client: httpx2.Client) -> None:
    voices = client.get(PATH).json()["voices"]
    assert len(voices) > 10
    spanish = next(voice for voice in voices if voice["id"] == "espeak:es-419")
    assert spanish.keys() == {"id", "name", "language", "gender", "engine", "kept"}
    assert (spanish["language"], spanish["engine"], spanish["kept"]) == ("es-419", "espeak", False)
    listed = {voice["id"]: voice for voice in client.get(PATH).json()["voices"]}
    assert client.get(f"{PATH}/espeak:es-419").json() == listed["espeak:es-419"]
    for path in ("espeak:es-419/sample", "nobody", "nobody/sample", "custom:nobody", "..%2f..%2fetc"):
        assert client.get(f"{PATH}/{path}").status_code == 404, path
    for answer in (client.delete(f"{PATH}/{voice}") for voice in ("espeak:es-419", "alloy")):
        assert answer.status_code == 404 and "built-in voices cannot be changed or deleted" in answer.text


def test_voice_is_stored_listed_and_deleted(client: httpx2.Client) -> None:
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
    # The consent may be a recording.
    answer = client.post(PATH, **form(spoken=recording(2.0), consent=""))
    assert answer.status_code == 201 and answer.json()["consent_recording"] is True


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
    client: httpx2.Client, codec: str, container_format: str, kind: str, extension: str
) -> None:
    rate = 48_000 if codec == "libopus" else 22_050
    audio = encoded(container_format, codec, decode_recording(recording(8.0)).samples, rate)
    assert client.post(PATH, **form(audio, name="ñandú")).status_code == 201
    answer = client.get(f"{PATH}/custom:ñandú/sample")
    assert (answer.status_code, answer.content) == (200, audio)
    assert answer.headers["content-type"] == kind
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-disposition"] == f"inline; filename*=UTF-8''%C3%B1and%C3%BA.{extension}"


def test_voice_is_renamed(client: httpx2.Client) -> None:
    before = client.post(PATH, **form(language="es")).json()
    for voice, name in (("ana", "eva"), ("custom:eva", " María ")):
        answer = client.patch(f"{PATH}/{voice}", json={"name": name})
        assert answer.status_code == 200
    after = answer.json()
    assert after == client.get(f"{PATH}/custom:María").json()
    assert after.pop("renamed_at") and before.pop("renamed_at") is None
    assert after == before | {"id": "custom:María", "name": "María"}
    for gone in ("custom:ana", "custom:eva"):
        assert client.get(f"{PATH}/{gone}").status_code == 404
    assert client.get(f"{PATH}/custom:María/sample").content == recording()


def test_invalid_rename_changes_nothing(client: httpx2.Client) -> None:
    for name in ("ana", "eva"):
        assert client.post(PATH, **form(name=name)).status_code == 201
    listed = client.get(PATH).json()
    for voice, body, status, param in (
        ("custom:ana", b'{"name": "eva"}', 409, "name"),
        *(
            ("custom:ana", body, 400, "name")
            for body in (
                *(b'{"name": "../eva"}', b'{"name": ""}', b'{"name": 1}', b'{"name": "x", "consent": "y"}'),
                *(b"{}", b"name=x", b'{"name": "\xff"}', b'{"name": "\\ud800"}'),
                b'{"name": "x", "y": ' + b"[" * 1000 + b"]" * 1000 + b"}",
            )
        ),
        ("custom:ana", b" " * 20_000, 413, None),
        ("custom:nobody", b'{"name": "x"}', 404, "voice"),
        ("espeak:es-419", b'{"name": "x"}', 404, "voice"),
    ):
        answer = client.patch(f"{PATH}/{voice}", content=body)
        assert (answer.status_code, answer.json()["error"]["param"]) == (status, param), body
        assert answer.json()["error"]["message"]
        assert client.get(PATH).json() == listed


def multipart(body: bytes | Iterable[bytes], boundary: str = "; boundary=b") -> dict[str, Any]:
    return {"content": body, "headers": {"content-type": f"multipart/form-data{boundary}"}}


class Upload:
    """A form that does not say how long it is."""

    def __iter__(self) -> Iterator[bytes]:
        yield b'--b\r\ncontent-disposition: form-data; name="audio"; filename="a.wav"\r\n\r\n'
        for _ in range(16):
            yield bytes(2**20)
        yield b"\r\n--b--\r\n"


TOO_LARGE = bytes(10 * 2**20 + 1)
FILE_AS_TEXT = {"data": {"name": "ana", "consent": "yes", "audio": "ana.wav"}, "files": {"x": b""}}
CONSENT_AS_TEXT = {"data": {"name": "ana", "consent_recording": "I agree."}, "files": form()["files"]}


@pytest.mark.parametrize(
    ("given", "status", "param"),
    [
        *((form(name=name), 400, "name") for name in ("", "../etc/passwd", "a" * 65)),
        *((form(consent=consent), 400, "consent") for consent in ("", "  ")),
        (form(language="klingonish"), 400, "language"),
        (form(description="x" * 2001), 400, "description"),
        *(
            (form(audio), 400, "audio")
            for audio in (b"", b"not audio at all", recording()[:60], recording(0.5), recording(61))
        ),
        *(
            (form(spoken=spoken), 400, "consent_recording")
            for spoken in (b"", b"I agree.", recording(0.5), recording(61))
        ),
        (FILE_AS_TEXT, 400, "audio"),
        (CONSENT_AS_TEXT, 400, "consent_recording"),
        ({"json": {}}, 400, None),
        (multipart(b"x", ""), 400, None),
        (multipart(b"nonsense"), 400, None),
        (multipart(b"--b\r\ncontent-disposition: form-data\r\n\r\nx\r\n--b--\r\n"), 400, None),
        (multipart(b"--b\r\n\r\n"), 400, None),
        (multipart(Upload()), 413, "audio"),
        (form(TOO_LARGE), 413, "audio"),
        (form(spoken=TOO_LARGE), 413, "consent_recording"),
    ],
)
def test_fault_is_named(client: httpx2.Client, given: dict[str, Any], status: int, param: str | None) -> None:
    answer = client.post(PATH, **given)
    error = answer.json()["error"]
    assert answer.status_code == status and error["message"]
    if param is not None:
        assert error["param"] == param and error["message"].startswith(f"{param}: ")
    assert not any(voice["kept"] for voice in client.get(PATH).json()["voices"])


async def test_similarity_is_reported_for_each_engine(tmp_path: Path) -> None:
    async with started(tmp_path, ToneEngine(clones=True)) as service:
        transport = httpx2.ASGITransport(Starlette(routes=routes(service, ConsentStore(tmp_path))))
        foreseen = {"before": 0.5, "now": 0.6, "measured": False}
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
            (likeness,) = (await client.post(PATH, **form(language="es"))).json()["engines"]
            assert (likeness["engine"], likeness["cloning"]) == ("tone", "nearest voice")
            assert likeness["state"] in ("refining", "ready")
            assert likeness["similarity"]["en"] == foreseen
            while likeness["state"] != "ready":
                (likeness,) = (await client.get(f"{PATH}/custom:ana")).json()["engines"]
            assert likeness["similarity"] == {
                "es": {"before": 0.5, "now": 0.8, "measured": True},
                "en": foreseen,
            }
            assert (await client.get(PATH)).json()["voices"][-1]["engines"] == [likeness]


def test_stored_voices_survive_restarts_and_unwritable_stores_are_reported(
    tmp_path: Path, start_app: StartApp
) -> None:
    for status in (201, 409):
        with app_server(tmp_path) as server:
            assert httpx2.post(f"{server.http_url}{PATH}", **form()).status_code == status
    taken = tmp_path / "taken"
    server = start_app(KANI_DATA_DIR=str(taken))
    shutil.rmtree(taken, ignore_errors=True)
    taken.write_bytes(b"")  # after the start, which would refuse it
    answer = httpx2.post(f"{server.http_url}{PATH}", **form())
    assert answer.status_code == 507
    assert str(tmp_path) not in answer.text
    assert httpx2.get(f"{server.http_url}/health").status_code == 200


PROXIED = {"via": "1.1 proxy"}


def preview(server: AppServer, voice: str, headers: Any = None, **query: str) -> httpx2.Response:
    return httpx2.get(f"{server.http_url}{PATH}/{voice}/preview", params=query, headers=headers)


def test_voice_is_heard_in_both_formats_and_spoken_once(start_app: StartApp) -> None:
    server = start_app()
    with ThreadPoolExecutor(3) as pool:
        answers = [*pool.map(lambda _: preview(server, "espeak:de"), range(3))]
    metrics = httpx2.get(f"{server.http_url}/metrics").text
    assert 'kani_requests_total{protocol="voices"} 1.0' in metrics
    assert {answer.content for answer in answers} == {answers[0].content}
    assert answers[0].headers["content-type"] == "audio/mpeg"
    assert answers[0].headers["cache-control"].startswith("private")
    part = preview(server, "espeak:de", {"range": "bytes=0-1"})
    assert (part.status_code, part.content) == (206, answers[0].content[:2])
    assert part.headers["content-range"] == f"bytes 0-1/{len(answers[0].content)}"
    wav = preview(server, "espeak:de", format="wav")
    assert wav.headers["content-type"] == "audio/wav"
    mp3_s, wav_s = (decode_recording(answer.content).duration_s for answer in (answers[0], wav))
    assert wav_s == pytest.approx(mp3_s, abs=0.06) and wav_s > 2


def test_client_without_a_key_hears_built_in_voices_alone(start_app: StartApp) -> None:
    server = start_app(KANI_API_KEYS=KEY)
    server.service.store.add(NewVoice("ana", recording(), consent="It is mine.", origin="test"))
    keyed = PROXIED | {"authorization": f"Bearer {KEY}"}
    for voice, headers, query, status, param in (
        ("espeak:de", PROXIED, {}, 200, None),
        *((voice, PROXIED, {}, 404, "voice") for voice in ("custom:ana", "ana")),
        ("custom:ana", keyed, {"language": "es"}, 200, None),
        ("ana", keyed, {"language": "xx"}, 400, "language"),
        ("nobody", keyed, {}, 404, "voice"),
        ("espeak:de", keyed, {"format": "ogg"}, 400, "format"),
    ):
        answer = preview(server, voice, headers, **query)
        assert answer.status_code == status, (voice, query)
        assert param is None or answer.json()["error"]["param"] == param
    assert preview(server, "espeak:de", PROXIED | {"authorization": "Bearer wrong"}).status_code == 401
    closed = httpx2.get(f"{server.http_url}{PATH}/custom:ana/sample", headers=PROXIED)
    assert closed.status_code == 401


async def test_cache_forgets_the_least_recently_used_and_no_failure() -> None:
    cache, made = PreviewCache(max_bytes=10), []

    async def make(name: str) -> bytes:
        made.append(name)
        await asyncio.sleep(0)
        if name == "bad":
            raise ValueError(name)
        return b"12345"

    for name in ("a", "b", "a", "c", "a", "b"):
        await cache.get((name,), lambda name=name: make(name))
    assert made == ["a", "b", "c", "b"]
    for _ in range(2):
        with pytest.raises(ValueError, match="bad"):
            await cache.get(("bad",), lambda: make("bad"))
    assert made[4:] == ["bad", "bad"]


async def test_preview_is_made_to_its_end_though_its_caller_is_gone() -> None:
    cache, go, made = PreviewCache(), asyncio.Event(), []

    async def make() -> bytes:
        made.append("begun")
        await go.wait()
        return b"audio"

    gone, staying = (asyncio.create_task(cache.get(("a",), make)) for _ in range(2))
    await happens(lambda: made)
    gone.cancel()
    await asyncio.wait([gone])
    go.set()
    assert gone.cancelled()
    assert (await staying, made) == (b"audio", ["begun"])
