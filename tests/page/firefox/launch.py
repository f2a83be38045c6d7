"""Debian's Firefox for the page's tests, with a sound card: PulseAudio's, which plays into nothing.

Firefox plays nothing without a sound card, and its own fake microphone whistles: here the microphone hears a
recording, as Chromium's does.
"""

import faulthandler
import os
import shutil
import signal
import subprocess
import sys
import threading
import wave
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from playwright.sync_api import Browser, Playwright

from tests.conftest import ROOT
from tests.support.patience import WITHIN_S
from tests.support.servers.socket_folder import socket_folder

FIREFOX = ("firefox-esr", "firefox")
SOUND = ("pulseaudio", "pactl", "paplay")

Preferences = dict[str, str | float | bool]

PREFERENCES: Preferences = {
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
    return missing_sound()


def missing_sound() -> str:
    """Return the name of a program of ``sound_card`` that is not installed, "" if all are."""
    return next((name for name in SOUND if shutil.which(name) is None), "")


@contextmanager
def sound_card(folder: Path, recording: Path) -> Iterator[dict[str, str]]:
    """A sound card with a microphone that hears ``recording`` again and again; yields its environment."""
    with socket_folder() as sockets:
        yield from _sound_card(folder, recording, sockets / "pulse")


def _sound_card(folder: Path, recording: Path, socket: Path) -> Iterator[dict[str, str]]:
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


class Firefox:
    """Firefox without a window, which is started again where a test has left none."""

    def __init__(
        self, playwright: Playwright, folder: Path, preferences: Preferences, environment: dict[str, str]
    ) -> None:
        """folder: for what it writes; environment: of its process."""
        self._playwright = playwright
        self._preferences = PREFERENCES | preferences
        self._folder = folder
        self._environment = environment
        self._group = folder / "process"
        self._running: Browser | None = None
        program = next(filter(None, map(shutil.which, FIREFOX)))
        self._executable = folder / "firefox"
        # playwright makes the shell's process the leader of a group of processes.
        self._executable.write_text(
            f'#!/bin/sh\necho $$ >"{self._group}"\n'
            f'cd "{ROOT}" && exec "{sys.executable}" -m tests.page.firefox.bidi "{program}" "$@"\n'
        )
        self._executable.chmod(0o755)

    @contextmanager
    def within(self, seconds: float) -> Iterator[Browser]:
        """Yield the browser, for the time of one test, which loses it after ``seconds``.

        A page of Firefox may hang where no limit of the driver's counts. The threads are written to the
        standard error then, and all of Firefox is killed: whatever the test waits for fails, and the next
        test has a new browser.
        """
        guard = threading.Timer(seconds, self._give_up)
        guard.start()
        try:
            yield self._browser()
        finally:
            guard.cancel()

    def _browser(self) -> Browser:
        if self._running is None or not self._running.is_connected():
            self._group.unlink(missing_ok=True)
            self._running = self._playwright.firefox.launch(
                channel="moz-firefox",
                executable_path=self._executable,
                firefox_user_prefs=self._preferences,
                downloads_path=self._folder / "saved",
                env=self._environment,
                timeout=1000 * WITHIN_S,
            )
        return self._running

    def _give_up(self) -> None:
        faulthandler.dump_traceback(2)
        if self._group.exists():
            with suppress(ProcessLookupError):
                os.killpg(int(self._group.read_text()), signal.SIGKILL)

    def close(self) -> None:
        if self._running is not None:
            self._running.close()


@contextmanager
def running(
    playwright: Playwright, folder: Path, recording: Path, preferences: Preferences
) -> Iterator[Firefox]:
    """Firefox with a sound card and microphone that hears ``recording``; ``folder``: for what it writes."""
    with sound_card(folder, recording) as environment:
        firefox = Firefox(playwright, folder, preferences, {**environment, "HOME": os.environ["HOME"]})
        yield firefox
        firefox.close()
