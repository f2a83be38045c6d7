"""Recordings that a request names, through VoxCPM's own socket, and the folder of recorded voices."""

import asyncio
import base64
import os
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed

from kani.core.errors import InvalidRequest, UnknownVoice
from kani.protocols.voxcpm import voice_folder
from kani.protocols.voxcpm.voice_folder import VoiceFolder
from tests.clients.voxcpm.wire import opened as connected
from tests.protocols.conftest import Serve
from tests.protocols.raw_site import Site, answer, opened, redirect
from tests.protocols.voices_api.test_voices_api import recording
from tests.support import permissions
from tests.support.patience import WITHIN_S, happens
from tests.support.servers.app_server import AppServer, StartApp

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
    (tmp_path / "secret.wav").write_bytes(recording())
    hosts = f"127.0.0.1:{site.port}"
    return start_app(KANI_RECORDING_HOSTS=hosts, KANI_VOICE_DIR=str(folder))


async def test_recording_that_cannot_be_had_names_its_parameter(app: AppServer, site: Site) -> None:
    async with connected(app.url) as client:
        for field, value in (
            ("prompt_wav_url", "http://localhost/a.wav"),
            ("prompt_wav_url", site.url("/text")),
            ("prompt_wav_path", "../secret.wav"),
            ("prompt_wav_path", "animals/dog.wav"),
            ("voice_id", "animals-dog"),
        ):
            told = await client.speak(TEXT, **{field: value})
            assert [message["type"] for message in told.told] == ["progress", "error"] and not told.frames
            error = told.last["error"]
            assert error["code"] == "INVALID_PARAMS" and list(error["details"]["errors"]) == [field]
            assert error["message"].startswith(f"Validation failed: {field}: ")
        assert (await client.speak(TEXT)).last["type"] == "complete"


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
        await happens(lambda: site.visits)
        server.stop.set()
        error = (await client.answer("one")).last["error"]
        assert (error["code"], error["message"]) == ("GENERATION_FAILED", "the server is stopping")
        with pytest.raises(ConnectionClosed, match="1001"):
            await client.receive()


async def test_rate_limit_applies_before_fetch(start_app: StartApp, site: Site) -> None:
    server = start_app(KANI_RECORDING_HOSTS=f"127.0.0.1:{site.port}", TTS_RATE_LIMIT_PER_MINUTE="2")
    async with connected(server.url) as client:
        for number in range(6):
            answer = await client.speak(TEXT, prompt_wav_url=site.url("/missing"))
            code = "INVALID_PARAMS" if number < 2 else "RATE_LIMITED"
            assert answer.last["error"]["code"] == code
            assert len(answer.messages) == (2 if number < 2 else 1)
    assert site.visits == 2


NOT_HERE = "prompt_wav_path: names no recording in the voice folder (.mp3, .wav, .flac, .ogg, .m4a)"
NOT_BELOW = "prompt_wav_path: must be a path below the voice folder, such as category/name.wav"


@pytest.fixture(params=["by descriptor", "by path"])
def root(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with voices beside an unrelated file; files are opened by descriptor or by path."""
    if request.param == "by path":
        monkeypatch.setattr(os, "supports_dir_fd", frozenset())
    root = tmp_path / "voice_clone"
    for path, content in {
        "doubao/dubbing/granny.mp3": b"granny's recording",
        "doubao/dubbing/granny.txt": "\ufeff  Good evening, 孩子们。\n".encode(),
        "doubao/dubbing/uncle.FLAC": b"uncle's",
        "doubao/dubbing/notes.md": b"no voice",
        "animals/cat.wav": b"cat's",
        "animals/cat.ogg": b"another cat's",
        "top.m4a": b"top's",
    }.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
    (tmp_path / "secret.wav").write_bytes(b"secret")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret.wav").write_bytes(b"secret")
    return root


def refusal(root: Path | None, path: str) -> str:
    with pytest.raises(InvalidRequest) as caught:
        VoiceFolder(root).recording(path)
    assert caught.value.field == "prompt_wav_path"
    return str(caught.value)


def test_voices_are_listed_by_folder_and_name(root: Path) -> None:
    voices = VoiceFolder(root).list()
    assert [
        (voice.id, voice.name, voice.category, voice.sample_text, voice.media_type) for voice in voices
    ] == [
        ("animals-cat", "cat", "animals", "", "audio/ogg"),
        ("dubbing-granny", "granny", "dubbing", "Good evening, 孩子们。", "audio/mpeg"),
        ("dubbing-uncle", "uncle", "dubbing", "", "audio/flac"),
        ("默认-top", "top", "默认", "", "audio/mp4"),
    ]


def test_voice_is_found_by_id_and_a_missing_file_is_none(root: Path) -> None:
    folder = VoiceFolder(root)
    (root / "animals/zoe\u0308.wav").write_bytes(b"zoe's")
    granny, zoe = folder.get("dubbing-granny"), folder.get("animals-zo\u00eb")
    assert granny is not None and folder.read(granny) == b"granny's recording"
    assert zoe is not None and zoe.id == "animals-zo\u00eb" and folder.read(zoe) == b"zoe's"
    assert folder.get("animals-zoe\u0308") == zoe
    assert folder.get("dubbing-nobody") is None and folder.get("") is None and folder.get("\ud800") is None
    folder = VoiceFolder(root)
    granny, uncle = folder.get("dubbing-granny"), folder.get("dubbing-uncle")
    assert granny is not None and uncle is not None
    (root / "doubao/dubbing/granny.mp3").unlink()
    os.truncate(root / "doubao/dubbing/uncle.FLAC", 10 * 2**20 + 1)
    for voice in (granny, uncle):
        with pytest.raises(UnknownVoice):
            folder.read(voice)


def test_links_are_followed_at_the_top_only(root: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(root)
    folder = VoiceFolder(tmp_path / "link")
    for path in ("doubao/dubbing/granny.mp3", "./doubao//dubbing/./granny.mp3"):
        assert folder.recording(path) == VoiceFolder(root).recording(path) == b"granny's recording"
    assert len(folder.list()) == 4
    (root / "animals/inner").symlink_to(tmp_path / "outside")
    for inner in ("secret.wav", "missing.wav"):
        assert refusal(root, f"animals/inner/{inner}") == NOT_HERE
    assert VoiceFolder(root).get("inner-secret") is None


OUTSIDE = (
    *("../secret.wav", "animals/../../secret.wav", "animals/../animals/cat.wav", "{root}/animals/cat.wav"),
    *("/etc/passwd", "//etc/passwd", "animals\\cat.wav", "..\\secret.wav", "C:/secret.wav", "c:secret.wav"),
    *("animals/cat.wav\0", "animals/cat.wav\0.mp3", "animals/cat.wav\n"),
    *("animals/\ud800.wav", "animals/\udcff.wav"),
)
NO_RECORDINGS = (
    *("", ".", "./", "animals", "animals/", "missing.wav", "missing/cat.wav", "animals/cat.wav/cat.wav"),
    *("animals/cat", "doubao/dubbing/notes.md", "doubao/dubbing/granny.txt", ".wav", "x" * 300 + ".wav"),
)


@pytest.mark.parametrize("path", [*OUTSIDE, *NO_RECORDINGS], ids=ascii)
def test_other_path_is_refused(root: Path, path: str) -> None:
    reason = NOT_BELOW if path in OUTSIDE else NOT_HERE
    assert refusal(root, path.replace("{root}", str(root))) == reason


LINKS = {
    "a file outside": "{outside}/secret.wav",
    "a relative file outside": "../../secret.wav",
    "nothing outside": "{outside}/missing.wav",
    "itself": "link.wav",
    "a file inside": "cat.wav",
    "a device": "/dev/zero",
    "a pipe": None,
    "a folder": None,
}
"""Special files, and where they lead, if they are links."""


@pytest.mark.parametrize("kind", LINKS)
def test_special_file_is_never_opened(root: Path, tmp_path: Path, kind: str) -> None:
    file = root / "animals/link.wav"
    if (target := LINKS[kind]) is not None:
        file.symlink_to(target.replace("{outside}", str(tmp_path)))
    else:
        (os.mkfifo if kind == "a pipe" else os.mkdir)(file)
    assert refusal(root, "animals/link.wav") == NOT_HERE
    assert VoiceFolder(root).get("animals-link") is None


def test_odd_transcripts_and_names_are_ignored(root: Path, tmp_path: Path) -> None:
    (root / "animals/cat.txt").symlink_to(tmp_path / "secret.wav")
    os.mkfifo(root / "top.txt")
    folder = VoiceFolder(root)
    assert [voice.sample_text for voice in folder.list() if voice.name in ("cat", "top")] == ["", ""]
    (root / "animals" / os.fsdecode(b"\xff.wav")).write_bytes(b"x")
    (root / "animals/a\nb.wav").write_bytes(b"x")
    (root / os.fsdecode(b"\xfe")).mkdir()
    assert len(VoiceFolder(root).list()) == 4


def test_size_of_paths_and_files_is_limited_and_their_rights_count(root: Path) -> None:
    assert "too long (at most 1000 characters" in refusal(root, "x/" * 10 + "x" * 1000)
    assert "too long" in refusal(root, "a/" * 17 + "x.wav")
    os.truncate(root / "animals/cat.wav", 10 * 2**20 + 1)
    assert refusal(root, "animals/cat.wav") == "prompt_wav_path: too large (at most 10 MiB)"
    os.truncate(root / "animals/cat.wav", 10 * 2**20)
    assert len(VoiceFolder(root).recording("animals/cat.wav")) == 10 * 2**20
    (root / "animals/cat.wav").chmod(0)
    with permissions.binding():
        assert refusal(root, "animals/cat.wav") == NOT_HERE


def test_no_folder_has_no_voices(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = VoiceFolder(None)
    assert (folder.list(), folder.get("animals-cat")) == ([], None)
    assert "has no voice folder (KANI_VOICE_DIR)" in refusal(None, "animals/cat.wav")
    assert VoiceFolder(tmp_path / "missing").list() == []
    assert "cannot be read" in caplog.text
    assert refusal(tmp_path / "missing", "animals/cat.wav") == NOT_HERE


def test_list_is_cached_until_change(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voice_folder, "_CACHE_S", -1.0)
    folder = VoiceFolder(root)
    first = folder.get("animals-cat")
    assert first is not None and folder.get("animals-cat") is first
    (root / "new").mkdir()
    (root / "new/dog.wav").write_bytes(b"dog's")
    assert folder.get("new-dog") is not None
    (root / "new/dog.wav").unlink()
    assert folder.get("new-dog") is None
    (root / "new").rmdir()
    assert len(folder.list()) == 4


def test_folders_are_scanned_once_and_so_deep(root: Path) -> None:
    folder = VoiceFolder(root)
    with ThreadPoolExecutor(20) as pool:
        found = [*pool.map(folder.get, ["animals-cat"] * 20)]
    assert found[0] is not None and all(voice is found[0] for voice in found)
    inner = root.joinpath(*"abcdefghijklmno")
    (inner / "p").mkdir(parents=True)
    (inner / "deep.wav").write_bytes(b"deep")
    (inner / "p/deeper.wav").write_bytes(b"deeper")
    folder = VoiceFolder(root)
    assert folder.recording("a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/deep.wav") == b"deep"
    assert (folder.get("o-deep") is None, folder.get("p-deeper") is None) == (False, True)


def test_transcript_and_list_are_bounded(
    root: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (root / "animals/cat.txt").write_text("猫" * 100_000, encoding="utf-8")
    voice = VoiceFolder(root).get("animals-cat")
    assert voice is not None and voice.sample_text == "猫" * 2000
    monkeypatch.setattr(voice_folder, "MAX_VOICES", 2)
    assert len(VoiceFolder(root).list()) == 2
    assert "too large" in caplog.text
    monkeypatch.setattr(voice_folder, "_MAX_ENTRIES", 3)
    assert len(VoiceFolder(root).list()) <= 1
