"""wss and https: a real server with a certificate, its clients, and certificates that cannot be taken."""

import os
import ssl
import sys
import wave
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from websockets.sync.client import connect

from kani.composition.settings import SettingsError
from kani.server.network.listeners import server_context
from tests.conftest import ServerProcess, StartServer, server_process
from tests.support import permissions
from tests.support.programs import Ended, python

trustme = pytest.importorskip("trustme", reason="trustme, which makes certificates, is not installed")

PASSWORD = "some password"


class Files:
    """An authority that signed a certificate for this machine, as files: ``authority``, ``cert``, ``key``."""

    def __init__(self, folder: Path) -> None:
        own = trustme.CA()
        signed = own.issue_cert("localhost", "127.0.0.1", "::1")
        self.authority, self.cert, self.key = (folder / name for name in ("ca.pem", "cert.pem", "key.pem"))
        own.cert_pem.write_to_path(self.authority)
        for pem in signed.cert_chain_pems:
            pem.write_to_path(self.cert, append=True)
        signed.private_key_pem.write_to_path(self.key)

    @property
    def trusting(self) -> ssl.SSLContext:
        """Context of a client that trusts only the authority."""
        return ssl.create_default_context(cafile=str(self.authority))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("another"))


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory, files: Files) -> Iterator[ServerProcess]:
    """A server with a certificate, on its compat ports too."""
    arguments = ("--engine", "espeak", "--compat", "--tls-cert", str(files.cert), "--tls-key", str(files.key))
    folder = tmp_path_factory.mktemp("secure")
    with server_process(folder, *arguments, KANI_METRICS_PORT="0") as running:
        yield running


def run(files: Files, *arguments: str, code: int = 0) -> Ended:
    """Run the client, which trusts the authority, to its end."""
    environment = os.environ | {"SSL_CERT_FILE": str(files.authority)}
    return python("websocket_client.py", *arguments, code=code, env=environment)


@pytest.mark.server
def test_the_client_speaks_over_wss(secure: ServerProcess, files: Files, tmp_path: Path) -> None:
    address = f"wss://{secure.host}:{secure.port}"
    assert address in secure.banner and "ws://" not in secure.banner.replace("wss://", "")
    wav = tmp_path / "hola.wav"
    run(files, "Hola, ¿qué tal?", "-o", str(wav), "--server", address)
    with wave.open(str(wav)) as heard:
        assert heard.getnframes() / heard.getframerate() > 0.5
    assert "espeak:es-419" in run(files, "--voices", "--server", address).stdout


@pytest.mark.server
def test_every_port_speaks_tls_and_nothing_else(secure: ServerProcess, files: Files) -> None:
    assert len(secure.compat) == 7
    for port in (secure.port, *secure.compat.values()):
        path = "/metrics" if port == secure.compat["metrics"] else "/health"
        answer = httpx2.get(f"https://{secure.host}:{port}{path}", verify=files.trusting)
        assert answer.status_code == 200
        with pytest.raises(httpx2.HTTPError):
            httpx2.get(f"http://{secure.host}:{port}{path}")


@pytest.mark.server
def test_client_reports_the_certificate(secure: ServerProcess, files: Files, others: Files) -> None:
    plain, secured = f"ws://{secure.host}:{secure.port}", f"wss://{secure.host}:{secure.port}/"
    asked = ("Hola", "-o", "x.wav", "--server")
    told = run(others, *asked, secured, code=1).stderr
    assert "its certificate is not trusted here" in told and "SSL_CERT_FILE" in told
    assert "begins with wss://" in run(files, *asked, plain, code=1).stderr
    # A page of its own may come in.
    for origin in ({}, {"Origin": f"https://{secure.host}:{secure.port}"}):
        with connect(secured, ssl=files.trusting, additional_headers=origin) as websocket:
            websocket.send('{"type": "ping", "data": {}}')
            assert "pong" in str(websocket.recv())


def complaint(certificate: Path | None, key: Path | None) -> str:
    """Return the reason for which a pair is refused."""
    with pytest.raises(SettingsError) as told:
        server_context(certificate, key)
    return str(told.value)


def test_nothing_older_than_tls_1_2_is_spoken(files: Files) -> None:
    assert server_context(None, None) is None
    context = server_context(files.cert, files.key)
    assert context is not None and context.minimum_version == ssl.TLSVersion.TLSv1_2


def test_each_invalid_pair_has_its_error(files: Files, others: Files, tmp_path: Path) -> None:
    cert, key, half, missing = files.cert, files.key, tmp_path / "half.pem", tmp_path / "none.pem"
    half.write_bytes(cert.read_bytes()[:200])
    unreadable = f"KANI_TLS_CERT, KANI_TLS_KEY: {half} and {key} cannot be"
    pairs = {
        (cert, others.key): f"KANI_TLS_KEY: {others.key} is not the key of the certificate in {cert}",
        (key, cert): f"KANI_TLS_CERT: {key} holds no certificate in PEM form",
        (cert, cert): f"KANI_TLS_KEY: {cert} holds no private key in PEM form",
        (tmp_path, key): f"KANI_TLS_CERT: {tmp_path} cannot be read: no regular file",
        (cert, missing): f"KANI_TLS_KEY: {missing} cannot be read: No such file or directory",
        (None, key): "KANI_TLS_CERT and KANI_TLS_KEY belong together: KANI_TLS_CERT is not set",
        (cert, None): "KANI_TLS_CERT and KANI_TLS_KEY belong together: KANI_TLS_KEY is not set",
    }
    assert {pair: complaint(*pair) for pair in pairs} == pairs
    assert complaint(half, key).startswith(unreadable)
    half.chmod(0)
    with permissions.binding():
        assert complaint(cert, half) == f"KANI_TLS_KEY: {half} cannot be read: Permission denied"


def test_encrypted_key_is_refused_with_the_remedy(files: Files, tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization

    key = serialization.load_pem_private_key(files.key.read_bytes(), None)
    encrypted = tmp_path / "encrypted.pem"
    encrypted.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(PASSWORD.encode()),
        )
    )
    assert complaint(files.cert, encrypted) == (
        f"KANI_TLS_KEY: {encrypted} is encrypted, and the server cannot ask for its password: "
        "openssl pkey -in encrypted.pem -out FILE removes it"
    )


@pytest.mark.skipif(sys.platform != "linux", reason="fronts need Linux")
def test_what_one_front_would_keep_is_refused(start_server: StartServer, files: Files) -> None:
    tls = ("--tls-cert", str(files.cert), "--tls-key", str(files.key))
    server = start_server("--engine", "espeak", "--fronts", "2", *tls)
    assert "not served by several fronts with TLS" in server.log
    with httpx2.Client(base_url=server.http_url.replace("http:", "https:"), verify=files.trusting) as client:
        refused = client.post("/v1/realtime/calls", content="v=0")
    assert refused.status_code == 501 and "--fronts 1" in refused.text
