"""Program that ends a server when its event loop stands still: ``process.py PID HANG_S STOP_S``.

Standard input: a zero byte for each beat of the loop; anything else says that the server was told to stop.
From then on ``STOP_S`` seconds without a beat are enough, if they are fewer than ``HANG_S``. When the input
ends, the server has ended, and so does this program. It imports nothing of the package, which would take ten
times its memory.
"""

import os
import select
import signal
import sys
import time

KILL_AFTER_S = 10.0
"""Seconds that the server has to write its stacks."""


def main(server: int, hang_s: float, stop_s: float) -> None:
    """Read beats until the server ends, or is ended."""
    for number in (signal.SIGINT, signal.SIGTERM):
        # They are for the server: a terminal sends them to both.
        signal.signal(number, signal.SIG_IGN)
    limit_s, silent_s = hang_s, 0.0
    step_s = min(1.0, hang_s / 10, stop_s / 10)
    while silent_s < limit_s:
        # Steps are counted instead of time: a machine that slept, or a server that was stopped, has not hung.
        if select.select([0], [], [], step_s)[0]:
            told = os.read(0, 1 << 16)
            if not told:
                return
            if told.strip(b"\0"):
                limit_s = min(hang_s, stop_s)
            if b"\0" in told:
                silent_s = 0.0
        elif not is_stopped(server):
            silent_s += step_s
    sentence = f"kani-tts: the event loop has not run for {limit_s:g} s: the server is ended by SIGABRT\n"
    sys.stderr.write(sentence)
    sys.stderr.flush()
    os.kill(server, signal.SIGABRT)
    if not ends_within(KILL_AFTER_S):
        os.kill(server, signal.SIGKILL)


def is_stopped(process: int) -> bool:
    """Return True for a process that a signal or a debugger has stopped."""
    try:
        with open(f"/proc/{process}/stat", "rb") as file:  # noqa: PTH123 - pathlib would take a megabyte
            return file.read().rpartition(b")")[2].split()[0] in b"Tt"
    except OSError:
        # macOS has no such file.
        import subprocess

        try:
            command = ["/bin/ps", "-o", "state=", "-p", str(process)]
            told = subprocess.run(command, capture_output=True, check=False)  # noqa: S603 - a number
        except OSError:
            return False
        return told.stdout.strip().startswith(b"T")


def ends_within(seconds: float) -> bool:
    """Return True once standard input ends; False if it does not within ``seconds``."""
    until = time.monotonic() + seconds
    while (left_s := until - time.monotonic()) > 0:
        if select.select([0], [], [], left_s)[0] and not os.read(0, 1 << 16):
            return True
    return False


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]))
