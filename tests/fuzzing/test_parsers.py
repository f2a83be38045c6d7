"""Every parser of files, texts and answers with wrong inputs: it raises documented errors only.

``FUZZ_INPUTS``: inputs for each parser (200, in CI 2,000); ``FUZZ_SEED``: selects them (0). Messages of
clients are mutated by ``tests/protocols/foreign``, which sends them to a server.
"""

import gc
import resource
import threading
import time
from pathlib import Path

import pytest

from tests.fuzzing.inputs import NAMES, cases
from tests.fuzzing.mutator import INPUTS, SEED, Case, Mutator

MAX_CPU_S = 5.0
"""For one input of a few kilobytes: a guard, most take less than a millisecond."""

MAX_GROWTH_BYTES = 96 << 20
"""Bytes that a case may add to the peak memory of the process."""


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Case]:
    table = {case.name: case for case in cases(tmp_path_factory.mktemp("fuzzing"))}
    assert {*table} == {*NAMES}
    return table


def open_files_and_threads() -> tuple[int, int]:
    return len([*Path("/proc/self/fd").iterdir()]), threading.active_count()


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize("name", NAMES)
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
