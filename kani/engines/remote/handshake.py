"""Handshake of a server and an engine worker: versions, and a proof by each that it has the shared key.

The server greets (``Greeting``), the worker challenges it (``Challenge``), the server answers and the worker
proves itself (``Proof`` each). A proof is HMAC-SHA256 under the shared key over the role and both nonces, so
that neither the key nor a proof that serves a second time is ever sent. The keys of the tags that further
messages have are made in the same way, with other words for the role.
"""

import asyncio
import hmac
import secrets
from collections.abc import Coroutine
from typing import Literal

import msgspec

from kani.core.errors import EngineUnavailable
from kani.engines.remote.address import Address
from kani.engines.remote.channel import Channel, ProtocolError, Tags
from kani.engines.remote.checks import one_line
from kani.engines.remote.messages import PROTOCOL_VERSION
from kani_text import foreign

MAGIC = "kani-tts engine"
SERVER_TIMEOUT_S, WORKER_TIMEOUT_S = 60.0, 10.0
"""Most seconds of the handshake: a child still imports its libraries before it answers."""

NONCE_BYTES = 32
MIN_KEY_CHARACTERS = 16

_OTHER_KEY = "the {} has another key: set the same KANI_ENGINE_KEY on both sides"

Role = Literal["server", "worker"]
Purpose = Literal["server", "worker", "messages of the server", "messages of the worker"]


class Greeting(msgspec.Struct, array_like=True):
    """First frame of the server; its first two fields never change."""

    magic: str
    version: int
    nonce: bytes = b""


class Challenge(msgspec.Struct, array_like=True):
    """Answer of the worker; its first three fields never change."""

    magic: str
    version: int
    refusal: str  # reason for which the worker closes the connection; empty if it goes on
    nonce: bytes = b""


class Proof(msgspec.Struct, array_like=True):
    """Proof that the sender has the key."""

    digest: bytes


_GREETING = msgspec.msgpack.Decoder(Greeting)
_CHALLENGE = msgspec.msgpack.Decoder(Challenge)
_PROOF = msgspec.msgpack.Decoder(Proof)


def check_key(address: Address, key: str) -> None:
    """Raise EngineUnavailable where ``address`` needs a key that is not there or too short."""
    if key and len(key) < MIN_KEY_CHARACTERS:
        raise EngineUnavailable(f"KANI_ENGINE_KEY has to have {MIN_KEY_CHARACTERS} characters at least")
    if address.needs_key and not key:
        raise EngineUnavailable(
            f"{address} can be reached by others: set KANI_ENGINE_KEY, the same for worker and servers"
        )


async def greet(channel: Channel, key: str) -> None:
    """Take the server's part. Raises ProtocolError with the reason and the remedy."""
    await _limited(channel, _greet(channel, key), SERVER_TIMEOUT_S)


async def welcome(channel: Channel, key: str) -> None:
    """Take the worker's part. Raises ProtocolError; the server gets the reason if it has another version."""
    await _limited(channel, _welcome(channel, key), WORKER_TIMEOUT_S)


async def _limited(channel: Channel, handshake: Coroutine[None, None, None], within_s: float) -> None:
    try:
        async with asyncio.timeout(within_s):
            await handshake
    except TimeoutError as error:
        raise ProtocolError(f"the handshake took longer than {within_s:g} s") from error
    except foreign.Unreadable as error:
        raise ProtocolError(f"the peer does not speak this protocol ({error})") from error


async def _greet(channel: Channel, key: str) -> None:
    nonce = secrets.token_bytes(NONCE_BYTES)
    channel.send_packed(msgspec.msgpack.encode(Greeting(MAGIC, PROTOCOL_VERSION, nonce)))
    challenge = foreign.decode_pack(_CHALLENGE, await channel.read())
    if challenge.magic != MAGIC:
        raise ProtocolError("the peer is no engine worker")
    if challenge.version != PROTOCOL_VERSION:
        raise ProtocolError(_other_version("worker", challenge.version))
    if challenge.refusal:
        raise ProtocolError(one_line(challenge.refusal))
    channel.send_packed(_proof(key, "server", nonce, challenge.nonce))
    try:
        proof = foreign.decode_pack(_PROOF, await channel.read())
    except ProtocolError as error:
        cause = f"the worker was stopped, or {_OTHER_KEY.format('worker')}"
        raise ProtocolError(f"{error} where a proof was due: {cause}") from error
    _check(proof, key, "worker", nonce, challenge.nonce)
    if key:
        channel.authenticate(*_tags(key, nonce, challenge.nonce))


async def _welcome(channel: Channel, key: str) -> None:
    nonce = secrets.token_bytes(NONCE_BYTES)
    greeting = foreign.decode_pack(_GREETING, await channel.read())
    if greeting.magic != MAGIC:
        raise ProtocolError("the peer is no server of this protocol")
    refusal = "" if greeting.version == PROTOCOL_VERSION else _other_version("server", greeting.version)
    channel.send_packed(msgspec.msgpack.encode(Challenge(MAGIC, PROTOCOL_VERSION, refusal, nonce)))
    if refusal:
        raise ProtocolError(refusal)
    proof = foreign.decode_pack(_PROOF, await channel.read())
    _check(proof, key, "server", greeting.nonce, nonce)
    channel.send_packed(_proof(key, "worker", greeting.nonce, nonce))
    if key:
        of_server, of_worker = _tags(key, greeting.nonce, nonce)
        channel.authenticate(of_worker, of_server)


def _other_version(peer: str, version: int) -> str:
    return (
        f"the {peer} has version {version} of the worker protocol, this process has {PROTOCOL_VERSION}: "
        "install the same release on both sides"
    )


def _proof(key: str, role: Role, server_nonce: bytes, worker_nonce: bytes) -> bytes:
    return msgspec.msgpack.encode(Proof(_digest(key, role, server_nonce, worker_nonce)))


def _tags(key: str, server_nonce: bytes, worker_nonce: bytes) -> tuple[Tags, Tags]:
    """Return the tags of the server's messages, and of the worker's."""
    of_server = _digest(key, "messages of the server", server_nonce, worker_nonce)
    of_worker = _digest(key, "messages of the worker", server_nonce, worker_nonce)
    return Tags(of_server), Tags(of_worker)


def _digest(key: str, purpose: Purpose, server_nonce: bytes, worker_nonce: bytes) -> bytes:
    content = msgspec.msgpack.encode((MAGIC, PROTOCOL_VERSION, purpose, server_nonce, worker_nonce))
    return hmac.digest(key.encode(), content, "sha256")


def _check(proof: Proof, key: str, role: Role, server_nonce: bytes, worker_nonce: bytes) -> None:
    if not hmac.compare_digest(proof.digest, _digest(key, role, server_nonce, worker_nonce)):
        raise ProtocolError(_OTHER_KEY.format(role))
