"""The certificate that a server shows, where it speaks wss and https itself."""

from __future__ import annotations

import ssl
from pathlib import Path

from server.network.listeners import CannotListen

CERTIFICATE = "KANI_TLS_CERT"
KEY = "KANI_TLS_KEY"


def server_context(certificate: Path | None, key: Path | None) -> ssl.SSLContext | None:
    """What to serve TLS with (1.2 or later), from two PEM files; None where neither is given.

    certificate: the server's own first, then those in between up to its authority's. Raises
    CannotListen with the setting that cannot be taken, and why.
    """
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        missing = CERTIFICATE if certificate is None else KEY
        raise CannotListen(f"{CERTIFICATE} and {KEY} belong together: {missing} is not set")
    _check_pem(CERTIFICATE, certificate, b"CERTIFICATE-----", "certificate")
    _check_pem(KEY, key, b"PRIVATE KEY-----", "private key")

    def no_password() -> str:
        raise CannotListen(
            f"{KEY}: {key} is encrypted, and nobody is there to be asked for its password: "
            f"openssl pkey -in {key.name} -out FILE takes it off"
        )

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(certificate, key, no_password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise CannotListen(f"{KEY}: {key} is not the key of the certificate in {certificate}") from error
        told = (error.reason or str(error)).lower().replace("_", " ")
        raise CannotListen(f"{CERTIFICATE}, {KEY}: {certificate} and {key} cannot be used: {told}") from error
    return context


def _check_pem(setting: str, file: Path, mark: bytes, what: str) -> None:
    try:
        content = file.read_bytes()
    except OSError as error:
        raise CannotListen(f"{setting}: {file} cannot be read: {error.strerror}") from error
    if mark not in content:
        raise CannotListen(f"{setting}: {file} holds no {what} in PEM form")
