"""The voices of a server, looked after with `python websocket_client.py` and from Python."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from kani.cli.voices import VoiceRefused, VoicesClient, cloning_outcome, describe
from tests.cli.conftest import Run
from tests.conftest import ServerProcess
from tests.support.servers.app_server import app_server
from websocket_client import AuthenticationFailed, NotConnected, UnexpectedAnswer

HELLO = "Esta es la voz de una máquina, y quien la oye puede guardarla si quiere."
CONSENT = "A machine's voice: «nadie» has to consent.\nReally."


@pytest.fixture(scope="session")
def recording(espeak_server: ServerProcess, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A WAV file of about four seconds of speech."""
    answer = httpx2.post(f"{espeak_server.http_url}/tts", json={"text": HELLO})
    path = tmp_path_factory.mktemp("recording") / "speech.wav"
    path.write_bytes(answer.raise_for_status().content)
    return path


@pytest.fixture
def voices(espeak_server: ServerProcess) -> Iterator[VoicesClient]:
    """The voices of the server; all are deleted in the end."""
    voices = VoicesClient(espeak_server.url)
    yield voices
    for voice in kept(voices):
        voices.delete(voice["id"])


def kept(voices: VoicesClient) -> list[dict[str, Any]]:
    """Those that clients made."""
    return [voice for voice in voices.list() if voice["kept"]]


def test_a_voice_is_added_listed_spoken_with_and_deleted(
    run: Run, espeak_server: ServerProcess, voices: VoicesClient, recording: Path, tmp_path: Path
) -> None:
    at, given = ("--server", espeak_server.url), ("--reference", recording, "--consent", CONSENT)
    done = run("--add-voice", "ñandú", *given, "--language", "spanish", *at)
    assert (done.code, done.out) == (0, "custom:ñandú\n"), done.err
    assert "no engine of this server can clone it" in done.err
    (facts,) = (espeak_server.folder / "data").rglob("voice.json")
    assert json.loads(facts.read_text(encoding="utf-8"))["consent"] == CONSENT
    assert facts.with_name("recording").read_bytes() == recording.read_bytes()
    first, *rest = run("--voices", *at).out.splitlines()
    assert first.startswith("custom:ñandú  es, ")
    assert "espeak:es-419  es-419, espeak" in rest
    done = run("Hola.", "--voice", "custom:ñandú", "-o", tmp_path / "hola.wav", *at)
    assert done.code == 0 and "not cloned" in done.err
    done = run("--delete-voice", "custom:ñandú", *at)
    assert (done.code, done.out) == (0, "")
    assert kept(voices) == []


def test_refusal_names_its_field(ask: Run, voices: VoicesClient, recording: Path, tmp_path: Path) -> None:
    voices.add("ana", recording.read_bytes(), CONSENT)
    no_audio = tmp_path / "no.wav"
    no_audio.write_text("words")
    add = ("--consent", CONSENT, "--add-voice")
    for arguments, reason in (
        ((*add, "ana", "--reference", recording), "name: there is a voice 'ana' already"),
        ((*add, "../x", "--reference", recording), "name: "),
        ((*add, "eva", "--reference", no_audio), "audio: "),
        ((*add, "eva", "--reference", recording, "--language", "klingonish"), "--language: "),
        (("--delete-voice", "eva"), "voice: no client has stored 'eva'"),
    ):
        done = ask(*arguments)
        assert done.failure.startswith(f"error: {reason}") and done.out == ""
    with pytest.raises(VoiceRefused) as refusal:
        voices.delete("eva/../ana")
    assert refusal.value.status == 404
    assert [voice["id"] for voice in kept(voices)] == ["custom:ana"]


@pytest.mark.server
def test_cure_is_named_where_there_is_no_server_or_key(run: Run, closed_port: int, tmp_path: Path) -> None:
    nowhere = run("--voices", "--server", f"localhost:{closed_port}").failure
    assert "python start_websocket_server.py" in nowhere
    with app_server(tmp_path, KANI_HOST="0.0.0.0", KANI_API_KEYS="open-sesame") as server:
        at = ("--voices", "--server", f"localhost:{server.port}")
        refused = run(*at, KANI_API_KEY="wrong").failure
        assert "--api-key" in refused and "401" in refused
        # The engines' voices are listed without a key.
        assert "espeak:es-419" in run(*at).out
        assert "espeak:es-419" in run(*at, KANI_API_KEY="open-sesame").out


def test_a_proxy_is_not_asked_for_this_machine(
    espeak_server: ServerProcess, closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{closed_port}")
    assert VoicesClient(espeak_server.url).list()


async def test_each_failure_has_its_exception(closed_port: int) -> None:
    answers = iter([(403, "no"), (200, "<html>"), (200, "[]"), (200, '{"other": 1}'), (500, "broken")])

    def answer(connection: ServerConnection, request: Request) -> Response:
        status, words = next(answers)
        return connection.respond(status, words)  # type: ignore[arg-type]

    async def unheard(connection: ServerConnection) -> None:
        raise AssertionError

    with pytest.raises(NotConnected):
        VoicesClient(f"ws://localhost:{closed_port}").list()
    async with serve(unheard, "127.0.0.1", 0, process_request=answer) as server:
        voices = VoicesClient(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/", "wrong")
        with pytest.raises(AuthenticationFailed, match=r"403.*no"):
            await asyncio.to_thread(voices.list)
        for _ in range(3):
            with pytest.raises(UnexpectedAnswer):
                await asyncio.to_thread(voices.list)
        with pytest.raises(VoiceRefused, match="broken"):
            await asyncio.to_thread(voices.list)


def test_cloning_outcome_is_described() -> None:
    near = {"before": 0.7051, "now": 0.851, "measured": True}
    for metadata, words in (
        ({"cloning": "nearest voice", "similarity": near}, "nearest voice 0.71 → 0.85: near, not the same"),
        (
            {"cloning": "nearest voice", "similarity": near | {"measured": False}},
            "nearest voice 0.71 → 0.85 expected: near, not the same",
        ),
        ({"cloning": "nearest voice"}, "nearest voice: near, not the same"),
        ({"cloning": "embedding"}, "the engine cloned the recorded voice"),
        ({"cloning": "none"}, "the voice of the recording was not cloned: the engine at hand does not clone"),
    ):
        assert cloning_outcome(metadata) == words


def test_stored_voice_is_described() -> None:
    near = {
        "es": {"before": 0.7, "now": 0.85, "measured": True},
        "en": {"before": 0.6, "now": 0.7, "measured": False},
    }
    voice = {
        "id": "custom:ana",
        "kept": True,
        "language": "",
        "duration_s": 12.34,
        "consent_at": "2026-02-03T04:05:06+00:00",
        "advice": ["It is quiet."],
        "engines": [
            {"engine": "kani", "cloning": "embedding", "state": "missing", "similarity": {}},
            {"engine": "kokoro", "cloning": "nearest voice", "state": "refining", "similarity": near},
            {"engine": "espeak", "cloning": "none", "state": "missing", "similarity": {}},
        ],
    }
    assert list(describe(voice)) == [
        "custom:ana  any language, 12.3 s, stored 2026-02-03",
        "  kani: embedding, not embedded yet",
        "  kokoro: nearest voice, being refined; es 0.70 → 0.85: near, not the same",
        "  advice: It is quiet.",
    ]
    assert "es 0.70 → 0.85, en 0.60 → 0.70 expected" in list(describe(voice | {"language": "en-US"}))[2]
    near["es"]["measured"] = False
    assert "es 0.70 → 0.85 expected, en 0.60 → 0.70 expected" in list(describe(voice))[2]
