"""What documents name: files, anchors, programs, and in architecture.md classes, functions and settings."""

import json
import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest
from platformdirs.macos import MacOS
from platformdirs.unix import Unix

import benchmarks.document
from kani.composition.settings import fields, variables
from tests import package_drawing
from tests.conftest import SMOKE
from tests.deploy.environment import requirements
from tests.running.sources import ROOT, files, source
from websocket_config import APP_NAME

DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").glob("*.md")])
README_OF_TESTS = (ROOT / "tests" / "README.md").read_text(encoding="utf-8")
BENCHMARKS = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")


def test_requirements_of_the_default_installation_bring_no_torch():
    heavy = {"torch", "transformers", "safetensors", "numba"}
    default, kani = (
        {each.name: str(each) for each in requirements(ROOT / file)}
        for file in ("requirements.txt", "requirements/kani.txt")
    )
    assert not heavy & {*default} and heavy - {"numba"} <= {*kani} and not {*default} & {*kani}
    assert re.findall(r"whl/cpu (torch==\S+)", CONTRIBUTING) == [kani["torch"]]


def test_nobody_is_told_to_install_this_package_from_an_index():
    """No index has it: somebody else may take its name there."""
    install = re.compile(
        r"(?:install|add|uvx|--upgrade)(?: --?\S+)* [\"'`]?kani[-_]tts(?:[-_]server)?(?![-\w])"
    )
    sources = [*(ROOT / "kani").rglob("*.py"), *(ROOT / "deploy").rglob("*"), *ROOT.glob("requirements*.txt")]
    files = [path for path in (*DOCUMENTS, *sources) if path.is_file()]
    texts = {path: path.read_text(encoding="utf-8", errors="replace") for path in files}
    assert not [path for path, text in texts.items() if install.search(text)]
    told = ("pip install --upgrade kani-tts-server", 'install "kani-tts[all]"', "add `kani-tts-server` to")
    assert all(map(install.search, told))


def test_nobody_is_told_to_install_into_the_systems_python() -> None:
    """Debian's, Homebrew's and others refuse it; a page makes an environment, or names the one there is."""
    found = []
    for page in DOCUMENTS:
        text = page.read_text(encoding="utf-8")
        if (install := re.search(r"^ *pip install.*$", text, re.M)) and page.name != "CHANGELOG.md":
            found.append(page.name)
            assert re.search(r"venv|environment", text[: install.end()]), page.name
    assert len(found) > 5


def test_folders_that_a_removal_names_are_those_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "docs" / "installation.md").read_text(encoding="utf-8")
    for system, folders in (("Linux", Unix), ("macOS", MacOS)):
        (row,) = re.findall(rf"^\| {system} \| (.*) \|$", text, re.M)
        for variable in ("XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME"):
            monkeypatch.delenv(variable, raising=False)
        user = folders(APP_NAME, appauthor=False)
        named = [str(Path(path.strip("`")).expanduser()) for path in row.split(" | ")]
        assert named[:2] == [user.user_data_dir, user.user_cache_dir]
        assert user.user_log_dir in (named[2], f"{named[2]}/log")


def test_every_program_that_is_named_exists():
    text = "\n".join(document.read_text(encoding="utf-8") for document in DOCUMENTS)
    named = set(re.findall(r"-m ((?:benchmarks|tools)\.[a-z][\w.]*)", text))
    named |= {f"benchmarks.{name}" for name in re.findall(r"^\| \d+ \| `([\w.]+)", BENCHMARKS, re.M)}
    assert len(named) > 20
    for name in named:
        path = ROOT / name.rstrip(".").replace(".", "/")
        program = path / "__main__.py" if path.is_dir() else path.with_suffix(".py")
        source = program.read_text(encoding="utf-8")
        assert 'if __name__ == "__main__":' in source, name


def test_lists_of_requirements_that_are_named_exist() -> None:
    named = {
        name
        for path in (*DOCUMENTS, *(ROOT / "tools").rglob("*.py"), *(ROOT / "deploy").glob("Dockerfile*"))
        for name in re.findall(
            r"(?<![\w./*-])(?:[a-z_]+/)*requirements[\w/-]*\.txt", path.read_text(encoding="utf-8")
        )
    }
    assert len(named) > 10
    assert not [name for name in named if not (ROOT / name).is_file()]


def test_benchmarks_page_is_what_the_results_say():
    """`python -m benchmarks.document --write` makes the page and its charts."""
    assert benchmarks.document.document() == BENCHMARKS
    for name, chart in benchmarks.document.charts().items():
        assert (ROOT / "docs" / name).read_text(encoding="utf-8") == chart


def test_results_name_their_machine_versions_date_load_and_command():
    results = sorted((ROOT / "benchmarks" / "results").glob("*.json"))
    assert len(results) > 10
    for file in results:
        result = json.loads(file.read_text(encoding="utf-8"))
        assert all(result[key] for key in ("title", "machine", "versions", "date", "others", "command"))
        for table in result["tables"]:
            assert {len(row) for row in table["rows"]} == {len(table["head"])}, file.name


def test_drawing_of_the_packages_is_what_they_import():
    """`python -m tests.package_drawing > docs/packages.svg` draws it."""
    assert (ROOT / "docs" / "packages.svg").read_text(encoding="utf-8") == package_drawing.drawing()


def test_folders_of_tests_mirror_the_product() -> None:
    """But for those that tests/README.md lists."""
    listed = re.findall(r"`([\w/]+)/`", README_OF_TESTS.partition("These folders mirror none")[2])
    for file in (ROOT / "tests").rglob("test_*.py"):
        folder = file.parent.relative_to(ROOT / "tests").as_posix()
        mirrored = (f"kani/{folder}", folder, re.sub("^text", "kani_text", folder))
        own = any(f"{folder}/".startswith(f"{name}/") or f"/{name}/" in f"/{folder}/" for name in listed)
        assert own or any((ROOT / name).is_dir() for name in mirrored), folder


def test_smoke_and_the_commands_of_a_room_name_tests_that_exist() -> None:
    named = [name for name in re.findall(r"\btests/[\w/.]+", README_OF_TESTS) if "NAME" not in name]
    missing = [name for name in (*named, *(f"tests/{name}" for name in SMOKE)) if not (ROOT / name).exists()]
    assert len(named) > 10 and not missing


def test_every_page_is_in_the_navigation_of_the_site() -> None:
    nav = (ROOT / "deploy" / "site" / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")[2]
    listed = re.findall(r"^ *- (?:.+: )?(\S+\.md)$", nav, re.M)
    pages = [path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")]
    assert set(pages) - set(listed) == set()


def test_documents_are_as_short_as_promised():
    """README, the benchmarks, and all pages but the settings', which are made from the program.

    The integration guide counts since it stands in docs/, with some 2,450 words.
    """
    words = {path: len(path.read_text(encoding="utf-8").split()) for path in DOCUMENTS}
    assert words[ROOT / "README.md"] <= 1_000
    assert words[ROOT / "docs" / "benchmarks.md"] <= 1_500
    pages = [path for path in words if ROOT / "docs" in path.parents and path.name != "settings.md"]
    assert sum(words[page] for page in pages) <= 48_130


CONTRIBUTING = (ROOT / "docs" / "CONTRIBUTING.md").read_text(encoding="utf-8")
LISTS = re.findall(r"^## Add an? (\w+)\n(.*?)(?=^## )", CONTRIBUTING, re.M | re.S)


def test_contributing_says_how_to_add_the_eight_parts() -> None:
    kinds = [kind for kind, _ in LISTS]
    assert kinds == ["language", "voice", "engine", "protocol", "format", "option", "metric", "setting"]


@pytest.mark.parametrize(("kind", "section"), LISTS, ids=[kind for kind, _ in LISTS])
def test_files_and_names_of_a_list_are_there(kind: str, section: str) -> None:
    """Each row's file is there, and holds the names that the row says of it."""
    listed = re.findall(r"^\| `([^`]+)` \| (.*) \|$", section, re.M)
    assert len(listed) >= 4
    for file, what in listed:
        text = (ROOT / file).read_text(encoding="utf-8")
        identifiers = [name for name in re.findall(r"`([\w.]+)`", what) if "/" not in name]
        assert not [name for name in identifiers if name not in text], file


def test_a_metric_stands_in_the_listed_modules_and_in_no_other() -> None:
    listed = {
        file for kind, section in LISTS if kind == "metric" for file in re.findall(r"`(kani/\S+)`", section)
    }
    found = [
        path for path in (ROOT / "kani").rglob("*.py") if "kani_queue_seconds" in path.read_text("utf-8")
    ]
    assert found and {str(path.relative_to(ROOT)) for path in found} <= listed


PATH = re.compile(r"`((?:kani|tests|benchmarks|tools|docs|examples|deploy)/[\w./-]+)`")
CODE = re.compile(r"(?s)(`+)(?!`).*?(?<!`)\1(?!`)")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_named_in_documents_exist(document: Path) -> None:
    """A path in backticks, and the target of a link to this repository."""
    text = document.read_text(encoding="utf-8")
    if document.name != "CHANGELOG.md":
        # kani/revisions is in the cache folder, not in the sources.
        named = {path for path in PATH.findall(text) if not path.startswith("kani/revisions")}
        assert not [path for path in named if not (ROOT / path).exists()]
    links = re.findall(r"\]\((?!http)([\w-]*[./][\w./-]*)(?:#[^)]*)?\)", CODE.sub("", text))
    links += re.findall(r'<img src="([^"]+)"', text)
    assert not [link for link in links if not (document.parent / link).exists()]


def anchors(document: Path) -> set[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    text = re.sub(r"^```.*?^```", "", document.read_text(encoding="utf-8"), flags=re.M | re.S)
    seen: Counter[str] = Counter()
    found = set()
    for heading in re.findall(r"^#+ +(.+?) *#*$", text, re.M):
        words = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower()
        anchor = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        found.add(f"{anchor}-{seen[anchor]}" if seen[anchor] else anchor)
        seen[anchor] += 1
    return found | set(re.findall(r'<a id="([^"]+)"></a>', text))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_anchors_of_links_exist(document: Path) -> None:
    text = re.sub(r"`[^`]*`", "", document.read_text(encoding="utf-8"))
    links = re.findall(r"\]\((?!http)([^)#\s]*)#([^)\s]+)\)", text)
    broken = [
        f"{path}#{anchor}"
        for path, anchor in links
        if anchor not in anchors(document.parent / path if path else document)
    ]
    assert not broken


ARCHITECTURE = re.sub(
    r"^```.*?^```", "", (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8"), flags=re.M | re.S
)
NAMED = sorted(set(re.findall(r"`([^`\n]+)`", ARCHITECTURE)))
LIBRARIES = {"torch.compile", "await", "OTEL_BSP_MAX_QUEUE_SIZE"}
"""Names of other projects."""
PRODUCT = [path for name, path in files().items() if name.startswith("kani") or path.parent == ROOT]


@cache
def names() -> dict[str, set[str]]:
    """What each class defines, by its name, and each module with its classes, by the file's name."""
    found: dict[str, set[str]] = {}
    for file in PRODUCT:
        parsed = source(file)
        found.setdefault(file.stem, set()).update(parsed.defines, *parsed.classes.values())
        for name, own in parsed.classes.items():
            found.setdefault(name, set()).update(own)
    return found


def exists(name: str) -> bool:
    """Return True if the product defines a name: `Class.attribute`, `module.name`, or `name` anywhere."""
    owner, _, attribute = name.rpartition(".")
    if owner:
        return attribute in names().get(owner, set())
    return name in names() or any(name in own for own in names().values())


@pytest.mark.parametrize(
    "name",
    [name for name in NAMED if re.fullmatch(r"[A-Za-z_]\w*(\.(?!py$)\w+)*", name) and "KANI_" not in name],
)
def test_identifiers_of_the_architecture_exist(name: str) -> None:
    settings = {variable for field in fields() for variable in variables(field)}
    assert name in LIBRARIES or name in settings or exists(name)


def test_settings_and_modules_of_the_architecture_exist() -> None:
    settings = {variable for field in fields() for variable in variables(field)}
    assert not [name for name in NAMED if name.startswith("KANI_") and name not in settings]
    modules = {file.name for file in PRODUCT} | {file.name for file in (ROOT / "tests").rglob("*.py")}
    assert not [name for name in NAMED if re.fullmatch(r"\w+\.py", name) and name not in modules]


def test_a_stale_identifier_is_found() -> None:
    found = ("recognition_service.open_recognition", "EngineInfo.times_words", "IncrementalText")
    stale = ("service.listen", "EngineInfo.timing", "SpeechSession.listen", "NoSuchClass")
    assert [name for name in (*found, *stale) if exists(name)] == [*found]
