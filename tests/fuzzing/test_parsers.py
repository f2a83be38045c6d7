"""Every parser with wrong inputs: it raises documented errors only.

``FUZZ_INPUTS``: inputs for each parser (200, in CI 2,000); ``FUZZ_SEED``: selects them (0).
"""

import asyncio
import gc
import os
import resource
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fuzzing import inputs, messages
from tests.fuzzing.mutator import Case, Mutator
from tests.support.sessions import build
from tests.support.tone import ToneEngine

INPUTS = int(os.environ.get("FUZZ_INPUTS", "2000" if "CI" in os.environ else "200"))
SEED = os.environ.get("FUZZ_SEED", "0")

MAX_CPU_S = 5.0
"""For one input of a few kilobytes: a guard, most take less than a millisecond."""

MAX_GROWTH_BYTES = 96 << 20
"""Bytes that a case may add to the peak memory of the process."""

NAMES = {*messages.SAMPLES, "kyutai voice payload", *inputs.NAMES}


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Case]]:
    folder = tmp_path_factory.mktemp("fuzzing")
    loop = asyncio.new_event_loop()
    service = build(folder / "data", ToneEngine())
    loop.run_until_complete(service.start())
    cases = {case.name: case for case in [*messages.cases(service, loop), *inputs.cases(folder)]}
    assert {*cases} == NAMES
    yield cases
    loop.run_until_complete(service.stop())
    loop.close()


def open_files_and_threads() -> tuple[int, int]:
    return len([*Path("/proc/self/fd").iterdir()]), threading.active_count()


# Starlette leaves it to Python to close what it holds, in memory, of a part that breaks off.
@pytest.mark.filterwarnings("ignore:Unclosed file <tempfile.SpooledTemporaryFile:ResourceWarning")
@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize("name", sorted(NAMES))
def test_parser_raises_only_documented_errors(table: dict[str, Case], name: str) -> None:
    """In bounded time and memory; no file and no thread is left open."""
    case = table[name]
    mutator = Mutator(f"{SEED}/{name}")
    for sample in case.samples:
        case.make(Mutator("warm"), sample)
    gc.collect()
    files_before, most_before = open_files_and_threads(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(round(INPUTS * case.share)):
        given = case.make(mutator, case.samples[number % len(case.samples)])
        began = time.thread_time()
        try:
            case.parse(given)
        except case.errors as error:
            # Clients receive it as UTF-8.
            str(error).encode(errors="surrogatepass")
        except Exception as error:
            pytest.fail(f"input {number} of {name}: {type(error).__name__}: {error!r:.300}\n{given!r:.500}")
        took = time.thread_time() - began
        assert took < MAX_CPU_S, f"input {number} of {name} took {took:.1f} s"
    gc.collect()
    assert all(now <= before for now, before in zip(open_files_and_threads(), files_before, strict=True))
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - most_before) * 1024
    assert grown < MAX_GROWTH_BYTES
