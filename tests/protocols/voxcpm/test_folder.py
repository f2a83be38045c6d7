"""The folder of recorded voices: what is in it, and that nothing outside is reached through it."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kani.core.errors import InvalidRequest, UnknownVoice
from kani.protocols.voxcpm import voice_folder
from kani.protocols.voxcpm.voice_folder import VoiceFolder
from tests.support import permissions

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


def test_voice_is_found_by_id(root: Path) -> None:
    folder = VoiceFolder(root)
    (root / "animals/zoe\u0308.wav").write_bytes(b"zoe's")
    granny, zoe = folder.get("dubbing-granny"), folder.get("animals-zo\u00eb")
    assert granny is not None and folder.read(granny) == b"granny's recording"
    assert zoe is not None and zoe.id == "animals-zo\u00eb" and folder.read(zoe) == b"zoe's"
    assert folder.get("animals-zoe\u0308") == zoe
    assert folder.get("dubbing-nobody") is None and folder.get("") is None and folder.get("\ud800") is None


def test_missing_file_is_unknown_voice(root: Path) -> None:
    folder = VoiceFolder(root)
    granny, uncle = folder.get("dubbing-granny"), folder.get("dubbing-uncle")
    assert granny is not None and uncle is not None
    (root / "doubao/dubbing/granny.mp3").unlink()
    os.truncate(root / "doubao/dubbing/uncle.FLAC", 10 * 2**20 + 1)
    for voice in (granny, uncle):
        with pytest.raises(UnknownVoice):
            folder.read(voice)


def test_folder_may_be_link(root: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(root)
    folder = VoiceFolder(tmp_path / "link")
    for path in ("doubao/dubbing/granny.mp3", "./doubao//dubbing/./granny.mp3"):
        assert folder.recording(path) == VoiceFolder(root).recording(path) == b"granny's recording"
    assert len(folder.list()) == 4


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


LINKS: dict[str, Callable[[Path, Path], None]] = {
    "a file outside": lambda root, out: (root / "animals/link.wav").symlink_to(out / "secret.wav"),
    "a relative file outside": lambda root, out: (root / "animals/link.wav").symlink_to("../../secret.wav"),
    "nothing outside": lambda root, out: (root / "animals/link.wav").symlink_to(out / "missing.wav"),
    "itself": lambda root, out: (root / "animals/link.wav").symlink_to("link.wav"),
    "a file inside": lambda root, out: (root / "animals/link.wav").symlink_to("cat.wav"),
    "a pipe": lambda root, out: os.mkfifo(root / "animals/link.wav"),
    "a folder": lambda root, out: (root / "animals/link.wav").mkdir(),
    "a device": lambda root, out: (root / "animals/link.wav").symlink_to("/dev/zero"),
}


@pytest.mark.parametrize("kind", LINKS)
def test_special_file_is_never_opened(root: Path, tmp_path: Path, kind: str) -> None:
    LINKS[kind](root, tmp_path)
    assert refusal(root, "animals/link.wav") == NOT_HERE
    assert VoiceFolder(root).get("animals-link") is None


def test_linked_folder_is_not_followed(root: Path, tmp_path: Path) -> None:
    (root / "animals/inner").symlink_to(tmp_path / "outside")
    for inner in ("secret.wav", "missing.wav"):
        assert refusal(root, f"animals/inner/{inner}") == NOT_HERE
    assert VoiceFolder(root).get("inner-secret") is None


def test_special_transcript_is_ignored(root: Path, tmp_path: Path) -> None:
    (root / "animals/cat.txt").symlink_to(tmp_path / "secret.wav")
    os.mkfifo(root / "top.txt")
    folder = VoiceFolder(root)
    assert [voice.sample_text for voice in folder.list() if voice.name in ("cat", "top")] == ["", ""]


def test_path_and_file_size_are_limited(root: Path) -> None:
    assert "too long (at most 1000 characters" in refusal(root, "x/" * 10 + "x" * 1000)
    assert "too long" in refusal(root, "a/" * 17 + "x.wav")
    os.truncate(root / "animals/cat.wav", 10 * 2**20 + 1)
    assert refusal(root, "animals/cat.wav") == "prompt_wav_path: too large (at most 10 MiB)"
    os.truncate(root / "animals/cat.wav", 10 * 2**20)
    assert len(VoiceFolder(root).recording("animals/cat.wav")) == 10 * 2**20


def test_unreadable_file_is_refused(root: Path) -> None:
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


def test_concurrent_lookups_scan_once(root: Path) -> None:
    folder = VoiceFolder(root)
    with ThreadPoolExecutor(20) as pool:
        found = [*pool.map(folder.get, ["animals-cat"] * 20)]
    assert found[0] is not None and all(voice is found[0] for voice in found)


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


def test_folders_are_scanned_to_limited_depth(root: Path) -> None:
    inner = root.joinpath(*"abcdefghijklmno")
    (inner / "p").mkdir(parents=True)
    (inner / "deep.wav").write_bytes(b"deep")
    (inner / "p/deeper.wav").write_bytes(b"deeper")
    folder = VoiceFolder(root)
    assert folder.recording("a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/deep.wav") == b"deep"
    assert (folder.get("o-deep") is None, folder.get("p-deeper") is None) == (False, True)


def test_unprintable_names_are_ignored(root: Path) -> None:
    (root / "animals" / os.fsdecode(b"\xff.wav")).write_bytes(b"x")
    (root / "animals/a\nb.wav").write_bytes(b"x")
    (root / os.fsdecode(b"\xfe")).mkdir()
    assert len(VoiceFolder(root).list()) == 4
