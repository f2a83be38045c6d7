"""Connections and files of a default server while it speaks, is interrupted and listens.

It starts in an empty home, without any variable of this environment, under strace (which has to be
installed), and every address is counted that is not this machine's own.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
import wave
from contextlib import aclosing
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks.report import report_section, table
from websocket_client import KaniTTSClient

ROOT = Path(__file__).resolve().parents[2]
STRACE = shutil.which("strace")
READY_WITHIN_S = 300.0
STOP_WITHIN_S = 120.0
SENTENCE = "Buenos días, esta frase es lo bastante larga para que alguien la interrumpa."
OWN = (".cache/kani-tts", ".local/share/kani-tts", "server.log", "trace", "terminal")
"""Files that the server may write below its home, and those of this program beside them."""

_ADDRESS = re.compile(
    r"sa_family=AF_INET6?, sin6?_port=htons\((?P<port>\d+)\)"
    r'.*?(?:inet_addr\(|inet_pton\(AF_INET6, )"(?P<host>[^"]+)"'
)
_OUTGOING = re.compile(r"\b(?:connect|sendto|sendmsg|sendmmsg)\(")
_READY = re.compile(r"address +ws://(?P<host>\S+):(?P<port>\d+)")
_DNS = 53


@dataclass(frozen=True, slots=True)
class Outgoing:
    """Findings: files outside the server's own, addresses of other machines, DNS questions."""

    files: tuple[str, ...]
    elsewhere: tuple[str, ...]
    questions: tuple[str, ...]


class TracedServer:
    """``with TracedServer(folder) as server:``, ready inside; ``outgoing`` once it has ended."""

    def __init__(self, home: Path) -> None:
        """home: an empty folder."""
        self.home = home
        self.host, self.port = "", 0

    def __enter__(self) -> Self:
        assert STRACE is not None
        self._terminal = (self.home / "terminal").open("w+", encoding="utf-8")
        self._process = subprocess.Popen(
            [
                # -D: the tracer is not the parent, so that signals reach the server.
                *(STRACE, "-D", "-f", "-qq", "--seccomp-bpf", "-e", "trace=network", "-s", "0"),
                *("-o", str(self.home / "trace"), sys.executable, str(ROOT / "start_websocket_server.py")),
                *("--port", "0"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=self._terminal,
            stderr=subprocess.STDOUT,
            cwd=self.home,
            env={
                "HOME": str(self.home),
                "PATH": "/usr/bin:/bin",
                "KANI_LOG_FILE": str(self.home / "server.log"),
            },
        )
        deadline = time.monotonic() + READY_WITHIN_S
        while (ready := _READY.search(self._said())) is None:
            if self._process.poll() is not None or time.monotonic() > deadline:
                self._process.kill()
                raise RuntimeError(f"the server did not start:\n{self._said()}")
            time.sleep(0.1)
        self.host, self.port = ready["host"], int(ready["port"])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(STOP_WITHIN_S)
        self._terminal.close()

    def _said(self) -> str:
        return (self.home / "terminal").read_text(encoding="utf-8")

    async def speak(self) -> bytes:
        """Stream a sentence to its end; return its audio as a WAV file."""
        content = io.BytesIO()
        async with KaniTTSClient(self.host, self.port) as client:
            parts = [part async for part in client.stream(SENTENCE)]
        with wave.open(content, "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(parts[0].sample_rate)
            file.writeframes(b"".join(part.pcm for part in parts))
        return content.getvalue()

    async def interrupt(self) -> None:
        """Stream the beginning of a sentence, and disconnect."""
        async with KaniTTSClient(self.host, self.port) as client:
            async with aclosing(client.stream(SENTENCE)) as parts:
                await anext(parts)

    def listen(self, recording: bytes) -> int:
        """Recognize a recording; return the number of its words."""
        url = f"http://{self.host}:{self.port}/api/asr-streaming?auth_id=public_token"
        request = urllib.request.Request(url, recording)
        with urllib.request.urlopen(request, timeout=READY_WITHIN_S) as answer:
            return len(json.loads(answer.read()))

    def outgoing(self) -> Outgoing:
        """Return the findings after the end of the server."""
        files = [str(path.relative_to(self.home)) for path in self.home.rglob("*") if path.is_file()]
        elsewhere, questions = [], []
        for line in (self.home / "trace").read_text(encoding="utf-8", errors="replace").splitlines():
            if not _OUTGOING.search(line):
                continue
            for found in _ADDRESS.finditer(line):
                if int(found["port"]) == _DNS:
                    questions.append(line)
                elif not ip_address(found["host"]).is_loopback:
                    elsewhere.append(line)
        return Outgoing(
            tuple(sorted(file for file in files if not file.startswith(OWN))),
            tuple(elsewhere),
            tuple(questions),
        )


async def exercise(server: TracedServer, minutes: float, interruptions: int) -> int:
    """Speak, interrupt and recognize, spread over the time; return the number of whole sentences."""
    began = time.monotonic()
    recording = await server.speak()
    await asyncio.to_thread(server.listen, recording)
    spoken = 1
    for index in range(interruptions):
        await server.interrupt()
        due = began + 60 * minutes * (index + 1) / interruptions
        while time.monotonic() + 5 < due:
            await server.speak()
            spoken += 1
            await asyncio.sleep(min(5.0, due - time.monotonic()))
    return spoken


def main() -> None:
    """Print the findings."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.server.outgoing", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--interruptions", type=int, default=20)
    given = parser.parse_args()
    if STRACE is None:
        sys.exit("benchmarks.server.outgoing needs strace: apt-get install strace")
    with (
        report_section("What leaves a default server", "faster-whisper", "huggingface-hub", "torch"),
        tempfile.TemporaryDirectory(prefix="outgoing-") as folder,
    ):
        with TracedServer(Path(folder)) as server:
            spoken = asyncio.run(exercise(server, given.minutes, given.interruptions))
        left = server.outgoing()
        print(
            f"{given.minutes:g} minutes, {spoken} sentences, {given.interruptions} interruptions, 1 recording"
        )
        rows = [
            ("files that are not the server's own", str(len(left.files)), " ".join(left.files)),
            ("sockets to other machines", str(len(left.elsewhere)), " ".join(left.elsewhere[:3])),
            ("questions for names", str(len(left.questions)), " ".join(left.questions[:3])),
        ]
        print(table(("what left it", "how many", "which"), rows))


if __name__ == "__main__":
    main()
