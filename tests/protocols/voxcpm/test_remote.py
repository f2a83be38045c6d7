"""Recordings by URL: what is fetched from listed hosts, and that no other host is asked."""

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme

from kani.core.errors import Busy, InvalidRequest
from kani.protocols.voxcpm.remote_recordings import MAX_FETCHES, RemoteRecordings
from tests.protocols.raw_site import Site, answer, endless, opened, redirect
from tests.support.event_loop import virtual_time
from tests.support.patience import WITHIN_S, happens

BODY = b"RIFF and what follows" * 100
NOT_LISTED = "prompt_wav_url: names a host that this server does not fetch from (KANI_RECORDING_HOSTS)"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

OTHER_HOSTS = [
    *("localhost", "127.1", "2130706433", "0x7f.1", "0.0.0.0", "[::1]", "[::ffff:127.0.0.1]", "[fe80::1]"),
    *("10.0.0.1", "169.254.169.254", "93.184.215.14", "127.0.0.1.public.test", "a..b", "a%2eb"),
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
async def test_host_is_listed_with_or_without_its_port(site: Site, listed: str) -> None:
    recordings = RemoteRecordings(frozenset({listed.format(port=site.port)}))
    assert await recordings.fetch(site.url("/a.wav", host="localhost")) == BODY
    assert await refusal(recordings, site.url("/a.wav")) == NOT_LISTED
    if ":" in listed:
        assert await refusal(recordings, f"http://localhost:{site.port + 1}/") == NOT_LISTED


@pytest.mark.parametrize("listed", ["::1", "[::1]", "[::1]:{port}"])
async def test_ipv6_host_is_listed_with_or_without_brackets(listed: str) -> None:
    try:
        async with opened("::1") as site:
            site.answers["/a.wav"] = answer(BODY)
            recordings = RemoteRecordings(frozenset({listed.format(port=site.port)}))
            assert await recordings.fetch(site.url("/a.wav", host="[::1]")) == BODY
            assert f"Host: [::1]:{site.port}\r\n" in site.heads[0]
    except OSError:
        pytest.skip("this machine has no IPv6")


@pytest.mark.parametrize("host", OTHER_HOSTS)
async def test_other_host_is_never_visited(site: Site, recordings: RemoteRecordings, host: str) -> None:
    async with opened() as inner:
        url = inner.url("/a.wav", host=host)
        assert await refusal(recordings, url) == NOT_LISTED
        site.answers["/go"] = redirect(url)
        assert await refusal(recordings, site.url("/go")) == NOT_LISTED
        assert (site.visits, inner.visits) == (1, 0)


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
    "where", ["file:///etc/passwd", "gopher://127.0.0.1/", "data:audio/wav,abc", "//me@127.0.0.1/"]
)
async def test_redirect_obeys_same_rules(site: Site, recordings: RemoteRecordings, where: str) -> None:
    site.answers["/go"] = redirect(where)
    assert await refusal(recordings, site.url("/go"))
    assert site.visits == 1


BAD_URLS = {
    "must begin with http://, https:// or data:": (
        *("file:///etc/passwd", "gopher://{host}/_GET", "ftp://{host}/a.wav", "/a.wav", ""),
        *("jar:http://{host}/a.wav", "{host}/a.wav"),
    ),
    "must not hold a user name or a password": (
        *("http://me:secret@{host}/a.wav", "http://me@{host}/a.wav", "http://public.test@{host}/a.wav"),
    ),
    "too long (at most 2000 characters)": ("http://{host}/a.wav?" + "x" * 2000,),
    "holds characters": (
        *("http://{host}\\@public.test/a.wav", "http://{host}/a\r\nX-Mine: 1", "http://{host}/a\0.wav"),
        *("http://127.0.0.1\t:{port}/a.wav", " http://{host}/a.wav", "http://{host}/\ud800"),
    ),
    "is not a URL": ("http://{host}x/a.wav", "http://[::1/a.wav", "http://①②⑦.⓪.⓪.①/a.wav"),
    "names a host": ("http:///a.wav", "http://127.0.0.1:99999/a.wav"),
}


@pytest.mark.parametrize(
    ("reason", "url"), [(why, url) for why in BAD_URLS for url in BAD_URLS[why]], ids=ascii
)
async def test_bad_url_is_refused(site: Site, recordings: RemoteRecordings, url: str, reason: str) -> None:
    given = url.replace("{host}", "127.0.0.1:{port}").replace("{port}", str(site.port))
    assert f"prompt_wav_url: {reason}" in await refusal(recordings, given)
    assert site.visits == 0


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
async def test_answer_is_refused(site: Site, recordings: RemoteRecordings, raw: bytes, reason: str) -> None:
    site.answers["/b.wav"] = raw
    told = await refusal(recordings, site.url("/b.wav"))
    # The status of a host is not told.
    assert told == f"prompt_wav_url: {reason}" if reason in (NO_RECORDING, UNFETCHED) else reason in told


@pytest.mark.parametrize(
    ("head", "piece", "reason"),
    [
        (OK + b"\r\n", bytes(1000), "has more than 100000 bytes"),
        (CHUNKED, b"3e8\r\n" + bytes(1000) + b"\r\n", "has more than 100000 bytes"),
        (CHUNKED, b"1\r\nx\r\n", "comes in more than 20000 pieces"),
        (CHUNKED, b"1;" + b"x" * 4000 + b"\r\nx\r\n", "comes in more than 20000 pieces"),
        (OK, b"X-More: and more\r\n", "begins with more than 65536 bytes or 200 lines"),
        (b"", b"not HTTP at all", "begins with more than 65536 bytes or 200 lines"),
        (b"", b"HTTP/1.1 103 Early Hints\r\n\r\n", "begins with more than 65536 bytes or 200 lines"),
    ],
)
async def test_endless_answer_is_refused(
    site: Site, recordings: RemoteRecordings, head: bytes, piece: bytes, reason: str
) -> None:
    site.answers["/b.wav"] = endless(head, piece * 100)
    assert reason in await refusal(recordings, site.url("/b.wav"))


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 200 OK\r\nContent-Le", b"HTTP/1.1 200 OK\r\n\r\nRIFF"])
async def test_slow_host_times_out_after_ten_seconds(site: Site, head: bytes) -> None:
    async def drip(writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        while head:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(1.0)
        await asyncio.Event().wait()

    site.answers["/b.wav"] = drip
    with virtual_time():
        told = await refusal(RemoteRecordings(frozenset({"127.0.0.1"})), site.url("/b.wav"))
    assert told == "prompt_wav_url: was not fetched within 10 s"


async def test_proxies_cookies_and_closed_ports_lead_nowhere(
    site: Site, recordings: RemoteRecordings, monkeypatch: pytest.MonkeyPatch, closed_port: int
) -> None:
    async with opened() as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url())
        assert await recordings.fetch(site.url("/a.wav")) == BODY
        assert proxy.visits == 0
    site.answers["/b.wav"] = answer(b"", "Set-Cookie: me=you", "Location: /a.wav", status="302 Found")
    assert await recordings.fetch(site.url("/b.wav")) == BODY
    assert not any("cookie" in head.lower() for head in site.heads)
    url = f"http://127.0.0.1:{closed_port}/"
    assert UNFETCHED in await refusal(RemoteRecordings(frozenset({"127.0.0.1"})), url)


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
        site.answers["/b.wav"] = endless(b"HTTP/1.1 200 OK\r\n\r\n", bytes(100_000))
        assert "has more than" in await refusal(trusting, url.replace("a.wav", "b.wav"))
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
