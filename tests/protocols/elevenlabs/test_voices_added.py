"""Voices that clients add, rename and delete by ElevenLabs' calls; what is refused stores none."""

import asyncio
import hashlib
import json
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from tests.protocols.elevenlabs.test_bad_input import detail_of
from tests.protocols.voices_api.test_voices_api import recording
from tests.support.elevenlabs_service import KEY as SERVICE_KEY
from tests.support.elevenlabs_service import VOICE, running
from tests.support.servers.app_server import AppServer, StartApp

ADD = "/v1/voices/add"
CONSENT = "It is me."


@pytest.fixture
def adding(espeak_app: AppServer) -> Iterator[httpx2.Client]:
    """A client; its voices are deleted afterwards."""
    with httpx2.Client(base_url=espeak_app.http_url) as client:
        yield client
        for voice in stored(client):
            client.delete(f"/v1/voices/{voice['voice_id']}")


@pytest.fixture
def client(adding: httpx2.Client) -> Iterator[httpx2.Client]:
    """A client that stores no voice, whatever it does."""
    yield adding
    assert not stored(adding)


def stored(client: httpx2.Client) -> list[dict[str, Any]]:
    voices: list[dict[str, Any]] = client.get("/v2/voices", params={"category": "cloned"}).json()["voices"]
    return voices


def post(client: httpx2.Client, *files: bytes, headers: Any = None, **fields: str) -> httpx2.Response:
    """Add a voice; an empty field is left out."""
    given = {"name": "ana", "consent": CONSENT} | fields
    return client.post(
        ADD,
        data={name: value for name, value in given.items() if value},
        files=[("files", ("a.wav", file)) for file in files],
        headers=headers,
    )


def edit(client: httpx2.Client, voice: str, **given: Any) -> httpx2.Response:
    return client.post(f"/v1/voices/{voice}/edit", data={"name": "mine"} | given)


def rejected(answer: httpx2.Response, param: str, code: str = "invalid_request") -> str:
    detail = detail_of(answer, 400, code, "validation_error")
    assert detail["param"] == param
    return str(detail["message"])


def test_consent_has_three_places_and_the_log_none(
    adding: httpx2.Client, caplog: pytest.LogCaptureFixture
) -> None:
    half = json.dumps({"consent": "half a pair \ud83d"})
    assert post(adding, recording(), consent="", labels=half).json()["detail"]["param"] == "consent"
    told = post(adding, recording(), consent="").json()["detail"]["message"]
    for way in ("form field", "labels.consent", "header x-consent"):
        assert way in told
    for header in (b"It is me.", "Soy yo, la señora 声.".encode()):
        unused = {"remove_background_noise": "true", "labels": '{"gender": "female"}'}
        answer = post(adding, recording(), headers={"x-consent": header}, consent="", **unused)
        assert answer.status_code == 200, answer.text
        assert answer.headers["x-unused"] == "remove_background_noise, labels.gender"
        assert adding.delete("/v1/voices/ana").status_code == 200
    # The SDK encodes labels that are given as a string once more.
    in_labels = {"consent": "", "labels": '{"consent": "It is me."}'}
    for given in ({}, in_labels, in_labels | {"labels": json.dumps(in_labels["labels"])}):
        assert post(adding, recording(), **given).status_code == 200
        assert adding.delete("/v1/voices/ana").status_code == 200
    assert CONSENT not in caplog.text


def test_omitted_recordings_are_reported(adding: httpx2.Client) -> None:
    answer = post(adding, *[recording()] * 20)
    assert answer.headers["x-unused"] == "files"
    [sample] = adding.get("/v1/voices/ana").json()["samples"]
    assert sample["duration_secs"] == 60.0


def test_added_voice_is_described_with_its_recording(adding: httpx2.Client) -> None:
    made = post(adding, recording(), labels='{"language": "Spanish"}').json()
    assert (made["voice_id"], made["requires_verification"]) == ("custom:ana", False)
    kept = adding.get("/v1/audio/voices/custom:ana").json()
    assert (kept["origin"], kept["language"]) == ("elevenlabs", "es")
    [sample] = adding.get("/v1/voices/ana").json()["samples"]
    assert (sample["mime_type"], sample["size_bytes"]) == ("audio/wav", len(recording()))
    assert sample["hash"] == hashlib.sha256(recording()).hexdigest()
    answer = adding.get(f"/v1/voices/ana/samples/{sample['sample_id']}/audio")
    assert answer.content == recording()
    headers = ("content-type", "x-content-type-options", "cache-control")
    assert [answer.headers[name] for name in headers] == ["audio/wav", "nosniff", "no-store"]
    # It cannot be deleted without its voice.
    path = "/v1/voices/custom:ana/samples/"
    rejected(adding.delete(path + sample["sample_id"]), "sample_id")
    detail_of(adding.get(f"{path}other/audio"), 404, "not_found", "not_found")
    account = adding.get("/v1/user/subscription").json()
    assert (account["voice_slots_used"], account["voice_limit"]) == (1, 1000)
    assert not account["can_use_instant_voice_cloning"]


@pytest.mark.parametrize("name", ["Ana María", "  ana\tmaría ", "ñandú", "声音", "a-1_b"])
def test_name_becomes_id(adding: httpx2.Client, name: str) -> None:
    made = post(adding, recording(), name=name).json()["voice_id"]
    assert made == "custom:" + "_".join(name.split())
    assert adding.get(f"/v1/voices/{made}").json()["voice_id"] == made
    assert adding.delete(f"/v1/voices/{made}").json() == {"status": "ok"}


def test_voice_is_renamed(adding: httpx2.Client) -> None:
    post(adding, recording(), description="warm", labels='{"language": "es"}')
    for before in ("custom:ana", "Ana_dos"):
        renamed = edit(adding, before, name="Ana dos", description="warm", labels='{"language": "es"}')
        assert renamed.json() == {"status": "ok", "voice_id": "custom:Ana_dos"}
    assert adding.get("/v1/voices/custom:Ana_dos").json()["description"] == "warm"
    assert adding.get("/v1/voices/custom:ana").status_code == 404


@pytest.mark.parametrize(
    ("changes", "param", "code"),
    [
        ({"files": b"RIFF"}, "files", "invalid_files"),
        ({"description": "cold"}, "description", "invalid_request"),
        ({"labels": '{"language": "en"}'}, "labels.language", "invalid_labels"),
        ({"name": "a/b"}, "name", "invalid_name"),
        ({"name": "other"}, "name", "name_taken"),
    ],
)
def test_other_edits_are_rejected_and_change_nothing(
    adding: httpx2.Client, changes: dict[str, Any], param: str, code: str
) -> None:
    for name in ("ana", "other"):
        post(adding, recording(), name=name, description="warm", labels='{"language": "es"}')
    files = {name: changes[name] for name in changes if name == "files"}
    fields = {"name": "new"} | {name: changes[name] for name in changes if name != "files"}
    answer = adding.post("/v1/voices/custom:ana/edit", data=fields, files=files)
    rejected(answer, param, code)
    assert {voice["name"] for voice in stored(adding)} == {"ana", "other"}


@pytest.mark.parametrize("voice", ["espeak:es", "default", "21m00Tcm4TlvDq8ikWAM"])
def test_builtin_voices_cannot_be_changed(client: httpx2.Client, voice: str) -> None:
    for answer in (client.delete(f"/v1/voices/{voice}"), edit(client, voice)):
        assert "only those that clients made" in rejected(answer, "voice_id")
    assert client.get(f"/v1/voices/{voice}").json()["samples"] is None


async def test_recordings_are_not_sent_to_elevenlabs(start_app: StartApp) -> None:
    async with running() as service:
        server = await asyncio.to_thread(
            start_app,
            KANI_ENGINE="elevenlabs",
            ELEVEN_API_KEY=SERVICE_KEY,
            ELEVEN_VOICE_ID=VOICE,
            KANI_ELEVENLABS_URL=service.url,
        )
        asked = len(service.voices_asked)
        form = {"name": "ana", "consent": CONSENT}
        made = await server.post(ADD, data=form, files=[("files", recording())])
        assert made.json()["voice_id"] == "custom:ana"
        account = (await server.get("/v1/user/subscription")).json()
        assert not account["can_use_instant_voice_cloning"]
        assert (len(service.voices_asked), len(service.exchanges)) == (asked, 0)
        answer = await server.post("/v1/text-to-speech/custom:ana", json={"text": "Hello there."})
        assert (answer.status_code, answer.headers["x-cloning"]) == (200, "none")
        [exchange] = service.exchanges
        assert VOICE in exchange.path
