"""The packages that `uv run start_websocket_server.py` installs."""

import re
import tomllib

import pytest
from packaging.requirements import Requirement

from deploy.script_metadata import REQUIREMENTS, SCRIPT, updated
from tests.deploy.environment import requirements

# The regular expression of the inline script metadata specification.
SPECIFIED = re.compile(r"(?m)^# /// (?P<type>[a-zA-Z0-9-]+)$\s(?P<content>(^#(| .*)$\s)+)^# ///$")


def metadata(script: str) -> dict[str, object]:
    """Return the metadata of a script, as its specification reads them."""
    (found,) = SPECIFIED.finditer(script)
    assert found["type"] == "script"
    return tomllib.loads(re.sub(r"(?m)^# ?", "", found["content"]))


def test_script_block_lists_the_requirements() -> None:
    script = SCRIPT.read_text(encoding="utf-8")
    assert updated(script, REQUIREMENTS.read_text(encoding="utf-8")) == script, (
        "run python deploy/script_metadata.py"
    )
    found = metadata(script)
    listed = found["dependencies"]
    assert isinstance(listed, list)
    assert [Requirement(each) for each in listed] == requirements(REQUIREMENTS)
    project = tomllib.loads((SCRIPT.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert found["requires-python"] == project["requires-python"]


def test_script_without_block_is_refused() -> None:
    with pytest.raises(ValueError, match="this one 0"):
        updated("print()\n", "a==1\n")
