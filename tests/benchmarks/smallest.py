"""The smallest part of each benchmark: what is run of it, in one process, with few sentences and rounds.

``python -m tests.benchmarks.smallest`` reads a list of programs in JSON, and writes a JSON object for each:
its name, its seconds, what it printed, and the traceback of its failure or "".
"""

import contextlib
import importlib
import io
import json
import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

from benchmarks import sentences
from benchmarks.recognition import clips
from benchmarks.server_process import Server

ROOT = Path(__file__).resolve().parents[2]
SENTENCES = 1
"""Number of each language, in each group of the benchmarks' sentences."""

Part = Callable[[ModuleType], object]


def cut(module: ModuleType, **constants: Any) -> None:
    """Set the module's constants; those that it has, so that a name that changes is noticed."""
    for name, value in constants.items():
        getattr(module, name)
        setattr(module, name, value)


def main_with(*arguments: str, **constants: Any) -> Part:
    def run(module: ModuleType) -> None:
        cut(module, **constants)
        sys.argv = [module.__name__, *arguments]
        module.main()

    return run


def kyutai_speech(module: ModuleType) -> None:
    cut(module, SHORT={"en": ("Of course.",)})
    module.PARTS["first"]()


def normalizer(module: ModuleType) -> None:
    """Compare a few pairs of two languages, one of them without spaces."""
    pairs = module.pairs
    cut(module, LANGUAGES=("en", "zh"), pairs=lambda language: pairs(language)[:9])
    main_with()(module)


def short_book(module: ModuleType) -> None:
    with tempfile.TemporaryDirectory() as folder:
        arguments = (folder, "--words", "300", "--seconds", "100")
        main_with(*arguments, WORDS_A_CHAPTER=60, SETTLED_AFTER=0, SAMPLE_EVERY_S=0.1)(module)


def quotation(module: ModuleType) -> None:
    with tempfile.TemporaryDirectory() as folder:
        texts = Path(folder, "texts")
        texts.write_text("es\ten\tEl cartel decía: «[[The show must go on]]».", encoding="utf-8")
        main_with(str(texts))(module)


WITHOUT_KOKORO: dict[str, Part] = {
    "document": main_with(),
    "listeners": lambda module: (
        cut(module, STEPS=(8,), CARD=8, CLIENTS=(2,)),
        *(part() for part in module.PARTS.values()),
    ),
    "server.load": lambda module: module.streams(2, 1),
    "server.own_share": main_with(ROUNDS=1, CLIENTS=2, SECONDS=1),
    "server.stream_second": main_with("--only", "kani", ROUNDS=1, CLIENTS=2, WARM=1, TEXT_CHARACTERS=20),
    "text.language_detection": lambda module: module.clients(),
    "text.long_book": short_book,
    "text.normalizer": normalizer,
}
"""Programs that run by espeak-ng, or without any engine."""

WITH_KOKORO: dict[str, Part] = {
    "kokoro.words": main_with(),
    "languages.heard": main_with("zh", "--count", "1"),
    "languages.quotations": quotation,
    "protocols.kyutai_speech": kyutai_speech,
    "recognition.names": main_with("--count", "1", "--way", "file"),
    "recognition.realtime_socket": main_with("words"),
    "recognition.repeats": main_with("--count", "1", "--utterances", "1", "--runs", "1"),
    "recognition.streams": main_with("one", WORDS=8),
    "text.ssml_heard": main_with("--count", "1"),
}
"""Programs that need Kokoro, Whisper or both."""


def few_sentences() -> None:
    """Leave ``SENTENCES`` of each language in the benchmarks' groups, and one in a recogniser's clip."""
    cut(clips, SENTENCES_A_CLIP=1)
    for group in vars(sentences).values():
        if isinstance(group, dict):
            for language, texts in group.items():
                if isinstance(texts, tuple):
                    group[language] = texts[:SENTENCES]


@contextlib.contextmanager
def shared_servers(*, default: bool) -> Iterator[None]:
    """Give programs that ask for a server alike the same one, which ends with the context.

    default: give all of them one with Kokoro, espeak-ng and the recogniser.
    """
    enter, leave = Server.__enter__, Server.__exit__
    running: dict[tuple[object, ...], Server] = {}

    def share(asked: Server) -> Server:
        key = () if default else (asked._arguments, *sorted(asked._environment.items()))
        if key not in running:
            running[key] = enter(Server() if default else asked)
        vars(asked).update(vars(running[key]))
        return asked

    with mock.patch.multiple(Server, __enter__=share, __exit__=lambda *_: None):
        try:
            yield
        finally:
            for server in running.values():
                leave(server, None, None, None)


def outcome(name: str) -> dict[str, Any]:
    """Run a program's part; what became of it."""
    printed, failure = io.StringIO(), ""
    begun = time.perf_counter()
    try:
        with contextlib.redirect_stdout(printed):
            module = importlib.import_module(f"benchmarks.{name}")
            (WITHOUT_KOKORO | WITH_KOKORO)[name](module)
    except (Exception, SystemExit) as error:
        if isinstance(error, SystemExit) and error.code == 128 + signal.SIGTERM:
            raise
        failure = traceback.format_exc()
    spent_s = time.perf_counter() - begun
    return {"name": name, "seconds": round(spent_s, 1), "printed": printed.getvalue(), "failure": failure}


def main() -> None:
    os.chdir(ROOT)
    few_sentences()
    names = json.load(sys.stdin)
    # What a library or another process prints goes to standard error.
    told = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    with told, shared_servers(default=not WITHOUT_KOKORO.keys() & set(names)):
        for name in names:
            print(json.dumps(outcome(name)), file=told, flush=True)


if __name__ == "__main__":
    main()
