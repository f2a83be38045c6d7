"""Voices that ElevenLabs' own SDK adds, lists, plays, speaks and deletes."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import io
from collections.abc import Callable, Iterator
from typing import Any

import av
import httpx
import pytest
from elevenlabs.client import AsyncElevenLabs, ElevenLabs
from elevenlabs.core.api_error import ApiError

from tests.support.app_server import AppServer, StartApp
from tests.support.elevenlabs_service import KEY, VOICE, running

SENTENCE = (
    "Esto lo digo yo, con mi propia voz, y dura bastante más de tres segundos, que es lo que hace falta."
)
CONSENT = "Soy Ana y esta es mi propia voz: se puede usar aquí."
LABELS = {"consent": CONSENT, "language": "Spanish", "accent": "andaluz"}

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def recording(espeak_app: AppServer) -> bytes:
    path = f"{espeak_app.http_url}/v1/text-to-speech/espeak:es"
    answer = httpx.post(path, params={"output_format": "wav_24000"}, json={"text": SENTENCE})
    return answer.raise_for_status().content


@pytest.fixture
def sdk(espeak_app: AppServer) -> Iterator[ElevenLabs]:
    with httpx.Client() as client:
        sdk = ElevenLabs(api_key="k", base_url=espeak_app.http_url, httpx_client=client)
        yield sdk
        for voice in sdk.voices.search(category="cloned", page_size=100).voices:
            sdk.voices.delete(voice.voice_id)


def refused(status: int, call: Callable[..., Any], *given: Any, **named: Any) -> dict[str, Any]:
    """The error that the SDK raises."""
    with pytest.raises(ApiError) as raised:
        call(*given, **named)
    assert raised.value.status_code == status, raised.value.body
    detail: dict[str, Any] = raised.value.body["detail"]
    assert detail["status"] == detail["code"]
    return detail


def test_sdk_adds_lists_plays_speaks_and_deletes_voice(
    espeak_app: AppServer, sdk: ElevenLabs, recording: bytes
) -> None:
    made = sdk.voices.ivc.create(name="My voice", files=[recording], description="warm", labels=LABELS)
    assert (made.voice_id, made.requires_verification) == ("custom:My_voice", False)

    listed = {voice.voice_id: voice for voice in sdk.voices.get_all().voices}[made.voice_id]
    assert (listed.name, listed.category, listed.description) == ("My_voice", "cloned", "warm")
    assert listed.is_owner and listed.labels == {"language": "es", "engine": "espeak"}
    assert [voice.voice_id for voice in sdk.voices.search(search="my voice").voices] == [made.voice_id]

    voice = sdk.voices.get(made.voice_id)
    assert voice.labels == {"language": "es", "engine": "espeak", "cloning": "none"}
    assert voice.samples is not None
    [sample] = voice.samples
    assert (sample.mime_type, sample.size_bytes) == ("audio/wav", len(recording))
    assert sample.hash == hashlib.sha256(recording).hexdigest()
    assert b"".join(sdk.voices.samples.audio.get(made.voice_id, sample.sample_id or "")) == recording
    kept = httpx.get(f"{espeak_app.http_url}/v1/audio/voices/{made.voice_id}").json()
    assert (kept["origin"], kept["language"]) == ("elevenlabs", "es")
    account = sdk.user.get().subscription
    assert (account.voice_slots_used, account.voice_limit) == (1, 1000)
    assert not account.can_use_instant_voice_cloning

    spoken = b"".join(sdk.text_to_speech.convert(made.voice_id, text="Hola."))
    assert spoken == b"".join(sdk.text_to_speech.convert("My_voice", text="Hola."))
    with av.open(io.BytesIO(spoken)) as opened:
        assert opened.streams.audio[0].codec_context.name.startswith("mp3")

    assert sdk.voices.delete(made.voice_id).status == "ok"
    for gone in (sdk.voices.get, sdk.voices.delete):
        assert refused(404, gone, made.voice_id)["code"] == "voice_not_found"


@pytest.mark.parametrize("name", ["Ana María", "  ana\tmaría ", "ñandú", "声音", "a-1_b"])
def test_name_becomes_id(sdk: ElevenLabs, recording: bytes, name: str) -> None:
    made = sdk.voices.ivc.create(name=name, files=[recording], labels={"consent": CONSENT})
    assert made.voice_id == "custom:" + "_".join(name.split())
    assert sdk.voices.get(made.voice_id).voice_id == made.voice_id
    assert sdk.voices.delete(made.voice_id).status == "ok"


async def test_one_of_two_concurrent_adds_gets_the_name(
    espeak_app: AppServer, recording: bytes, sdk: ElevenLabs
) -> None:
    async with httpx.AsyncClient(timeout=300) as client:
        both = AsyncElevenLabs(api_key="k", base_url=espeak_app.http_url, httpx_client=client)
        makings = [both.voices.ivc.create(name="ana", files=[recording], labels=LABELS) for _ in range(2)]
        results = await asyncio.gather(*makings, return_exceptions=True)
    (failure,) = (result for result in results if isinstance(result, BaseException))
    assert isinstance(failure, ApiError) and failure.status_code == 400
    assert failure.body["detail"]["code"] == "name_taken"


def test_voice_is_renamed(sdk: ElevenLabs, recording: bytes) -> None:
    made = sdk.voices.ivc.create(name="ana", files=[recording], description="warm", labels=LABELS)
    answer = sdk.voices.update(made.voice_id, name="Ana dos", description="warm", labels={"language": "es"})
    assert (answer.status, answer.voice_id) == ("ok", "custom:Ana_dos")
    assert sdk.voices.get("custom:Ana_dos").description == "warm"
    again = sdk.voices.update("Ana_dos", name="Ana dos")
    assert again.voice_id == "custom:Ana_dos"
    assert refused(404, sdk.voices.get, made.voice_id)


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"files": [b"RIFF"]}, "files"),
        ({"description": "cold"}, "description"),
        ({"labels": {"language": "en"}}, "labels.language"),
        ({"name": "a/b"}, "name"),
        ({"name": "other"}, "name"),
    ],
)
def test_other_edits_are_rejected_and_change_nothing(
    sdk: ElevenLabs, recording: bytes, changes: dict[str, Any], param: str
) -> None:
    for name in ("ana", "other"):
        sdk.voices.ivc.create(name=name, files=[recording], description="warm", labels=LABELS)
    assert refused(400, sdk.voices.update, "custom:ana", **{"name": "new"} | changes)["param"] == param
    assert {voice.name for voice in sdk.voices.search(category="cloned").voices} == {"ana", "other"}


def test_recording_cannot_be_deleted_alone(sdk: ElevenLabs, recording: bytes) -> None:
    made = sdk.voices.ivc.create(name="ana", files=[recording], labels=LABELS)
    [sample] = sdk.voices.get(made.voice_id).samples or []
    assert refused(400, sdk.samples.delete, made.voice_id, sample.sample_id)["param"] == "sample_id"
    other = sdk.voices.samples.audio.get(made.voice_id, "other")
    assert refused(404, b"".join, other)["code"] == "not_found"


@pytest.mark.parametrize("voice", ["espeak:es", "default", "21m00Tcm4TlvDq8ikWAM"])
def test_builtin_voices_cannot_be_changed(sdk: ElevenLabs, voice: str) -> None:
    for change in ((sdk.voices.delete, voice), (functools.partial(sdk.voices.update, name="mine"), voice)):
        detail = refused(400, *change)
        assert detail["param"] == "voice_id" and "only those that clients made" in detail["message"]
    assert sdk.voices.get(voice).samples is None


async def test_recordings_are_not_sent_to_elevenlabs(start_app: StartApp, recording: bytes) -> None:
    async with running() as service:
        server = await asyncio.to_thread(
            start_app,
            KANI_ENGINE="elevenlabs",
            ELEVEN_API_KEY=KEY,
            ELEVEN_VOICE_ID=VOICE,
            KANI_ELEVENLABS_URL=service.url,
        )
        asked = len(service.voices_asked)
        async with httpx.AsyncClient(base_url=server.http_url) as client:
            made = await client.post(
                "/v1/voices/add", data={"name": "ana", "consent": CONSENT}, files=[("files", recording)]
            )
            assert made.json()["voice_id"] == "custom:ana"
            account = (await client.get("/v1/user/subscription")).json()
            assert not account["can_use_instant_voice_cloning"]
            assert (len(service.voices_asked), len(service.exchanges)) == (asked, 0)
            answer = await client.post("/v1/text-to-speech/custom:ana", json={"text": "Hello there."})
            assert (answer.status_code, answer.headers["x-cloning"]) == (200, "none")
        [exchange] = service.exchanges
        assert VOICE in exchange.path
