"""Tests that hang, run by pytest in processes of its own."""

import os
import re
from pathlib import Path

from tests.running.sources import ROOT
from tests.support.programs import python

SHORT = """
from tests.running import by_file, limit
limit.FIRST_TIER_S, limit.AGAIN_S = 1.0, 0.3

def pytest_configure(config):
    config.pluginmanager.register(by_file)
    config.pluginmanager.register(limit)
"""

HANGING = """
import asyncio, contextlib, signal, threading, time
import pytest
from hypothesis import given, strategies

@contextlib.asynccontextmanager
async def site():
    await asyncio.get_running_loop().create_future()  # never
    yield

async def test_awaits():
    async with site():
        pass

async def test_ends_well_when_it_is_cancelled():
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.Event().wait()

async def test_goes_on_when_it_is_cancelled():
    while True:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(10)

@given(strategies.integers())
def test_waits(number):
    with contextlib.suppress(Exception, pytest.fail.Exception):
        threading.Event().wait()

@pytest.fixture
async def endless():
    yield
    await asyncio.Event().wait()

def test_does_not_end(endless):
    pass

def test_is_not_interrupted():
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
    time.sleep(1000)

@pytest.mark.heard
def test_of_another_tier():
    pass
"""


def test_each_test_that_hangs_fails_and_says_where_and_the_others_run(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(SHORT)
    (tmp_path / "test_hanging.py").write_text(HANGING)
    options = ("-c", ROOT / "pyproject.toml", "--rootdir", ROOT, "-p", "no:cacheprovider", "-m", "", "-rfEp")
    wide = os.environ | {"COLUMNS": "200"}
    done = python("-m", "pytest", *options, "-n", "1", tmp_path, code=1, env=wide)
    ended = dict(re.findall(r"(?m)^(?:FAILED|ERROR) \S+::(\w+) - (.+)$", done.stdout))
    assert set(ended) == set(re.findall(r"def (test_\w+)", HANGING)) - {"test_of_another_tier"}
    assert re.search(r"(?m)^PASSED \S+::test_of_another_tier$", done.stdout)
    assert re.search(r"(?m)^> +await \S+create_future\(\)  # never$", done.stdout)
    assert re.search(r'(?m)^  File "\S+test_hanging\.py", line \d+ in test_is_not_interrupted$', done.stderr)
    assert "crashed" in ended.pop("test_is_not_interrupted")
    assert all("it has not ended in 1 s" in why for why in ended.values()), ended
