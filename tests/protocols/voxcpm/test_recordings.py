"""Recordings that a request names, through the server's own socket: by URL, by path, by voice.

What is fetched and read at all is tested in test_remote.py and test_folder.py.
"""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed

from tests.clients.voxcpm.wire import Answer
from tests.clients.voxcpm.wire import opened as connected
from tests.protocols.conftest import Serve
from tests.protocols.raw_site import Site, answer, opened, redirect
from tests.protocols.test_voices_api import recording
from tests.support.app_server import AppServer, StartApp
from tests.support.patience import WITHIN_S

TEXT = "Hola."


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    """A host of recordings: what it has been asked for at ``/hangs`` never comes."""

    async def hang(writer: object) -> None:
        await asyncio.Event().wait()

    async with opened() as site:
        site.answers |= {
            "/a.wav": answer(recording(), "Content-Type: text/html"),
            "/text": answer(b"no audio at all"),
            "/empty": answer(b""),
            "/go": redirect("/a.wav"),
            "/hangs": hang,
        }
        yield site


@pytest.fixture
def app(start_app: StartApp, site: Site, tmp_path: Path) -> AppServer:
    folder = tmp_path / "voices"
    (folder / "animals").mkdir(parents=True)
    (folder / "animals/cat.wav").write_bytes(recording())
    (folder / "animals/cat.txt").write_text("Meow.")
    (folder / "animals/dog.wav").write_text("no audio")
    (folder / "animals/link.wav").symlink_to(tmp_path / "secret.wav")
    os.mkfifo(folder / "pipe.wav")
    (tmp_path / "secret.wav").write_bytes(recording())
    hosts = f"127.0.0.1:{site.port}"
    return start_app(KANI_RECORDING_HOSTS=hosts, KANI_VOICE_DIR=str(folder))


def assert_refused(told: Answer, field: str) -> None:
    assert [message["type"] for message in told.told] == ["progress", "error"] and not told.frames
    error = told.last["error"]
    assert error["code"] == "INVALID_PARAMS" and list(error["details"]["errors"]) == [field]
    assert error["message"].startswith(f"Validation failed: {field}: ")


async def test_recording_that_cannot_be_had_names_its_parameter(app: AppServer, site: Site) -> None:
    async with opened() as inner, connected(app.url) as client:
        site.answers["/inner"] = redirect(inner.url("/a.wav"))
        for field, value in (
            ("prompt_wav_url", inner.url("/a.wav")),
            ("prompt_wav_url", site.url("/inner")),
            ("prompt_wav_url", "file:///etc/passwd"),
            ("prompt_wav_url", site.url("/missing")),
            ("prompt_wav_url", site.url("/text")),
            ("prompt_wav_url", site.url("/empty")),
            ("prompt_wav_url", "data:audio/wav;base64,UklGRg"),
            ("prompt_wav_path", "../secret.wav"),
            ("prompt_wav_path", "animals/link.wav"),
            ("prompt_wav_path", "pipe.wav"),
            ("prompt_wav_path", "animals/dog.wav"),
            ("voice_id", "animals-dog"),
        ):
            assert_refused(await client.speak(TEXT, **{field: value}), field)
        assert inner.visits == 0
        assert (await client.speak(TEXT)).last["type"] == "complete"


async def test_path_without_folder_is_refused(espeak_app: AppServer) -> None:
    async with connected(espeak_app.url) as client:
        assert_refused(await client.speak(TEXT, prompt_wav_path="animals/cat.wav"), "prompt_wav_path")
        told = await client.speak(TEXT, voice_id="animals-cat")
        assert told.last["error"]["code"] == "VOICE_NOT_FOUND"


async def test_recordings_are_used_with_their_transcripts(app: AppServer, site: Site) -> None:
    """The transcript of the folder is no parameter of the client's, which would be unused."""
    held = "data:audio/wav;base64," + base64.b64encode(recording()).decode()
    async with connected(app.url) as client:
        for params, unused in (
            ({"prompt_wav_url": site.url("/a.wav")}, []),
            ({"prompt_wav_url": site.url("/go")}, []),
            ({"prompt_wav_url": held}, []),
            ({"prompt_wav_path": "animals/cat.wav"}, []),
            ({"voice_id": "animals-cat"}, []),
            ({"voice": "animals-cat", "mode": "non_streaming"}, []),
            ({"voice_id": "animals-cat", "prompt_text": "Sí."}, ["prompt_text"]),
            # A voice comes with its own recording.
            ({"voice_id": "animals-cat", "prompt_wav_path": "animals/none.wav"}, ["prompt_wav_path"]),
        ):
            told = await client.speak(TEXT, **params)
            assert told.last["type"] == "complete", params
            result = told.last["result"]
            assert (result["cloning"], result["unused"]) == ("none", unused), params
            assert result["samples"] == len(told.samples) > 0
        error = (await client.speak(TEXT, voice_id="animals-nobody")).last["error"]
        assert (error["code"], error["details"]) == ("VOICE_NOT_FOUND", {"voice_id": "animals-nobody"})


async def test_hanging_host_blocks_one_request_alone_until_it_is_cancelled(start_app: StartApp) -> None:
    asked, left = asyncio.Event(), asyncio.Event()

    async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        await reader.read()
        left.set()
        writer.close()

    async with await asyncio.start_server(never, "127.0.0.1", 0) as slow:
        host = f"127.0.0.1:{slow.sockets[0].getsockname()[1]}"
        server = start_app(KANI_RECORDING_HOSTS=host, KANI_REQUEST_TIMEOUT="0")
        async with connected(server.url) as client:
            await client.request("slow", TEXT, prompt_wav_url=f"http://{host}/voice.wav")
            queued = await client.receive()
            assert isinstance(queued, dict) and queued["state"] == "queued"
            await asyncio.wait_for(asked.wait(), WITHIN_S)
            assert (await client.speak(TEXT, "fast")).frames
            await client.send("cancel", request_id="slow")
            assert (await client.answer("slow")).last["result"] == {"cancelled": True}
            await asyncio.wait_for(left.wait(), WITHIN_S)
            await client.alive()


async def test_shutdown_ends_fetch(serve: Serve, site: Site) -> None:
    hosts = f"127.0.0.1:{site.port}"
    server = await serve(KANI_RECORDING_HOSTS=hosts, KANI_SHUTDOWN_SECONDS="0.2")
    async with connected(server.url) as client:
        await client.request("one", TEXT, prompt_wav_url=site.url("/hangs"))
        while not site.visits:
            await asyncio.sleep(0.01)
        server.stop.set()
        error = (await client.answer("one")).last["error"]
        assert (error["code"], error["message"]) == ("GENERATION_FAILED", "the server is stopping")
        with pytest.raises(ConnectionClosed) as closed:
            await client.receive()
    assert closed.value.rcvd is not None and closed.value.rcvd.code == 1001


async def test_client_timeout_covers_fetch(app: AppServer, site: Site) -> None:
    names = [f"r{number}" for number in range(6)]
    async with connected(app.url, additional_headers={"X-Request-Timeout": "0.3"}) as client:
        for name in names:
            await client.request(name, TEXT, prompt_wav_url=site.url("/hangs"))
        answers = await client.answers(*names)
    assert {answer.last["error"]["code"] for answer in answers.values()} == {"TIMEOUT"}


async def test_rate_limit_applies_before_fetch(start_app: StartApp, site: Site) -> None:
    server = start_app(KANI_RECORDING_HOSTS=f"127.0.0.1:{site.port}", TTS_RATE_LIMIT_PER_MINUTE="2")
    async with connected(server.url) as client:
        for number in range(6):
            answer = await client.speak(TEXT, prompt_wav_url=site.url("/missing"))
            code = "INVALID_PARAMS" if number < 2 else "RATE_LIMITED"
            assert answer.last["error"]["code"] == code
            assert len(answer.messages) == (2 if number < 2 else 1)
    assert site.visits == 2
