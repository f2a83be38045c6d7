"""Recordings that a request names, through the server's own socket: by URL, by path, by voice."""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.clients.voxcpm.wire import Answer, Client
from tests.clients.voxcpm.wire import opened as connected
from tests.protocols.raw_site import Site, answer, opened, redirect
from tests.protocols.test_voices_api import recording
from tests.protocols.voxcpm.test_remote import flood
from tests.support.app_server import AppServer, StartApp

TEXT = "Hola."
HOSTS = ("127.0.0.1", "localhost", "[::ffff:a9fe:a9fe]")
"""Private hosts; test_remote.py has every form of them."""


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with opened() as site:
        site.answers |= {
            "/a.wav": answer(recording(), "Content-Type: text/html"),
            "/text": answer(b"no audio at all"),
            "/empty": answer(b""),
            "/go": redirect("/a.wav"),
            "/gzip": answer(b"\x1f\x8b", "Content-Encoding: gzip"),
            "/endless": lambda writer: flood(writer, b"HTTP/1.1 200 OK\r\n\r\n", bytes(1000)),
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
    (folder / "outside").symlink_to(tmp_path)
    os.mkfifo(folder / "pipe.wav")
    (tmp_path / "secret.wav").write_bytes(recording())
    hosts = f"127.0.0.1:{site.port}"
    return start_app(KANI_RECORDING_HOSTS=hosts, KANI_VOICE_DIR=str(folder))


def assert_refused(told: Answer, field: str) -> None:
    assert told.last["type"] == "error" and not told.frames
    error = told.last["error"]
    assert error["code"] == "INVALID_PARAMS" and list(error["details"]["errors"]) == [field]
    assert f"{field}: " in error["message"]


async def assert_speaks(client: Client) -> None:
    assert (await client.speak(TEXT)).last["type"] == "complete"


async def test_private_address_is_not_fetched(app: AppServer, site: Site) -> None:
    async with opened() as inner, connected(app.url) as client:
        for host in HOSTS:
            url = inner.url("/a.wav", host=host)
            assert_refused(await client.speak(TEXT, prompt_wav_url=url), "prompt_wav_url")
            site.answers["/inner"] = redirect(url)
            assert_refused(await client.speak(TEXT, prompt_wav_url=site.url("/inner")), "prompt_wav_url")
        assert inner.visits == 0 and site.visits == len(HOSTS)
        await assert_speaks(client)


async def test_invalid_recording_is_refused(app: AppServer, site: Site) -> None:
    async with connected(app.url) as client:
        for url in (
            "file:///etc/passwd",
            site.url("/a.wav", scheme="gopher"),
            site.url("/a.wav", host="me:secret@127.0.0.1"),
            site.url("/" + "x" * 2000),
            *(site.url(path) for path in ("/missing", "/text", "/empty", "/gzip", "/endless")),
            "data:audio/wav;base64,UklGRg",
            "data:audio/wav",
            "not a URL",
            "http://\ud800/",
        ):
            assert_refused(await client.speak(TEXT, prompt_wav_url=url), "prompt_wav_url")
        await assert_speaks(client)


@pytest.mark.heard
async def test_fetch_times_out_after_ten_seconds(app: AppServer, site: Site) -> None:
    async with connected(app.url) as client:
        told = await client.speak(TEXT, prompt_wav_url=site.url("/a.wav", scheme="https"))
        assert_refused(told, "prompt_wav_url")
        assert "within 10 s" in told.last["error"]["message"]
        await assert_speaks(client)


async def test_file_outside_folder_is_not_read(app: AppServer) -> None:
    async with connected(app.url) as client:
        for path in (
            "../secret.wav",
            "/etc/passwd",
            "animals/../../secret.wav",
            "animals/link.wav",
            "outside/secret.wav",
            "animals/cat.wav\0",
            "animals\\cat.wav",
            "pipe.wav",
            "animals",
            "animals/missing.wav",
            "animals/cat.txt",
            "animals/dog.wav",
        ):
            assert_refused(await client.speak(TEXT, prompt_wav_path=path), "prompt_wav_path")
        await assert_speaks(client)


async def test_allowed_recordings_are_used(app: AppServer, site: Site) -> None:
    held = "data:audio/wav;base64," + base64.b64encode(recording()).decode()
    async with connected(app.url) as client:
        for named in (
            {"prompt_wav_url": site.url("/a.wav")},
            {"prompt_wav_url": site.url("/go")},
            {"prompt_wav_url": held},
            {"prompt_wav_path": "animals/cat.wav"},
            {"voice_id": "animals-cat"},
        ):
            told = await client.speak(TEXT, **named)
            assert told.last["type"] == "complete" and told.last["result"]["cloning"] == "none"


async def test_path_without_folder_is_refused(espeak_app: AppServer) -> None:
    async with connected(espeak_app.url) as client:
        assert_refused(await client.speak(TEXT, prompt_wav_path="animals/cat.wav"), "prompt_wav_path")
        told = await client.speak(TEXT, voice_id="animals-cat")
        assert told.last["error"]["code"] == "VOICE_NOT_FOUND"


async def test_hanging_host_blocks_one_request_alone(app: AppServer, site: Site) -> None:
    async def hang(writer: object) -> None:
        await asyncio.Event().wait()

    site.answers["/hangs"] = hang
    async with connected(app.url) as client:
        await client.request("slow", TEXT, prompt_wav_url=site.url("/hangs"))
        queued = await client.receive()
        assert isinstance(queued, dict) and queued["state"] == "queued"
        while not site.visits:
            await client.alive()
        await client.request("fast", TEXT)
        await client.send("cancel", request_id="slow")
        told = await client.answers("fast", "slow")
    assert told["fast"].last["type"] == "complete" and told["fast"].frames
    assert told["slow"].last["result"] == {"cancelled": True}


def assert_unused(answer: Answer, unused: list[str]) -> None:
    result = answer.last["result"]
    assert (result["samples"], result["cloning"], result["unused"]) == (len(answer.samples), "none", unused)


async def test_folder_transcript_is_no_client_parameter(app: AppServer) -> None:
    async with connected(app.url) as client:
        assert_unused(await client.speak(TEXT, voice_id="animals-cat"), [])
        assert_unused(await client.speak(TEXT, voice="animals-cat", mode="non_streaming"), [])
        assert_unused(await client.speak(TEXT, voice_id="animals-cat", prompt_text="Sí."), ["prompt_text"])
        assert_unused(await client.speak(TEXT, prompt_wav_path="animals/cat.wav"), [])
        # A voice comes with its own recording.
        both = await client.speak(TEXT, voice_id="animals-cat", prompt_wav_path="animals/none.wav")
        assert_unused(both, ["prompt_wav_path"])
        assert_refused(await client.speak(TEXT, voice_id="animals-dog"), "voice_id")
        error = (await client.speak(TEXT, voice_id="animals-nobody")).last["error"]
        assert (error["code"], error["details"]) == ("VOICE_NOT_FOUND", {"voice_id": "animals-nobody"})
