"""Access control: the table of keys, the checks of Host and Origin, and the middleware around them."""

import asyncio
import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope, Send

from kani.composition.settings import load
from kani.protocols.shared.protocol import PathClass
from kani.runtime.host_names import host_name, is_confidential, is_loopback, is_private
from kani.server.access import REQUIREMENTS, AccessMiddleware, AccessRules, Audience, Requirement
from kani.server.app import access_rules
from tests.support.event_loop import settle, virtual_time
from tests.support.servers.asgi import exchange

PATHS = {
    "/health": PathClass.PUBLIC,
    "/page": PathClass.PAGE,
    "/list": PathClass.LIST,
    "/speech": PathClass.REQUIRES_KEY,
    "/voice": PathClass.NO_KEY_WITH_PUBLIC_TOKEN,
}
KEYS = ("first-key", "schlüssel")
HOME = AccessRules(loopback=True, paths=PATHS)
KEYED_HOME = dataclasses.replace(HOME, keys=KEYS)
NETWORK = AccessRules(loopback=False, keys=KEYS, paths=PATHS, key_in_first_message=("/later/",))
PUBLIC_NETWORK = dataclasses.replace(NETWORK, keys=(*KEYS, "public_token"))
PUBLIC_HOME = dataclasses.replace(PUBLIC_NETWORK, loopback=True)
OPEN_NETWORK = dataclasses.replace(NETWORK, keys=(), no_auth=True)
LOCAL = {"host": "localhost:8001"}
PROXIED = {"host": "localhost:8001", "via": "1.1 proxy"}
ADDRESS = {"host": "192.168.1.2:8001"}


def check(rules: AccessRules, query: str = "", path: str = "/", **headers: str) -> int | None:
    """Status of the refusal of a request, or None; header names with _ for -."""
    listed = {name.replace("_", "-"): value for name, value in headers.items()}
    refusal = rules.check(Headers(listed), query.encode(), path)
    return refusal.status if refusal else None


# A row for each server and client, a column for each path; the statuses are those of a request without a key,
# with public_token, and with one of the server's keys.
ALLOWED, KEY, ANY_KEY, REFUSED = (None,) * 3, (401, 401, None), (401, None, None), (403,) * 3
ROWS = {
    "local client, no keys": (HOME, LOCAL, ALLOWED, (401, None, 401), ALLOWED),
    "local client, keys": (KEYED_HOME, LOCAL, ALLOWED, ANY_KEY, ALLOWED),
    "local client, public_token listed": (PUBLIC_HOME, LOCAL, ALLOWED, ANY_KEY, ALLOWED),
    "proxy, no keys": (HOME, PROXIED, REFUSED, REFUSED, REFUSED),
    "proxy, keys": (KEYED_HOME, PROXIED, KEY, KEY, KEY),
    "proxy, public_token listed": (PUBLIC_HOME, PROXIED, KEY, ANY_KEY, ALLOWED),
    "network, keys": (NETWORK, ADDRESS, KEY, KEY, KEY),
    "network, public_token listed": (PUBLIC_NETWORK, ADDRESS, KEY, ANY_KEY, ALLOWED),
    "network, --no-auth": (OPEN_NETWORK, ADDRESS, ALLOWED, ALLOWED, ALLOWED),
    "proxy, --no-auth": (dataclasses.replace(HOME, no_auth=True), PROXIED, ALLOWED, ALLOWED, ALLOWED),
}
COLUMNS = ("/", "/speech", "/voice")


def test_each_audience_brings_the_key_that_the_table_requires() -> None:
    def row(rules: AccessRules, headers: dict[str, str], *_: object) -> tuple[Any, ...]:
        offered = ("", "token=public_token", "token=first-key")
        cells = (tuple(check(rules, query, path, **headers) for query in offered) for path in COLUMNS)
        return rules, headers, *cells

    assert {name: row(*each) for name, each in ROWS.items()} == ROWS
    checked = {*PathClass} - {PathClass.PUBLIC, PathClass.PAGE, PathClass.LIST}
    assert set(REQUIREMENTS) == {*Audience}
    assert all(set(row) == checked for row in REQUIREMENTS.values())
    used = {requirement for row in REQUIREMENTS.values() for requirement in row.values()}
    assert used == {*Requirement}


@pytest.mark.parametrize("path", ["/metrics", "/speech/", "/speec", "/Speech"])
def test_public_token_opens_no_path_beside_those_of_its_protocol(path: str) -> None:
    for rules, headers in ((PUBLIC_NETWORK, ADDRESS), (PUBLIC_HOME, PROXIED)):
        assert check(rules, "token=public_token", path, **headers) == 401
        assert check(rules, "token=first-key", path, **headers) is None
        alone = dataclasses.replace(rules, keys=("public_token",))
        assert check(alone, "token=public_token", path, **headers) == 401
        assert check(alone, "token=public_token", "/speech", **headers) is None


def test_keys_are_sent_unencrypted_to_this_machine_only() -> None:
    for address, sent in (
        ("http://localhost:8880/v1 ws://127.8.9.1 http://[::1]:1 http://LOCALHOST https://example.com", True),
        ("http://a.localhost http://a.localhost.:1 ws://192.168.1.2 http://0.0.0.0 http://nas ws:", False),
    ):
        for each in address.split():
            assert (each, is_confidential(each)) == (each, sent)


def test_names_are_recognized() -> None:
    for names, loopback, private in (
        ("localhost LOCALHOST. a.localhost 127.0.0.1 127.8.9.1 ::1 [::1]", True, True),
        ("192.168.1.2 10.0.0.7 [fd00::2] ollama nas.local host.docker.internal Box.LAN.", False, True),
        ("notlocalhost", False, True),
        ("8.8.8.8 api.openai.com local.example notlocal.com localhost.example", False, False),
        ("notlocalhost.example 127.0.0.1.example", False, False),
    ):
        for name in names.split():
            assert (name, is_loopback(name), is_private(name)) == (name, loopback, private)
    assert not any(map(is_loopback, ("", "0.0.0.0", "::", "1"))) and not is_private("")
    hosts = {"Example.com:80": "example.com", "[::1]:8001": "::1", "user@localhost": "localhost"}
    hosts |= dict.fromkeys(("::1", "[::1", ""), "")
    assert {host: host_name(host) for host in hosts} == hosts


def assert_statuses(
    rules: AccessRules,
    header: str,
    *,
    passes: str | Sequence[str],
    refused: Sequence[str | None],
    **rest: str,
) -> None:
    """Assert the statuses by the values of one header; None leaves it out."""
    expected: dict[str | None, int | None] = dict.fromkeys(passes.split()) | dict.fromkeys(refused, 403)
    given = {value: {} if value is None else {header: value} for value in expected}
    assert {value: check(rules, **rest, **headers) for value, headers in given.items()} == expected


def test_server_accepts_its_own_names_alone() -> None:
    evil = ("evil.example", "evil.example:8001", "", "[::1", None)
    home = dataclasses.replace(HOME, machine_names=frozenset({"box"}))
    own = "localhost:8001 127.0.0.1:8001 [::1]:8001 localhost"
    assert_statuses(home, "host", passes=own, refused=(*evil, "192.168.1.2:8001", "box"))
    names, listed = frozenset({"box", "box.local"}), frozenset({"tts.example"})
    rules = dataclasses.replace(OPEN_NETWORK, allowed_hosts=listed, machine_names=names)
    own = "192.168.1.2:8001 [2001:db8::1]:8001 localhost box tts.example:8001 BOX.local"
    assert_statuses(rules, "host", passes=own, refused=(*evil, "box.evil.example"))
    headers = Headers(raw=[(b"host", b"localhost"), (b"host", b"evil.example")])
    assert HOME.check(headers, b"", "/") is not None
    assert check(NETWORK, "token=first-key", host="tts.example") is None
    rules = dataclasses.replace(KEYED_HOME, allowed_hosts=listed)
    assert check(rules, host="localhost:8001") is None
    assert check(rules, host="tts.example") == 401
    assert check(rules, host="tts.example", xi_api_key="first-key") is None
    assert check(KEYED_HOME, "token=first-key", host="evil.example") == 403


@pytest.mark.parametrize("written", ["tts.example:8001", "TTS.example.", "tts.example"])
def test_listed_name_may_be_written_as_a_host_header_has_it(written: str) -> None:
    chosen = load({}, {"KANI_ALLOWED_HOSTS": written}, Path(os.devnull))
    rules = access_rules(chosen, ())
    assert [check(rules, host=f"{name}:8001") for name in ("tts.example", "evil.example")] == [None, 403]
    addresses = load({}, {"KANI_ALLOWED_HOSTS": "2001:DB8::5,[2001:db8::6]:8001"}, Path(os.devnull))
    # MCP by HTTP takes them from here as well.
    assert (*chosen.allowed_hosts, *addresses.allowed_hosts) == ("tts.example", "2001:db8::5", "2001:db8::6")


PROXY = "forwarded via x_real_ip cf_connecting_ip true_client_ip"
PROXY += " x_forwarded_for x_forwarded_host x_forwarded_proto"


@pytest.mark.parametrize("header", PROXY.split())
def test_each_proxy_header_makes_a_client_remote(header: str) -> None:
    proxied = {**LOCAL, header: "203.0.113.9"}
    assert check(KEYED_HOME, **proxied) == 401
    assert check(KEYED_HOME, xi_api_key="first-key", **proxied) is None
    assert check(HOME, **proxied) == 403


def test_pages_of_this_machine_listed_ones_and_the_servers_own_are_accepted() -> None:
    local = "http://localhost:3000 http://127.0.0.1 https://[::1]:9 http://LOCALHOST:5173"
    evil = ("https://evil.example", "", "file://", "http://[::1", "http://localhost.evil.example")
    assert_statuses(HOME, "origin", passes=local, refused=(*evil, "null"), **LOCAL)
    rules = dataclasses.replace(HOME, allowed_origins=frozenset({"https://app.example", "null"}))
    apps = "https://app.example https://APP.example null"
    assert_statuses(rules, "origin", passes=apps, refused=("http://app.example",), **LOCAL)
    listed = dataclasses.replace(HOME, allowed_hosts=frozenset({"tts.example"}))
    assert_statuses(
        listed, "origin", passes="https://tts.example", refused=("https://evil.example",), host="tts.example"
    )
    own = {"host": "tts.example:8001", "origin": "http://tts.example:8001"}
    assert check(NETWORK, "token=first-key", **own) is None
    assert check(NETWORK, "", **own) == 401
    assert check(NETWORK, "token=first-key", host="tts.example:8001", origin="https://evil.example") == 403
    assert_statuses(
        OPEN_NETWORK, "origin", passes="http://192.168.1.2:8001", refused=("https://evil.example",), **ADDRESS
    )
    assert check(OPEN_NETWORK, host="evil.example:8001", origin="http://evil.example:8001") == 403


@pytest.mark.parametrize("path", ["/speech", "/voice"])
def test_public_token_admits_no_page_from_elsewhere(path: str) -> None:
    token = "token=public_token"
    for rules in (HOME, PUBLIC_NETWORK):
        assert check(rules, token, path, **LOCAL, origin="https://evil.example") == 403
        assert check(rules, token, path, host="evil.example", origin="http://evil.example") == 403
        assert check(rules, token, path, host="evil.example") == 403
    listed = dataclasses.replace(PUBLIC_NETWORK, allowed_hosts=frozenset({"tts"}))
    assert check(listed, token, path, host="tts:8080", origin="http://tts:8080") is None


@pytest.mark.parametrize("rules", [HOME, dataclasses.replace(NETWORK, no_auth=True)])
def test_cross_site_embedding_is_refused(rules: AccessRules) -> None:
    for path in ("/", "/voice", "/speech"):
        assert check(rules, path=path, **LOCAL, sec_fetch_site="cross-site") == 403
    for site in ("same-origin", "same-site", "none"):
        assert check(rules, **LOCAL, sec_fetch_site=site) is None
    assert check(rules, path="/health", **LOCAL, sec_fetch_site="cross-site") is None
    listed = dataclasses.replace(rules, allowed_origins=frozenset({"https://app.example"}))
    assert check(listed, **LOCAL, origin="https://app.example", sec_fetch_site="cross-site") is None


LATIN = "schlüssel".encode().decode("latin-1")
OPENAI, VOXCPM = "realtime, openai-insecure-api-key.", "voxcpm-tts, Bearer."


@pytest.mark.parametrize(
    ("status", "header", "values"),
    [
        (None, "authorization", ("Bearer first-key", "bearer  first-key ", f"Bearer {LATIN}")),
        (None, "xi_api_key", ("first-key", "schlüssel", LATIN)),
        *((None, header, ("first-key",)) for header in ("kyutai_api_key", "api_key")),
        (None, "sec_websocket_protocol", (f"{VOXCPM}first-key", f"{OPENAI}first-key")),
        (None, "", ("auth_id=first-key", "x=1&token=first-key", "token=schl%C3%BCssel")),
        (401, "authorization", ("first-key", "Basic first-key", "Bearer")),
        (401, "xi_api_key", ("second-key",)),
        (401, "sec_websocket_protocol", (f"{VOXCPM}wrong", "first-key", "Bearer.first-key-", "Bearer.")),
        (401, "sec_websocket_protocol", (f"{OPENAI}wrong", OPENAI[10:], "bearer first-key")),
        (401, "", ("", "token=", "token=first-ke", "token=first-key2", "key=first-key")),
        (401, "", ("%ff=%ff&token=%00",)),
    ],
)
def test_key_in_each_header_or_parameter(status: int | None, header: str, values: tuple[str, ...]) -> None:
    given = {value: {header: value} if header else {} for value in values}
    found = {value: check(NETWORK, "" if header else value, **ADDRESS, **given[value]) for value in values}
    assert found == dict.fromkeys(values, status)


def test_temporary_key_counts_on_its_path_alone() -> None:
    for rules, headers in ((NETWORK, ADDRESS), (HOME, PROXIED)):
        rules = dataclasses.replace(rules, temporary_keys={"/session": {"issued"}.__contains__})
        refused = check(rules, "token=other", "/session", **headers)
        assert refused in (401, 403)
        assert check(rules, "token=issued", "/session", **headers) is None
        for path in ("/", "/session/", "/sessio", "/speech"):
            assert check(rules, "token=issued", path, **headers) == refused


def test_any_valid_key_of_several_counts_and_none_is_printed() -> None:
    assert check(NETWORK, "token=wrong", **ADDRESS, xi_api_key="first-key") is None
    for name, prefix in ((b"authorization", b"Bearer "), (b"xi-api-key", b"")):
        wrong, right = (name, prefix + b"other"), (name, prefix + b"first-key")
        for raw in ([wrong, right], [right, wrong]):
            assert NETWORK.check(Headers(raw=raw), b"", "/") is None, raw
        assert NETWORK.check(Headers(raw=[wrong, wrong]), b"", "/") is not None
    # Half of a surrogate pair is no key, and no error.
    assert not NETWORK.is_key("\ud800") and not NETWORK.is_key("\udcff")
    assert NETWORK.is_key("schlüssel")
    assert "first-key" not in repr(NETWORK)


async def inside(scope: Scope, receive: Receive, send: Send) -> None:
    """An application that shows that a request has passed, and its ``key_check``."""
    await send({"type": "inside", "key_check": scope.get("key_check")})


async def respond(rules: AccessRules, kind: str, path: str, **more: Any) -> list[Message]:
    """Messages that the middleware sends for a request; a refusal reads nothing."""
    headers = [(name.encode(), value.encode()) for name, value in more.get("headers", {}).items()]
    query = more.get("query", "").encode()
    scope: Scope = {"type": kind, "path": path, "query_string": query, "headers": headers, "extensions": {}}
    if kind == "http":
        scope["method"] = more.get("method", "GET")
    return await exchange(AccessMiddleware(inside, rules), scope)


@pytest.mark.parametrize(("kind", "prefix"), [("http", "http"), ("websocket", "websocket.http")])
async def test_refusal_is_json_before_any_upgrade(kind: str, prefix: str) -> None:
    key = b"(here also public_token, the one that Kyutai's clients send): Authorization: Bearer"
    assert key in (await respond(HOME, kind, "/speech", headers=LOCAL))[1]["body"]
    start, body = await respond(NETWORK, kind, "/")
    assert (start["type"], start["status"]) == (f"{prefix}.response.start", 401)
    assert (b"www-authenticate", b"Bearer") in start["headers"]
    assert b'"message":"a key is needed' in body["body"]


async def test_public_requests_pass_without_a_key() -> None:
    for kind, path, method, passes in (
        ("http", "/health", "GET", True),
        *(("http", "/page", method, True) for method in ("GET", "HEAD")),
        ("http", "/page", "POST", False),
        ("http", "/page2", "GET", False),
        ("websocket", "/page", "", False),
        ("lifespan", "", "", True),
    ):
        (first, *_) = await respond(NETWORK, kind, path, method=method)
        assert (first["type"] == "inside") is passes, (kind, path, method)
    for kind in ("http", "websocket"):
        # A line break does not change the class of a path.
        start, _ = await respond(HOME, kind, "/speech\n", headers={"host": "localhost"})
        assert start["status"] == 401


async def test_key_may_come_with_the_first_message() -> None:
    async def key_check(kind: str, path: str, rules: AccessRules = PUBLIC_NETWORK, query: str = "") -> Any:
        (first, *_) = await respond(rules, kind, path, query=query, headers=PROXIED)
        return first["key_check"] if first["type"] == "inside" else first["status"]

    is_key = await key_check("websocket", "/later/one")
    assert is_key("first-key") and not any(map(is_key, ("", "other", "public_token", "first-key ")))
    for name in ("authorization", "single_use_token", "token"):
        assert await key_check("websocket", "/later/one", query=f"{name}=first-key") is None
    assert await key_check("http", "/later/one") == 401
    assert await key_check("websocket", "/later") == 401
    assert await key_check("websocket", "/later/one", rules=HOME) == 403


async def test_unauthenticated_websockets_are_limited() -> None:
    leave = asyncio.Event()
    checks, refused = [], []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        checks.append(scope["key_check"])
        await leave.wait()

    async def send(message: Message) -> None:
        refused.append(message)

    async def receive() -> Message:
        raise AssertionError("a refusal reads nothing")

    middleware = AccessMiddleware(application, NETWORK, max_unauthenticated=2)
    scope = {"type": "websocket", "path": "/later/one", "query_string": b"", "headers": [], "extensions": {}}

    async def connect(count: int) -> list[asyncio.Task[None]]:
        tasks = [asyncio.create_task(middleware(dict(scope), receive, send)) for _ in range(count)]
        await settle()
        return tasks

    open_sockets = await connect(3)
    assert len(checks) == 2 and open_sockets[2].done() and refused[0]["status"] == 401
    assert checks[0]("first-key") and checks[0]("first-key") and not checks[1]("wrong")
    open_sockets += await connect(1)
    assert len(checks) == 3
    leave.set()
    await asyncio.gather(*open_sockets)
    leave.clear()
    refused.clear()
    open_sockets = await connect(2)
    assert len(checks) == 5 and not refused
    leave.set()
    await asyncio.gather(*open_sockets)


async def test_unauthenticated_websocket_cannot_stay_by_reading_nothing() -> None:
    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["query_string"]:
            assert scope["key_check"]("first-key")
            await asyncio.sleep(60.0)
        else:
            await send({"type": "websocket.close"})
        ended.append(scope["query_string"])

    async def blocked_send(message: Message) -> None:
        if message["type"] == "websocket.close":
            await asyncio.Event().wait()
        else:
            ended.append(message["type"])

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    ended: list[bytes | str] = []
    middleware = AccessMiddleware(application, NETWORK, max_unauthenticated=1, unauthenticated_s=5.0)
    scope = {"type": "websocket", "path": "/later/x", "query_string": b"", "headers": []}
    with virtual_time():
        await middleware(scope, receive, blocked_send)
        assert not ended
        await middleware({**scope, "query_string": b"x"}, receive, blocked_send)
    assert ended == [b"x"]
