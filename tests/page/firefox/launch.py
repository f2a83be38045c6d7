"""Debian's Firefox for the page's tests, with a sound card: PulseAudio's, which plays into nothing.

Firefox plays nothing without a sound card, and its own fake microphone whistles: here the microphone hears a
recording, as Chromium's does.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.conftest import ROOT
from tests.support.patience import WITHIN_S

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Playwright

FIREFOX = ("firefox-esr", "firefox")
SOUND = ("pulseaudio", "pactl", "paplay")

PREFERENCES: dict[str, str | float | bool] = {
    # As where a visitor has allowed the microphone.
    "media.navigator.permission.disabled": True,
    # Unassigned names resolve to this machine.
    "network.dns.localDomains": "stranger.test,lan.test",
}

REPEATS = 40


def missing() -> str:
    """Return the name of a program that is not installed, "" if all are."""
    if not any(map(shutil.which, FIREFOX)):
        return FIREFOX[0]
    return next((name for name in SOUND if shutil.which(name) is None), "")


@contextmanager
def sound_card(folder: Path, recording: Path) -> Iterator[dict[str, str]]:
    """A sound card whose microphone hears ``recording`` again and again; yields its environment."""
    socket = folder / "pulse"
    environment = {
        **os.environ,
        "HOME": str(folder),
        "PULSE_RUNTIME_PATH": str(folder),
        "PULSE_SERVER": f"unix:{socket}",
    }
    modules = (
        f"module-native-protocol-unix socket={socket} auth-anonymous=1",
        "module-null-sink sink_name=speaker",
        "module-null-sink sink_name=microphone",
    )
    command = ["pulseaudio", "-n", "--daemonize=yes", "--exit-idle-time=-1", "--use-pid-file=yes"]
    # Returns once the socket is there.
    subprocess.run(
        [*command, *(f"--load={module}" for module in modules)],
        env=environment,
        check=True,
        stderr=subprocess.DEVNULL,
    )
    try:
        for default in (("sink", "speaker"), ("source", "microphone.monitor")):
            subprocess.run(["pactl", f"set-default-{default[0]}", default[1]], env=environment, check=True)
        play = ["paplay", "--device=microphone", _repeated(recording, folder / "microphone.wav")]
        with subprocess.Popen(play, env=environment) as playing:
            yield environment
            playing.terminate()
    finally:
        subprocess.run(["pulseaudio", "--kill"], env=environment, check=True)


def _repeated(recording: Path, path: Path) -> str:
    with wave.open(str(recording)) as given, wave.open(str(path), "wb") as made:
        made.setparams(given.getparams())
        made.writeframes(given.readframes(given.getnframes()) * REPEATS)
    return str(path)


@contextmanager
def running(playwright: Playwright, folder: Path, recording: Path) -> Iterator[Browser]:
    """Firefox without a window; ``folder`` is for what it writes."""
    executable = folder / "firefox"
    firefox = next(filter(None, map(shutil.which, FIREFOX)))
    executable.write_text(
        f'#!/bin/sh\ncd "{ROOT}" && exec "{sys.executable}" -m tests.page.firefox.bidi "{firefox}" "$@"\n'
    )
    executable.chmod(0o755)
    with sound_card(folder, recording) as environment:
        browser = playwright.firefox.launch(
            channel="moz-firefox",
            executable_path=executable,
            firefox_user_prefs=PREFERENCES,
            downloads_path=folder / "saved",
            env={**environment, "HOME": os.environ["HOME"]},
            timeout=1000 * WITHIN_S,
        )
        yield browser
        browser.close()
