"""Recordings by URL: what is fetched, and that nothing is which only this machine reaches."""

import asyncio
import base64
import ipaddress
import socket
import ssl
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpcore
import pytest
import trustme

from kani.core.errors import Busy, InvalidRequest
from kani.protocols.voxcpm import public_addresses
from kani.protocols.voxcpm.public_addresses import is_own_address, is_public_address
from kani.protocols.voxcpm.remote_recordings import MAX_FETCHES, RemoteRecordings
from tests.protocols.raw_site import Site, answer, opened, redirect
from tests.support.event_loop import virtual_time
from tests.support.patience import WITHIN_S, happens

BODY = b"RIFF and what follows" * 100
NOT_PUBLIC = "prompt_wav_url: names no host with a public address"
SOON_S = 0.3
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

PRIVATE_HOSTS = [
    *"127.0.0.1 127.1 127.255.255.254 2130706433 0x7f000001 0x7f.1 0177.0.0.1 017700000001".split(),
    *("0", "0.0.0.0", "localhost", "LOCALHOST", "localhost.", "①②⑦.⓪.⓪.①", "127。0。0。1"),
    *"10.0.0.1 172.16.0.1 172.31.255.255 192.168.0.1 3232235521 100.64.0.1 100.100.100.200".split(),
    *("169.254.169.254", "0xa9fea9fe", "192.0.0.192", "168.63.129.16", "198.18.0.1", "192.88.99.1"),
    *("224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255", "192.0.2.1", "203.0.113.7"),
    *("[::1]", "[::]", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::ffff:a9fe:a9fe]"),
    *"[::127.0.0.1] [::ffff:0:127.0.0.1] [64:ff9b::7f00:1] [64:ff9b::a00:1] [64:ff9b:1::808:808]".split(),
    *("[2002:7f00:1::]", "[2002:808:808::]", "[2001:0:7f00:1::]", "[2001:db8::1]", "[3fff::1]"),
    *("[fe80::1]", "[fec0::1]", "[fc00::1]", "[fd00:ec2::254]", "[ff02::1]", "[100::1]", "[5f00::1]"),
]


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with opened() as site:
        site.answers["/a.wav"] = answer(BODY, "Content-Type: text/plain")
        yield site


@pytest.fixture
def recordings(site: Site) -> RemoteRecordings:
    return RemoteRecordings(frozenset({f"127.0.0.1:{site.port}"}), timeout_s=WITHIN_S, max_bytes=100_000)


async def refusal(recordings: RemoteRecordings, url: str) -> str:
    with pytest.raises(InvalidRequest) as caught:
        await recordings.fetch(url)
    assert caught.value.field == "prompt_wav_url"
    return str(caught.value)


async def test_recording_is_fetched_unchanged(site: Site, recordings: RemoteRecordings) -> None:
    site.answers["/%C3%B1/a.wav?b=%20c"] = answer(BODY)
    assert await recordings.fetch(site.url("/a.wav#there")) == BODY
    assert await recordings.fetch(site.url("/ñ/a.wav?b=%20c").replace("http", "HTTP")) == BODY
    request, *headers = site.heads[0].strip().split("\r\n")
    assert request == "GET /a.wav HTTP/1.1"
    assert {name.lower(): value for name, value in (line.split(": ") for line in headers)} == {
        "host": f"127.0.0.1:{site.port}",
        "user-agent": "kani-tts",
        "accept": "audio/*, */*;q=0.1",
        "accept-encoding": "identity",
        "connection": "close",
    }


@pytest.mark.parametrize("listed", ["LocalHost", "localhost:{port}"])
async def test_listed_private_host_is_fetched(site: Site, listed: str) -> None:
    recordings = RemoteRecordings(frozenset({listed.format(port=site.port)}))
    assert await recordings.fetch(site.url("/a.wav", host="localhost")) == BODY
    assert await refusal(recordings, site.url("/a.wav")) == NOT_PUBLIC
    if ":" in listed:
        assert await refusal(recordings, f"http://localhost:{site.port + 1}/") == NOT_PUBLIC


@pytest.mark.parametrize("listed", ["::1", "[::1]", "[::1]:{port}"])
async def test_ipv6_host_is_listed_with_or_without_brackets(listed: str) -> None:
    try:
        async with opened("::1") as site:
            site.answers["/a.wav"] = answer(BODY)
            recordings = RemoteRecordings(frozenset({listed.format(port=site.port)}))
            assert await recordings.fetch(site.url("/a.wav", host="[0::1]")) == BODY
            assert f"Host: [::1]:{site.port}\r\n" in site.heads[0]
    except OSError:
        pytest.skip("this machine has no IPv6")


@pytest.mark.parametrize("host", PRIVATE_HOSTS)
async def test_private_host_is_never_visited(site: Site, recordings: RemoteRecordings, host: str) -> None:
    async with opened() as inner:
        url = inner.url("/a.wav", host=host)
        assert await refusal(recordings, url) == NOT_PUBLIC
        site.answers["/go"] = redirect(url)
        assert await refusal(recordings, site.url("/go")) == NOT_PUBLIC
        assert (site.visits, inner.visits) == (1, 0)


async def test_own_address_is_refused_where_it_is_public(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kani.protocols.voxcpm.remote_recordings.is_public_address", lambda address: True)
    assert await refusal(RemoteRecordings(frozenset()), site.url("/a.wav")) == NOT_PUBLIC
    assert site.visits == 0


class Resolving:
    """A resolver of one's own in the place of the system's; asked: the names, in order."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    def __call__(self, host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        self.asked.append(host)
        found = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        kinds = {True: (socket.AF_INET6, (port, 0, 0)), False: (socket.AF_INET, (port,))}
        return [
            (family, socket.SOCK_STREAM, 6, "", (address, *rest))
            for address in found
            for family, rest in [kinds[":" in address]]
        ]


async def test_name_is_resolved_once(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    resolving = Resolving(["93.184.215.14"], ["127.0.0.1"])
    monkeypatch.setattr(socket, "getaddrinfo", resolving)
    connected: list[tuple[str, int]] = []
    really = httpcore.AnyIOBackend.connect_tcp

    async def connect(backend: httpcore.AnyIOBackend, host: str, port: int, *rest: Any) -> Any:
        connected.append((host, port))
        return await really(backend, "127.0.0.1", port, *rest)

    monkeypatch.setattr(httpcore.AnyIOBackend, "connect_tcp", connect)
    recordings = RemoteRecordings(frozenset())
    assert await recordings.fetch(site.url("/a.wav", host="rebinding.test")) == BODY
    assert resolving.asked == ["rebinding.test"]
    assert connected == [("93.184.215.14", site.port)]
    assert await refusal(recordings, site.url("/a.wav", host="rebinding.test")) == NOT_PUBLIC
    assert len(connected) == 1


@pytest.mark.parametrize("private", ["127.0.0.1", "::1", "::ffff:10.0.0.1", "fe80::1%1"])
@pytest.mark.parametrize("first", [True, False])
async def test_mixed_addresses_are_refused(
    site: Site, monkeypatch: pytest.MonkeyPatch, private: str, first: bool
) -> None:
    found = [private, "93.184.215.14"] if first else ["93.184.215.14", "2606:2800:21f::1", private]
    monkeypatch.setattr(socket, "getaddrinfo", Resolving(found))
    recordings = RemoteRecordings(frozenset())
    assert await refusal(recordings, site.url("/a.wav", host="mixed.test")) == NOT_PUBLIC
    assert site.visits == 0


async def test_next_address_is_tried(
    site: Site, recordings: RemoteRecordings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", Resolving(["::1", "127.0.0.1"]))
    assert await recordings.fetch(site.url("/a.wav")) == BODY


async def test_redirects_are_followed_three_times(site: Site, recordings: RemoteRecordings) -> None:
    site.answers |= {
        "/4": redirect("/3"),
        "/3": redirect(site.url("/2"), "301 Moved"),
        "/2": redirect(f"//127.0.0.1:{site.port}/1", "307 Temporary"),
        "/1": redirect("a.wav", "308 Permanent"),
    }
    assert await recordings.fetch(site.url("/3")) == BODY
    assert "redirects too often (at most 3 times)" in await refusal(recordings, site.url("/4"))


@pytest.mark.parametrize(
    "where", ["file:///etc/passwd", "gopher://127.0.0.1/", "data:audio/wav,abc", "//@127.0.0.1/"]
)
async def test_redirect_obeys_same_rules(site: Site, recordings: RemoteRecordings, where: str) -> None:
    site.answers["/go"] = redirect(where)
    assert await refusal(recordings, site.url("/go"))
    assert site.visits == 1


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("file:///etc/passwd", "must begin with http://, https:// or data:"),
        ("gopher://127.0.0.1:{port}/_GET", "must begin with"),
        ("ftp://127.0.0.1:{port}/a.wav", "must begin with"),
        ("jar:http://127.0.0.1:{port}/a.wav", "must begin with"),
        ("127.0.0.1:{port}/a.wav", "must begin with"),
        ("/a.wav", "must begin with"),
        ("", "must begin with"),
        ("http://me:secret@127.0.0.1:{port}/a.wav", "must not hold a user name or a password"),
        ("http://me@127.0.0.1:{port}/a.wav", "must not hold"),
        ("http://public.test@127.0.0.1:{port}/a.wav", "must not hold"),
        ("http://@127.0.0.1:{port}/a.wav", "must not hold"),
        ("http://127.0.0.1:{port}/a.wav?" + "x" * 2000, "too long (at most 2000 characters)"),
        ("http://127.0.0.1:{port}\\@public.test/a.wav", "holds characters"),
        ("http://127.0.0.1:{port}/a\r\nX-Mine: 1", "holds characters"),
        ("http://127.0.0.1:{port}/a\0.wav", "holds characters"),
        ("http://127.0.0.1\t:{port}/a.wav", "holds characters"),
        (" http://127.0.0.1:{port}/a.wav", "holds characters"),
        ("http://127.0.0.1:{port}/\ud800", "holds characters"),
        ("http:///a.wav", "is not a URL"),
        ("http://127.0.0.1:99999/a.wav", "is not a URL"),
        ("http://127.0.0.1:{port}x/a.wav", "is not a URL"),
        ("http://[::1/a.wav", "is not a URL"),
        ("http://[fe80::1%25lo]:{port}/a.wav", "is not a URL"),
        ("http://a..b/a.wav", "is not a URL"),
        ("http://.a/a.wav", "is not a URL"),
        ("http://" + "a" * 64 + ".test/a.wav", "is not a URL"),
        ("http://a%2eb/a.wav", "is not a URL"),
    ],
)
async def test_invalid_url_is_refused(
    site: Site, recordings: RemoteRecordings, url: str, reason: str
) -> None:
    assert f"prompt_wav_url: {reason}" in await refusal(recordings, url.replace("{port}", str(site.port)))
    assert site.visits == 0


async def flood(writer: asyncio.StreamWriter, head: bytes, piece: bytes) -> None:
    writer.write(head)
    while True:
        writer.write(piece * 100)
        await writer.drain()


OK = b"HTTP/1.1 200 OK\r\n"
NO_RECORDING, UNFETCHED = "was not answered with a recording", "could not be fetched"


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (answer(BODY, status="404 Not Found"), NO_RECORDING),
        (answer(BODY, status="206 Partial Content"), NO_RECORDING),
        (answer(BODY, status="500 Broken"), NO_RECORDING),
        (answer(b"", status="304 Same"), NO_RECORDING),
        (answer(b"", status="302 Found"), NO_RECORDING),
        (answer(BODY, "Content-Encoding: gzip"), "compressed"),
        (answer(BODY, "Content-Encoding: identity, br"), "compressed"),
        (answer(BODY, "Content-Encoding: identity", "Content-Encoding: deflate"), "compressed"),
        (OK + b"Content-Length: 100001\r\n\r\n", "too large (at most "),
        (b"", UNFETCHED),
        (OK + b"Content-Length: 10\r\n\r\nRIFF", UNFETCHED),
    ],
)
async def test_other_answer_is_refused(
    site: Site, recordings: RemoteRecordings, raw: bytes, reason: str
) -> None:
    site.answers["/b.wav"] = raw
    told = await refusal(recordings, site.url("/b.wav"))
    # The status of a private host is not told.
    assert told == f"prompt_wav_url: {reason}" if reason in (NO_RECORDING, UNFETCHED) else reason in told


@pytest.mark.parametrize(
    ("head", "piece", "reason"),
    [
        (OK + b"\r\n", bytes(1000), "too large"),
        (CHUNKED, b"3e8\r\n" + bytes(1000) + b"\r\n", "too large"),
        (CHUNKED, b"1\r\nx\r\n", "comes in too small pieces"),
        (CHUNKED, b"1;" + b"x" * 4000 + b"\r\nx\r\n", UNFETCHED),
        (OK, b"X-More: and more\r\n", UNFETCHED),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n", UNFETCHED),
        (b"", b"not HTTP at all", UNFETCHED),
    ],
)
async def test_endless_answer_is_refused(
    site: Site, recordings: RemoteRecordings, head: bytes, piece: bytes, reason: str
) -> None:
    site.answers["/b.wav"] = lambda writer: flood(writer, head, piece)
    assert reason in await refusal(recordings, site.url("/b.wav"))


async def test_status_of_public_host_is_reported(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(public_addresses, "_NOT_PUBLIC_4", ())
    monkeypatch.setattr("kani.protocols.voxcpm.remote_recordings.is_own_address", lambda address: False)
    sentence = await refusal(RemoteRecordings(frozenset()), site.url("/missing"))
    assert sentence == "prompt_wav_url: was not answered with a recording (status 404)"


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 200 OK\r\nContent-Le", b"HTTP/1.1 200 OK\r\n\r\nRIFF"])
async def test_slow_host_times_out(site: Site, head: bytes) -> None:
    async def drip(writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        while head:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(SOON_S / 10)
        await asyncio.Event().wait()

    site.answers["/b.wav"] = drip
    hasty = RemoteRecordings(frozenset({"127.0.0.1"}), timeout_s=SOON_S)
    told = await refusal(hasty, site.url("/b.wav"))
    assert told == f"prompt_wav_url: was not fetched within {SOON_S:g} s"


async def test_default_time_is_ten_seconds(site: Site) -> None:
    async def hang(writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    site.answers["/b.wav"] = hang
    with virtual_time():
        told = await refusal(RemoteRecordings(frozenset({"127.0.0.1"})), site.url("/b.wav"))
    assert told == "prompt_wav_url: was not fetched within 10 s"


async def test_closed_port_is_refused(closed_port: int) -> None:
    url = f"http://127.0.0.1:{closed_port}/"
    assert UNFETCHED in await refusal(RemoteRecordings(frozenset({"127.0.0.1"})), url)


async def test_proxies_of_environment_are_ignored(
    site: Site, recordings: RemoteRecordings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened() as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url())
        assert await recordings.fetch(site.url("/a.wav")) == BODY
        assert proxy.visits == 0


async def test_cookies_are_not_sent_back(site: Site, recordings: RemoteRecordings) -> None:
    site.answers["/b.wav"] = answer(b"", "Set-Cookie: me=you", "Location: /a.wav", status="302 Found")
    assert await recordings.fetch(site.url("/b.wav")) == BODY
    assert not any("cookie" in head.lower() for head in site.heads)


async def test_concurrent_fetches_are_limited(site: Site) -> None:
    recordings = RemoteRecordings(frozenset({"127.0.0.1"}), timeout_s=WITHIN_S)
    go = asyncio.Event()

    async def later(writer: asyncio.StreamWriter) -> None:
        await go.wait()
        writer.write(answer(BODY))
        await writer.drain()

    site.answers["/b.wav"] = later
    async with asyncio.TaskGroup() as group:
        fetches = [group.create_task(recordings.fetch(site.url("/b.wav"))) for _ in range(MAX_FETCHES)]
        await happens(lambda: site.visits >= MAX_FETCHES)
        with pytest.raises(Busy, match="try again later"):
            await recordings.fetch(site.url("/a.wav"))
        go.set()
    assert [fetch.result() for fetch in fetches] == [BODY] * MAX_FETCHES
    assert await recordings.fetch(site.url("/a.wav")) == BODY


async def test_hanging_resolver_blocks_no_other(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = frozenset({"127.0.0.1"})
    patient, hasty = RemoteRecordings(listed, timeout_s=WITHIN_S), RemoteRecordings(listed, timeout_s=SOON_S)
    wake = threading.Event()
    really = socket.getaddrinfo

    def hangs(host: str, *rest: Any, **named: Any) -> Any:
        if host == "hangs.test":
            wake.wait()
            raise socket.gaierror
        return really(host, *rest, **named)

    monkeypatch.setattr(socket, "getaddrinfo", hangs)
    monkeypatch.setattr(public_addresses, "MAX_LOOKUPS", 2)
    try:
        waiting = [asyncio.create_task(refusal(patient, "http://hangs.test/"))]
        await asyncio.sleep(0)
        assert await patient.fetch(site.url("/a.wav")) == BODY
        waiting.append(asyncio.create_task(refusal(patient, "http://hangs.test/")))
        await asyncio.sleep(0)
        with pytest.raises(Busy):
            await patient.fetch(site.url("/a.wav"))
        assert "was not fetched within" in await refusal(hasty, "http://hangs.test/")
    finally:
        wake.set()
    assert await asyncio.gather(*waiting) == [NOT_PUBLIC] * 2
    assert await patient.fetch(site.url("/a.wav")) == BODY


async def test_certificate_is_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(tls)
    listed = frozenset({"localhost", "127.0.0.1"})
    async with opened(tls=tls) as site:
        site.answers["/a.wav"] = answer(BODY)
        url = site.url("/a.wav", "localhost", "https")
        assert "could not be fetched" in await refusal(RemoteRecordings(listed), url)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
        trusting = RemoteRecordings(listed)
        assert await trusting.fetch(url) == BODY
        assert "could not be fetched" in await refusal(trusting, url.replace("localhost", "127.0.0.1"))
        site.answers["/b.wav"] = lambda writer: flood(writer, b"HTTP/1.1 200 OK\r\n\r\n", bytes(1000))
        assert "too large" in await refusal(trusting, url.replace("a.wav", "b.wav"))
        assert len(site.heads) == 2


@pytest.mark.parametrize(
    "url",
    [
        "data:audio/wav;base64," + base64.b64encode(BODY).decode(),
        "data:;base64," + base64.b64encode(BODY).decode().rstrip("="),
        "DATA:audio/x-wav;codecs=1;BASE64,%20" + base64.b64encode(BODY).decode().replace("=", "%3D"),
        "data:," + "".join(f"%{byte:02x}" for byte in BODY),
        "data:text/plain;charset=utf-8," + BODY.decode(),
    ],
)
async def test_data_url_is_decoded(recordings: RemoteRecordings, url: str) -> None:
    assert await recordings.fetch(url) == BODY


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("data:audio/wav;base64", "a comma is missing"),
        ("data:;base64,####", "base64 cannot be read"),
        ("data:;base64,AAAAA", "base64 cannot be read"),
        ("data:;base64,é", "base64 cannot be read"),
        ("data:,\ud800", "base64 cannot be read"),
        ("data:," + "x" * 100_001, "too large"),
    ],
)
async def test_invalid_data_url_is_refused(recordings: RemoteRecordings, url: str, reason: str) -> None:
    assert reason in await refusal(recordings, url)


@pytest.mark.parametrize(
    "address",
    "8.8.8.8 1.1.1.1 172.32.0.1 100.128.0.1 2606:4700::1111 ::ffff:8.8.8.8 64:ff9b::808:808".split(),
)
def test_public_addresses_are_public(address: str) -> None:
    assert is_public_address(address)


def test_private_networks_of_python_are_not_public() -> None:
    networks = [
        *ipaddress.IPv4Address("0.0.0.0")._constants._private_networks,  # type: ignore[attr-defined]
        *ipaddress.IPv6Address("::")._constants._private_networks,  # type: ignore[attr-defined]
        ipaddress.ip_network("224.0.0.0/4"),
        ipaddress.ip_network("ff00::/8"),
    ]
    assert len(networks) > 20
    for network in networks:
        if str(network) != "::ffff:0:0/96":
            assert not is_public_address(str(network[0])) and not is_public_address(str(network[-1])), network


def test_own_addresses_are_recognized() -> None:
    found = {address: is_own_address(address) for address in ("127.0.0.1", "192.0.2.1", "2001:db8::1")}
    assert found == {"127.0.0.1": True, "192.0.2.1": False, "2001:db8::1": False}
