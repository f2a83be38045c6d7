"""``kani-tts say``, ``listen`` and ``voices`` with wrong options: a line and code 2, before a model loads."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from kani.cli import speech_commands
from kani.core.service import SpeechService

WRONG = [
    ("say", "hi -o x.xyz", "x.xyz: the name has to end with one of .wav, .mp3"),
    ("say", "hi -o none/x.wav", "-o none/x.wav: there is no folder none"),
    ("say", "hi -o x.wav --voice nobody", "--voice: unknown voice 'nobody'"),
    ("say", "hi -o x.wav --language klingonish", "--language: unsupported language 'klingonish'"),
    ("say", "hi -o x.wav --speed 9", "--speed: must be between 0.25 and 4"),
    ("say", "hi -o x.wav --emotion furious", "--emotion: unknown emotion 'furious'"),
    ("say", "hi -o x.wav --reference none.wav", "none.wav: No such file or directory"),
    ("say", "hi -o x.wav --engine festival", "--engine='festival': has to be one of"),
    ("say", "hi -o x.wav --oice ef_dora", "unrecognized arguments: --oice ef_dora; did you mean --voice?"),
    ("say", "none.epub -o x.m4b", "none.epub: No such file or directory"),
    ("listen", "none.wav", "none.wav: No such file or directory"),
    ("listen", "none.wav --recognizer deaf", "--recognizer='deaf': has to be one of"),
    ("voices", "--engine festival", "--engine='festival': has to be one of"),
]


@pytest.mark.parametrize(("command", "options", "complaint"), WRONG)
def test_wrong_option_is_one_line_before_a_voice_loads(
    command: str,
    options: str,
    complaint: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delattr(SpeechService, "start")
    try:
        code: object = speech_commands.main(command, options.split())
    except SystemExit as ended:
        code = ended.code
    told = capsys.readouterr().err
    assert (code, told.count("\n")) == (2, 1) and told.startswith(f"kani-tts {command}: {complaint}"), told
    assert not list(tmp_path.iterdir())


def test_player_that_is_missing_is_told_before_a_voice_loads(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    monkeypatch.delattr(SpeechService, "start")
    assert speech_commands.main("say", ["hi"]) == 1
    assert "no player found" in capsys.readouterr().err
