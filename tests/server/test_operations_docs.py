"""docs/monitoring.md and its alert rules against what a real server shows."""

import re
import shutil
import subprocess
from pathlib import Path

import httpx2
import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from kani.cli.server_options import parser
from kani.composition import settings
from kani.protocols.books_api import files
from tests.conftest import ServerProcess
from tests.running.sources import ROOT

DOCS = ROOT / "docs"
PAGE = "\n".join(
    (DOCS / f"{name}.md").read_text(encoding="utf-8") for name in ("operations", "security", "monitoring")
)
RULES = (DOCS / "alerts.yml").read_text(encoding="utf-8")
METRIC = re.compile(r"\b(?:kani|process|python|py|asr)_[a-z][a-z_]*[a-z]\b")
PARTS = re.compile(r"_(?:bucket|sum|count)$")
QUERY = re.compile(r"```promql\n(.+?)```", re.DOTALL)
ORIGINALS = ("py_", "asr_")


def families(exposition: bytes) -> dict[str, Metric]:
    """Families of /metrics by the name under which their samples are stored."""
    found = text_string_to_metric_families(exposition.decode())
    return {f"{each.name}_total" if each.type == "counter" else each.name: each for each in found}


@pytest.fixture(scope="module")
def exposition(espeak_server: ServerProcess) -> bytes:
    """Metrics of a server that has spoken."""
    httpx2.post(f"{espeak_server.http_url}/tts", json={"text": "Hola."}).raise_for_status()
    return httpx2.get(f"{espeak_server.http_url}/metrics").content


def rows(heading: str) -> list[list[str]]:
    """The cells of the first table after a heading."""
    table = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line.strip("|").split("|") for line in table.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line] for line in lines[2:]]


def test_every_metric_that_is_written_of_exists(exposition: bytes) -> None:
    there = families(exposition).keys()
    for text in (PAGE, RULES):
        mentioned = {PARTS.sub("", name) for name in METRIC.findall(text)}
        assert mentioned and mentioned <= there, mentioned - there
    others = [name for name in there if not name.startswith(("kani_", "process_", "python_"))]
    assert others and all(name.startswith(ORIGINALS) for name in others)


def test_every_metric_of_ours_is_in_the_table(exposition: bytes) -> None:
    there = families(exposition)
    told = {
        name: (kind, {label.strip() for label in labels.split(",") if label.strip()})
        for cells in rows("Metrics")
        for name in re.findall(r"`(kani_[a-z_]+)`", cells[0])
        for kind, labels in [cells[1:3]]
    }
    assert set(told) == {name for name in there if name.startswith("kani_")}
    for name, (kind, labels) in told.items():
        assert kind == there[name].type, name
        assert all(set(sample.labels) - {"le"} == labels for sample in there[name].samples), name


def test_there_are_ten_queries_and_every_alert_is_explained() -> None:
    queries = QUERY.findall(PAGE)
    assert len(queries) == len(set(queries)) == 10
    assert all(METRIC.search(query) for query in queries)
    explained = {name for cells in rows("Alerts") for name in re.findall(r"`(Kani\w+)`", cells[0])}
    assert explained == set(re.findall(r"- alert: (\w+)", RULES))


def test_proxies_let_in_what_the_server_takes() -> None:
    recordings = settings.load({}, {}, Path("no file")).max_upload << 20
    values = (ROOT / "deploy" / "helm" / "values.yaml").read_text(encoding="utf-8")
    for text, pattern in ((PAGE, r"client_max_body_size (\d+)m;"), (values, r"proxy-body-size: (\d+)m\n")):
        (mebibytes,) = re.findall(pattern, text)
        assert int(mebibytes) << 20 >= max(files.MAX_BYTES, recordings)


def test_every_setting_and_option_that_is_written_of_exists() -> None:
    known = {variable for field in settings.fields() for variable in settings.variables(field)}
    assert set(re.findall(r"\bKANI_[A-Z_]+[A-Z]\b", PAGE)) <= known
    options = {option for action in parser()._actions for option in action.option_strings}
    ours = [line for line in PAGE.splitlines() if "start_websocket_server.py" in line]
    assert ours and {option for line in ours for option in re.findall(r"(--[a-z-]+)", line)} <= options


def test_every_port_in_the_table_is_its_settings_default() -> None:
    defaults = settings.load({}, {}, Path("no file"))
    for port, setting, *_ in rows("Ports"):
        variable, _, further = setting.partition(" and ")
        number = defaults.value(variable.strip("`").removeprefix("KANI_").lower())
        # The port for metrics is opened where it is named.
        assert number is None or number + int(further or 0) == int(port)


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool (of Prometheus) is not here")
def test_promtool_finds_nothing_to_say(exposition: bytes) -> None:
    for arguments, given in (
        (["check", "config", str(DOCS / "prometheus.yml")], None),
        (["check", "rules", str(DOCS / "alerts.yml")], None),
        (["test", "rules", str(ROOT / "tests" / "server" / "alerts_test.yml")], None),
        (["check", "metrics"], exposition),
    ):
        done = subprocess.run(["promtool", *arguments], input=given, capture_output=True, timeout=300)
        assert done.returncode == 0, (done.stdout + done.stderr).decode()
        assert given is None or not done.stdout + done.stderr
