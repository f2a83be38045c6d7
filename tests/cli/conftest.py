"""The programs in this process, by their command lines."""

import io
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest

from kani.cli import client
from tests.conftest import ServerProcess


@dataclass(frozen=True)
class Ended:
    code: object
    out: str
    err: str

    @property
    def failure(self) -> str:
        """The one line of a program that failed."""
        assert (self.code, self.err.count("\n")) == (1, 1), self.err
        return self.err


Run = Callable[..., Ended]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run ``python websocket_client.py`` by default, with a standard input and variables, to its end."""

    def program(
        *arguments: str | Path,
        text: str | bytes = b"",
        main: Callable[[Sequence[str]], int] = client.main,
        **variables: str,
    ) -> Ended:
        given = io.BytesIO(text.encode() if isinstance(text, str) else text)
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdin", SimpleNamespace(buffer=given, isatty=lambda: False))
            for name, value in variables.items():
                patch.setenv(name, value)
            try:
                code: object = main([str(argument) for argument in arguments])
            except SystemExit as ended:
                code = ended.code
        said = capsys.readouterr()
        return Ended(code, said.out, said.err)

    return program


@pytest.fixture
def ask(run: Run, espeak_server: ServerProcess) -> Run:
    """The same at the server that speaks by espeak-ng."""
    return lambda *arguments, **given: run(*arguments, "--server", espeak_server.url, **given)
