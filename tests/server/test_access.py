"""Who may come in, asked of the rules themselves and of the middleware."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest
from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope, Send

from server.access import (
    AccessMiddleware,
    AccessRules,
    Paths,
    ResourcePolicyMiddleware,
    host_name,
    is_loopback,
)

PATHS = Paths(
    public=frozenset({"/health"}),
    requires_key=frozenset({"/speech"}),
    no_key_with_public_token=frozenset({"/voice"}),
    key_in_first_message=("/later/",),
)
HOME = AccessRules(loopback=True, paths=PATHS)
NETWORK = AccessRules(loopback=False, keys=("first-key", "schlüssel"), paths=PATHS)
PUBLIC_NETWORK = dataclasses.replace(NETWORK, keys=("first-key", "public_token"))


def judge(rules: AccessRules, query: str = "", path: str = "/", **headers: str) -> int | None:
    """The status of the refusal of a request, or None; header names with _ for -."""
    listed = {name.replace("_", "-"): value for name, value in headers.items()}
    refusal = rules.check(Headers(listed), query.encode(), path)
    return refusal.status if refusal else None


@pytest.mark.parametrize(
    "name", ["localhost", "LOCALHOST.", "a.localhost", "127.0.0.1", "127.8.9.1", "::1", "[::1]"]
)
def test_names_of_this_machine(name: str) -> None:
    """localhost and the loopback addresses mean this machine."""
    assert is_loopback(name)


@pytest.mark.parametrize(
    "name",
    ["", "0.0.0.0", "::", "192.168.1.2", "localhost.example", "notlocalhost", "127.0.0.1.example", "1"],
)
def test_names_of_other_machines(name: str) -> None:
    """Whatever else is asked for may mean another machine, unspecified addresses included."""
    assert not is_loopback(name)


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("Example.com:80", "example.com"),
        ("[::1]:8001", "::1"),
        ("::1", ""),
        ("[::1", ""),
        ("user@localhost", "localhost"),
        ("", ""),
    ],
)
def test_host_headers_are_taken_apart(host: str, name: str) -> None:
    """A Host header's port does not count, and nonsense names nobody."""
    assert host_name(host) == name


@pytest.mark.parametrize("host", ["localhost:8001", "127.0.0.1:8001", "[::1]:8001", "localhost"])
def test_at_home_anyone_on_the_machine_comes_in(host: str) -> None:
    """On a loopback address no key is asked for."""
    assert judge(HOME, host=host) is None


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8001", "192.168.1.2:8001", "", "[::1"])
def test_at_home_another_name_is_refused(host: str) -> None:
    """A name that was made to point here (DNS rebinding) is refused."""
    assert judge(HOME, host=host) == 403


def test_one_wrong_host_of_two_is_refused() -> None:
    """A second Host header does not smuggle a name past the check."""
    headers = Headers(raw=[(b"host", b"localhost"), (b"host", b"evil.example")])
    assert HOME.check(headers, b"", "/") is not None


def test_a_client_without_host_is_refused() -> None:
    """Who does not say which name they ask for is not known to ask for ours."""
    assert judge(HOME) == 403
    assert judge(AccessRules(loopback=False, no_auth=True)) == 403


@pytest.mark.parametrize(
    "origin", ["http://localhost:3000", "http://127.0.0.1", "https://[::1]:9", "http://LOCALHOST:5173"]
)
def test_pages_of_this_machine_come_in(origin: str) -> None:
    """Any loopback Origin, on any port, may use the server."""
    assert judge(HOME, host="localhost:8001", origin=origin) is None


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "", "file://", "http://localhost.evil.example", "http://[::1"]
)
def test_foreign_pages_are_refused(origin: str) -> None:
    """A page of anywhere else is refused, and so is one that hides where it is from."""
    assert judge(HOME, host="localhost:8001", origin=origin) == 403


@pytest.mark.parametrize("origin", ["https://app.example", "https://APP.example", "null"])
def test_listed_pages_come_in(origin: str) -> None:
    """A page whose origin was listed comes in."""
    rules = dataclasses.replace(HOME, allowed_origins=frozenset({"https://app.example", "null"}))
    assert judge(rules, host="localhost:8001", origin=origin) is None
    assert judge(rules, host="localhost:8001", origin="http://app.example") == 403


@pytest.mark.parametrize("rules", [HOME, dataclasses.replace(NETWORK, no_auth=True)])
def test_what_a_page_elsewhere_embeds_is_refused(rules: AccessRules) -> None:
    """An image is asked for without an Origin, but the browser says that a page of another site asks."""
    for path in ("/", "/voice", "/speech"):
        assert judge(rules, path=path, host="localhost:8001", sec_fetch_site="cross-site") == 403
    for site in ("same-origin", "same-site", "none"):
        assert judge(rules, host="localhost:8001", sec_fetch_site=site) is None
    assert judge(rules, path="/health", host="localhost:8001", sec_fetch_site="cross-site") is None
    listed = dataclasses.replace(rules, allowed_origins=frozenset({"https://app.example"}))
    asks = {"origin": "https://app.example", "sec_fetch_site": "cross-site"}
    assert judge(listed, host="localhost:8001", **asks) is None


def test_a_listed_host_serves_its_own_pages() -> None:
    """Behind a proxy, its name is answered to, and pages from under it come in."""
    rules = dataclasses.replace(HOME, allowed_hosts=frozenset({"tts.example"}))
    assert judge(rules, host="tts.example", origin="https://tts.example") is None
    assert judge(rules, host="tts.example", origin="https://evil.example") == 403


@pytest.mark.parametrize(
    ("query", "headers"),
    [
        ("", {"authorization": "Bearer first-key"}),
        ("", {"authorization": "bearer  first-key "}),
        ("", {"xi_api_key": "first-key"}),
        ("", {"kyutai_api_key": "first-key"}),
        ("auth_id=first-key", {}),
        ("x=1&token=first-key", {}),
        ("token=schl%C3%BCssel", {}),
        ("token=wrong", {"xi_api_key": "first-key"}),
        ("", {"xi_api_key": "schlüssel"}),
        ("", {"xi_api_key": "schlüssel".encode().decode("latin-1")}),
        ("", {"authorization": "Bearer " + "schlüssel".encode().decode("latin-1")}),
    ],
)
def test_each_way_of_giving_a_key(query: str, headers: dict[str, str]) -> None:
    """A key opens the server in every header and parameter that a protocol knows."""
    assert judge(NETWORK, query, host="192.168.1.2:8001", **headers) is None


@pytest.mark.parametrize("name", [b"authorization", b"xi-api-key"])
@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_any_right_key_of_several_counts(name: bytes, order: tuple[int, int]) -> None:
    """A header that is sent twice, as a proxy with a key of its own makes it, opens with either."""
    values = [b"Bearer other", b"Bearer first-key"] if name == b"authorization" else [b"other", b"first-key"]
    assert NETWORK.check(Headers(raw=[(name, values[n]) for n in order]), b"", "/") is None
    assert NETWORK.check(Headers(raw=[(name, values[0])] * 2), b"", "/") is not None


@pytest.mark.parametrize(
    ("query", "headers"),
    [
        ("", {}),
        ("token=", {}),
        ("token=first-ke", {}),
        ("token=first-key2", {}),
        ("key=first-key", {}),
        ("", {"authorization": "first-key"}),
        ("", {"authorization": "Basic first-key"}),
        ("", {"authorization": "Bearer"}),
        ("", {"xi_api_key": "second-key"}),
        ("%ff=%ff&token=%00", {}),
    ],
)
def test_without_a_right_key_the_network_stays_out(query: str, headers: dict[str, str]) -> None:
    """No key, a wrong one, or one in the wrong place: 401."""
    assert judge(NETWORK, query, host="192.168.1.2:8001", **headers) == 401


def test_on_the_network_pages_need_both() -> None:
    """A page needs the key and an origin that may come in: the server's own, a local or a listed one."""
    own = {"host": "tts.example:8001", "origin": "http://tts.example:8001"}
    assert judge(NETWORK, "token=first-key", **own) is None
    assert judge(NETWORK, "", **own) == 401
    assert judge(NETWORK, "token=first-key", host="tts.example:8001", origin="https://evil.example") == 403


def test_no_auth_asks_nobody_but_keeps_pages_out() -> None:
    """With --no-auth no key is asked for; a page comes in only under a name nobody else can point here."""
    rules = AccessRules(loopback=False, no_auth=True)
    assert judge(rules, host="192.168.1.2:8001") is None
    assert judge(rules, host="192.168.1.2:8001", origin="http://192.168.1.2:8001") is None
    assert judge(rules, host="evil.example:8001", origin="http://evil.example:8001") == 403
    assert judge(rules, host="192.168.1.2:8001", origin="https://evil.example") == 403


@pytest.mark.parametrize(
    "host", ["192.168.1.2:8001", "[2001:db8::1]:8001", "localhost", "tts.example:8001", "BOX.local", "box"]
)
def test_no_auth_answers_to_addresses_and_known_names(host: str) -> None:
    """With --no-auth on the network, a name that nobody else can point here comes in."""
    names = frozenset({"box", "box.local"})
    rules = AccessRules(False, no_auth=True, allowed_hosts=frozenset({"tts.example"}), machine_names=names)
    assert judge(rules, host=host) is None


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8001", "", "box.evil.example", "[::1"])
def test_no_auth_refuses_a_rebound_name(host: str) -> None:
    """With --no-auth a page's GET, which has no Origin, is known by the name that it made point here."""
    rules = AccessRules(False, no_auth=True, machine_names=frozenset({"box"}))
    assert judge(rules, host=host) == 403


def test_at_home_this_machines_network_name_is_another() -> None:
    """A loopback server does not answer to the name by which other machines know this one."""
    assert judge(dataclasses.replace(HOME, machine_names=frozenset({"box"})), host="box") == 403


def test_with_a_key_any_name_may_be_asked_for() -> None:
    """On the network a page elsewhere has no key, whatever name it made point here."""
    assert judge(NETWORK, "token=first-key", host="tts.example") is None


def test_a_listed_name_needs_a_key_where_there_are_keys() -> None:
    """Where keys are set, a proxy's name that was listed asks for one, though the proxy keeps silent."""
    rules = dataclasses.replace(HOME, keys=("k",), allowed_hosts=frozenset({"tts.example"}))
    assert judge(rules, host="localhost:8001") is None
    assert judge(rules, host="tts.example") == 401
    assert judge(rules, host="tts.example", xi_api_key="k") is None


@pytest.mark.parametrize(
    "header",
    [
        "forwarded",
        "via",
        "x_real_ip",
        "cf_connecting_ip",
        "true_client_ip",
        "x_forwarded_for",
        "x_forwarded_host",
        "x_forwarded_proto",
    ],
)
def test_a_proxy_does_not_turn_strangers_into_locals(header: str) -> None:
    """What a proxy passes on to a loopback server needs a key, and is refused where there is none."""
    passed_on = {"host": "localhost:8001", header: "203.0.113.9"}
    keyed = dataclasses.replace(HOME, keys=("k",))
    assert judge(keyed, **passed_on) == 401
    assert judge(keyed, xi_api_key="k", **passed_on) is None
    assert judge(HOME, **passed_on) == 403
    assert judge(dataclasses.replace(HOME, no_auth=True), **passed_on) is None


@pytest.mark.parametrize("key", ["public_token", "k"])
@pytest.mark.parametrize("name", ["kyutai_api_key", "xi_api_key", "auth_id", "token"])
def test_a_keyed_path_wants_a_key_at_home_too(name: str, key: str) -> None:
    """Where clients always send a key, it has to be a listed one, or the one that everybody knows."""
    rules = dataclasses.replace(HOME, keys=("k",))
    at_home = {"host": "localhost:8001", "path": "/speech"}
    given = {name: key} if name.endswith("key") else {"query": f"{name}={key}"}
    wrong = {name: "other"} if name.endswith("key") else {"query": f"{name}=other"}
    assert judge(rules, **at_home, **given) is None
    assert judge(rules, **at_home, **wrong) == 401
    assert judge(rules, **at_home) == 401
    assert judge(HOME, **at_home) == 401
    assert judge(HOME, **at_home, **given) == (None if key == "public_token" else 401)
    assert judge(dataclasses.replace(HOME, no_auth=True), **at_home) is None


def test_the_key_that_everybody_knows_counts_elsewhere_where_it_is_listed() -> None:
    """On the network, and through a proxy, public_token is a key only if the server's keys name it."""
    known = {"path": "/speech", "kyutai_api_key": "public_token"}
    assert judge(NETWORK, host="192.168.1.2", **known) == 401
    assert judge(PUBLIC_NETWORK, host="192.168.1.2", **known) is None
    passed_on = {**known, "host": "localhost", "x_forwarded_for": "203.0.113.9"}
    assert judge(HOME, **passed_on) == 403
    assert judge(dataclasses.replace(HOME, keys=("k",)), **passed_on) == 401
    assert judge(dataclasses.replace(HOME, keys=("k", "public_token")), **passed_on) is None


@pytest.mark.parametrize("path", ["/", "/metrics", "/speech/", "/speec", "/Speech"])
@pytest.mark.parametrize("rules", [PUBLIC_NETWORK, dataclasses.replace(PUBLIC_NETWORK, loopback=True)])
def test_the_key_that_everybody_knows_opens_no_other_path(rules: AccessRules, path: str) -> None:
    """Listed or not, public_token opens nothing but the paths whose clients send it."""
    passed_on = {"host": "localhost", "via": "1.1 proxy"}
    assert judge(rules, "token=public_token", path, **passed_on) == 401
    assert judge(rules, "token=first-key", path, **passed_on) is None
    alone = dataclasses.replace(rules, keys=("public_token",))
    assert judge(alone, "token=public_token", path, **passed_on) == 401
    assert judge(alone, "token=public_token", "/speech", **passed_on) is None


@pytest.mark.parametrize("path", ["/speech", "/voice"])
def test_the_key_that_everybody_knows_lets_no_foreign_page_in(path: str) -> None:
    """A page elsewhere knows public_token too: its Origin is looked at, and the name that it asks for."""
    for rules in (HOME, PUBLIC_NETWORK):
        page = {"host": "localhost:8001", "origin": "https://evil.example"}
        assert judge(rules, "token=public_token", path, **page) == 403
        rebound = {"host": "evil.example", "origin": "http://evil.example"}
        assert judge(rules, "token=public_token", path, **rebound) == 403
        assert judge(rules, "token=public_token", path, host="evil.example") == 403
    listed = dataclasses.replace(PUBLIC_NETWORK, allowed_hosts=frozenset({"tts"}))
    assert judge(listed, "token=public_token", path, host="tts:8080", origin="http://tts:8080") is None


def test_a_keyless_path_wants_none_where_the_public_one_is_listed() -> None:
    """Where public_token would be a key nothing has to be sent; elsewhere the usual rules hold."""
    assert judge(HOME, path="/voice", host="localhost") is None
    assert judge(HOME, path="/voice", host="localhost", via="1.1 proxy") == 403
    assert judge(NETWORK, path="/voice", host="192.168.1.2") == 401
    assert judge(NETWORK, path="/voice", host="192.168.1.2", xi_api_key="first-key") is None
    assert judge(PUBLIC_NETWORK, path="/voice", host="192.168.1.2") is None
    assert judge(PUBLIC_NETWORK, path="/speech", host="192.168.1.2") == 401


def test_keys_are_not_in_the_rules_text() -> None:
    """Printing the rules tells no key."""
    assert "first-key" not in repr(NETWORK)


async def answer_of(
    rules: AccessRules, kind: str, path: str, method: str = "GET", **headers: str
) -> list[Message]:
    """What the middleware sends for a request; the application says "inside"."""
    sent: list[Message] = []

    async def inside(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "inside"})

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        raise AssertionError("nothing is to be read for a refusal")

    listed = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope: Scope = {"type": kind, "path": path, "query_string": b"", "headers": listed}
    if kind == "http":
        scope["method"] = method
    await AccessMiddleware(inside, rules)(scope, receive, send)
    return sent


@pytest.mark.parametrize(("kind", "prefix"), [("http", "http"), ("websocket", "websocket.http")])
async def test_refusals_are_plain_http_before_any_upgrade(kind: str, prefix: str) -> None:
    """An HTTP request and a WebSocket handshake are both refused by an HTTP answer in JSON."""
    start, body = await answer_of(NETWORK, kind, "/")
    assert (start["type"], start["status"]) == (f"{prefix}.response.start", 401)
    assert (b"www-authenticate", b"Bearer") in start["headers"]
    assert b'"message":"a key is needed' in body["body"]


async def test_a_key_may_come_with_the_first_message_where_clients_send_it_there() -> None:
    """A WebSocket there comes in without one, and is told how to look at what it will be sent."""
    checks = []

    async def inside(scope: Scope, receive: Receive, send: Send) -> None:
        checks.append(scope.get("key_check"))

    async def come(kind: str, path: str, query: str = "", rules: AccessRules = PUBLIC_NETWORK) -> int | None:
        sent: list[Message] = []

        async def send(message: Message) -> None:
            sent.append(message)

        async def receive() -> Message:
            raise AssertionError("nobody reads")

        scope = {"type": kind, "path": path, "method": "GET", "query_string": query.encode()}
        headers = [(b"host", b"localhost"), (b"via", b"1.1 proxy")]
        await AccessMiddleware(inside, rules)(scope | {"headers": headers, "extensions": {}}, receive, send)
        return sent[0]["status"] if sent else None

    assert await come("websocket", "/later/one") is None
    (check,) = checks
    assert check("first-key") and not any(check(key) for key in ("", "other", "public_token", "first-key "))
    # Who has shown a key is in; by HTTP, elsewhere, or as a foreign page there is no later.
    for query in ("authorization=first-key", "single_use_token=first-key", "token=first-key"):
        assert await come("websocket", "/later/one", query) is None
        assert checks.pop() is None
    assert await come("http", "/later/one") == 401
    assert await come("websocket", "/later") == 401
    assert await come("websocket", "/later/one", rules=HOME) == 403
    assert len(checks) == 1


async def test_few_at_once_may_have_yet_to_show_a_key() -> None:
    """Strangers that hold their sockets open leave the places of others; who showed a key is no stranger."""
    leave = asyncio.Event()
    checks = []

    async def inside(scope: Scope, receive: Receive, send: Send) -> None:
        checks.append(scope["key_check"])
        await leave.wait()

    async def send(message: Message) -> None:
        refused.append(message)

    async def receive() -> Message:
        raise AssertionError("nobody reads")

    refused: list[Message] = []
    middleware = AccessMiddleware(inside, NETWORK, max_unauthenticated=2)
    scope = {"type": "websocket", "path": "/later/one", "query_string": b"", "headers": [], "extensions": {}}

    def come() -> asyncio.Task[None]:
        return asyncio.create_task(middleware(dict(scope), receive, send))

    async def settle() -> None:
        for _ in range(3):
            await asyncio.sleep(0)

    here = [come(), come(), come()]
    await settle()
    assert len(checks) == 2 and here[2].done() and refused[0]["status"] == 401
    assert checks[0]("first-key") and checks[0]("first-key") and not checks[1]("wrong")
    here.append(come())
    await settle()
    assert len(checks) == 3
    leave.set()
    await asyncio.gather(*here)
    leave.clear()
    refused.clear()
    again = [come(), come()]
    await settle()
    assert len(checks) == 5 and not refused
    leave.set()
    await asyncio.gather(*again)


async def test_health_is_open_to_all() -> None:
    """/health asks for no key."""
    assert await answer_of(NETWORK, "http", "/health") == [{"type": "inside"}]


@pytest.mark.parametrize("kind", ["http", "websocket"])
async def test_no_line_break_hides_a_path(kind: str) -> None:
    """A path that a route takes for its own, though a line break follows it, keeps its rules."""
    start, _ = await answer_of(HOME, kind, "/speech\n", host="localhost")
    assert start["status"] == 401


async def test_pages_are_read_without_a_key_and_nothing_else_is() -> None:
    """A browser gets the page, which asks for the key; a WebSocket or a POST on the same path needs one."""
    rules = AccessRules(
        loopback=False, keys=("first-key",), paths=Paths(pages=frozenset({"/", "/static/a.js"}))
    )
    for path in ("/", "/static/a.js"):
        for method in ("GET", "HEAD"):
            assert await answer_of(rules, "http", path, method) == [{"type": "inside"}]
        assert (await answer_of(rules, "http", path, "POST"))[0]["status"] == 401
        assert (await answer_of(rules, "websocket", path))[0]["status"] == 401
    assert (await answer_of(rules, "http", "/static/b.js"))[0]["status"] == 401


def test_a_browsers_websocket_sends_its_key_as_a_protocol() -> None:
    """Bearer.KEY among the names of protocols is a key; a wrong one, or one without the mark, is none."""
    key = {"host": "192.168.1.2", "sec_websocket_protocol": "voxcpm-tts, Bearer.first-key"}
    assert judge(NETWORK, **key) is None
    for offered in (
        "voxcpm-tts, Bearer.wrong",
        "first-key",
        "Bearer.first-key-",
        "bearer first-key",
        "Bearer.",
    ):
        assert judge(NETWORK, host="192.168.1.2", sec_websocket_protocol=offered) == 401


async def test_other_events_pass() -> None:
    """What is neither a request nor a handshake is none of the rules' business."""
    assert await answer_of(NETWORK, "lifespan", "") == [{"type": "inside"}]


def test_a_key_with_half_a_surrogate_pair_is_no_key() -> None:
    """It comes in a message, which can hold what no header can."""
    assert not NETWORK.is_key("\ud800") and not NETWORK.is_key("\udcff")
    assert NETWORK.is_key("schlüssel")


async def test_who_shows_no_key_cannot_stay_by_taking_nothing() -> None:
    """A client that does not take its refusal gives its place back; one with a key keeps it."""

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["query_string"]:
            assert scope["key_check"]("first-key")
            await asyncio.sleep(0.2)
        else:
            await send({"type": "websocket.close"})
        ended.append(scope["query_string"])

    async def never(message: Message) -> None:
        if message["type"] == "websocket.close":
            await asyncio.Event().wait()
        else:
            ended.append(message["type"])

    async def nothing() -> Message:
        return {"type": "websocket.connect"}

    ended: list[bytes | str] = []
    middleware = AccessMiddleware(application, NETWORK, max_unauthenticated=1, unauthenticated_s=0.05)
    scope = {"type": "websocket", "path": "/later/x", "query_string": b"", "headers": []}
    await middleware(scope, nothing, never)
    assert not ended
    await middleware({**scope, "query_string": b"x"}, nothing, never)
    assert ended == [b"x"]


async def test_every_answer_is_kept_from_pages_elsewhere() -> None:
    """A browser does not show to a page of another origin what it embeds, refused or not."""
    sent: list[Message] = []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def send(message: Message) -> None:
        sent.append(message)

    async def nothing() -> Message:
        return {"type": "http.request"}

    await ResourcePolicyMiddleware(application)({"type": "http"}, nothing, send)
    assert sent[0]["headers"] == [(b"cross-origin-resource-policy", b"same-origin")]
