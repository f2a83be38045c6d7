"""Cloning in VoxCPM's protocol: speech that sounds like recordings, and its report in the results."""

import base64
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.clients.voxcpm.wire import Answer, Client, opened
from tests.protocols.cloning_server import NO_SPEECH, CloningServer, cloning_server, hum, loudness

TEXT = "uno dos tres"


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[CloningServer]:
    """VoxCPM's protocol over two engines, the second cloning; one voice in its folder."""
    async with cloning_server(tmp_path) as serving:
        (serving.folder / "friends").mkdir()
        (serving.folder / "friends/ana.wav").write_bytes(hum(level=0.25))
        (serving.folder / "friends/nobody.wav").write_bytes(hum(level=0.0))
        yield serving


@pytest.fixture
async def client(app: CloningServer) -> AsyncIterator[Client]:
    async with opened(app.url) as connected:
        yield connected


def url_of(recording: bytes) -> str:
    return "data:audio/wav;base64," + base64.b64encode(recording).decode()


def assert_near(answer: Answer, level: float = 0.25) -> None:
    assert loudness(answer.samples) == level
    result = answer.last["result"]
    assert (result["engine"], result["cloning"], result["unused"]) == ("echo", "nearest voice", [])
    assert result["similarity"]["before"] == 0.5 and result["similarity"]["now"] >= 0.6
    assert "near" in result["cloning_note"] and "not the same" in result["cloning_note"]


@pytest.mark.parametrize("mode", ["streaming", "non_streaming"])
async def test_speech_sounds_like_recording(app: CloningServer, client: Client, mode: str) -> None:
    await app.keep("eva", 0.75)
    plain = await client.speak(TEXT, mode=mode)
    assert loudness(plain.samples) == 1.0
    assert (plain.last["result"]["engine"], plain.last["result"]["cloning"]) == ("tone", "none")
    assert not {"similarity", "cloning_note"} & set(plain.last["result"])
    assert_near(await client.speak(TEXT, mode=mode, prompt_wav_url=url_of(hum(level=0.25))))
    assert_near(await client.speak(TEXT, mode=mode, prompt_wav_path="friends/ana.wav"))
    assert_near(await client.speak(TEXT, mode=mode, voice_id="friends-ana"))
    assert_near(await client.speak(TEXT, mode=mode, voice_id="custom:eva"), 0.75)
    # One sound, wherever it comes from.
    assert len(app.echo.embedded) == 2
    (listed,) = (await app.get("/api/voices?category=custom")).json()["voices"]["custom"]
    assert listed["id"] == "custom:eva" and (await app.get(listed["audio_url"])).status_code == 200
    spoken = app.echo.segments[-1]
    assert listed["sample_text"].endswith(spoken.text) and spoken.embedding is not None


@pytest.mark.parametrize(
    ("recording", "reason"),
    [
        (b"no sound in here", "is not audio that this server reads (WAV, MP3, Ogg, FLAC or M4A)"),
        (hum(0.4), "too short (at least 0.5 s)"),
        (hum(level=0.0), NO_SPEECH),
    ],
)
async def test_unusable_recording_names_parameter(client: Client, recording: bytes, reason: str) -> None:
    await client.request("good", TEXT, prompt_wav_url=url_of(hum(level=0.25)))
    await client.request("bad", TEXT, prompt_wav_url=url_of(recording))
    answers = await client.answers("good", "bad")
    error = answers["bad"].last["error"]
    assert (error["code"], error["details"]) == ("INVALID_PARAMS", {"errors": {"prompt_wav_url": reason}})
    assert not answers["bad"].frames
    assert_near(answers["good"])
    await client.alive()


async def test_unusable_voice_names_parameter(app: CloningServer, client: Client) -> None:
    await app.keep("nobody", 0.0)
    for params in (
        {"prompt_wav_path": "friends/nobody.wav"},
        {"voice_id": "friends-nobody"},
        {"voice_id": "custom:nobody"},
    ):
        error = (await client.speak(TEXT, **params)).last["error"]
        assert error["details"] == {"errors": dict.fromkeys(params, NO_SPEECH)}
