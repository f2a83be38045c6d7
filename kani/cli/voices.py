"""Client of a server's voices over HTTP: lists them, and stores and deletes voices from recordings.

Protocol: GET, POST (multipart) and DELETE ``/v1/audio/voices`` beside the WebSocket. Standard library only.
"""

import argparse
import http.client
import json
import secrets
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlsplit, urlunsplit

from websocket_client import (
    LOCAL_HOSTS,
    AuthenticationFailed,
    NoServer,
    NotConnected,
    RequestFailed,
    UnexpectedAnswer,
)

TIMEOUT_S = 60.0
NEAREST_VOICE_NOTE = "near, not the same"

Voice = dict[str, Any]


class VoiceRefused(RequestFailed):
    """Refusal of the server: its sentence, which names the invalid field, and the HTTP status."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class VoicesClient:
    """The voices of one server. Every call blocks.

    server: address of its WebSocket (``ws://`` or ``wss://``); api_key: its key, if it requires one.
    Every call raises NotConnected, AuthenticationFailed, UnexpectedAnswer, and VoiceRefused.
    """

    def __init__(self, server: str, api_key: str | None = None) -> None:
        parts = urlsplit(server)
        scheme = "https" if parts.scheme == "wss" else "http"
        self._url = urlunsplit((scheme, parts.netloc, parts.path.rstrip("/"), "", "")) + "/v1/audio/voices"
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        # A proxy of the environment is not for this machine.
        proxies = [urllib.request.ProxyHandler({})] if parts.hostname in LOCAL_HOSTS else []
        self._opener = urllib.request.build_opener(*proxies)

    def list(self) -> list[Voice]:
        """Return all voices, the stored ones first."""
        voices: list[Voice] = self._request("GET")["voices"]
        return sorted(voices, key=lambda voice: not voice["kept"])

    def add(self, name: str, recording: bytes, consent: str, language: str | None = None) -> Voice:
        """Store a voice; its id is ``custom:NAME``.

        name: 1-64 letters, digits, "-" and "_"; recording: an audio file of 3-60 s, at most 10 MiB; consent:
        what the person who speaks in it agreed to, in words; language: a tag or a name.
        """
        fields = {"name": name, "consent": consent, **({"language": language} if language else {})}
        boundary = secrets.token_hex(16)
        form = _form(boundary, fields, recording)
        return self._request("POST", form, f"multipart/form-data; boundary={boundary}")

    def delete(self, voice: str) -> None:
        """Delete a stored voice, with its recording and everything derived from it."""
        self._answer("DELETE", f"/{quote(voice, safe='')}")

    def _request(self, method: str, body: bytes | None = None, content_type: str = "") -> dict[str, Any]:
        """Return the JSON object of the answer."""
        try:
            answer = json.loads(self._answer(method, "", body, content_type))
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict) or not answer.keys() & {"voices", "id"}:
            raise UnexpectedAnswer(f"{self._url} sent an answer that holds no voice")
        return answer

    def _answer(self, method: str, path: str, body: bytes | None = None, content_type: str = "") -> bytes:
        headers = {**self._headers, **({"Content-Type": content_type} if content_type else {})}
        request = urllib.request.Request(self._url + path, body, headers, method=method)  # noqa: S310
        try:
            with self._opener.open(request, timeout=TIMEOUT_S) as answer:
                content: bytes = answer.read()
                return content
        except HTTPError as refusal:
            with refusal:
                said = _message(refusal.read())
            if refusal.code in (401, 403):
                raise AuthenticationFailed(
                    f"{self._url} refused ({refusal.code}) {said}".strip()
                ) from refusal
            raise VoiceRefused(said or f"{self._url} answered {refusal.code}", refusal.code) from refusal
        except (URLError, OSError, http.client.HTTPException) as failure:
            reason = failure.reason if isinstance(failure, URLError) else failure
            kind = NoServer if isinstance(reason, ConnectionRefusedError) else NotConnected
            raise kind(f"cannot reach {self._url}: {reason}") from failure


def _form(boundary: str, fields: Mapping[str, str], recording: bytes) -> bytes:
    """Return a multipart/form-data body (RFC 7578): the fields, and the recording as the file ``audio``."""
    parts = []
    for name, value in fields.items():
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'
        parts += [head.encode(), value.encode(), b"\r\n"]
    file = 'form-data; name="audio"; filename="recording"\r\nContent-Type: application/octet-stream'
    head = f"--{boundary}\r\nContent-Disposition: {file}\r\n\r\n"
    return b"".join([*parts, head.encode(), recording, f"\r\n--{boundary}--\r\n".encode()])


def _message(body: bytes) -> str:
    """Return the sentence in the body of an error."""
    try:
        return str(json.loads(body)["error"]["message"])
    except (ValueError, LookupError, TypeError, RecursionError):
        return body.decode("utf-8", "replace").strip()[:200]


def similarity_change(similarity: Mapping[str, Any]) -> str:
    """Describe similarity as "0.71 → 0.85": of the best single voice, and of the mix that speaks."""
    how = "" if similarity["measured"] else " expected"
    return f"{similarity['before']:.2f} → {similarity['now']:.2f}{how}"


def cloning_outcome(metadata: Mapping[str, Any]) -> str:
    """Describe how the reference of a request was used."""
    match metadata.get("cloning"):
        case "nearest voice" if "similarity" in metadata:
            return f"nearest voice {similarity_change(metadata['similarity'])}: {NEAREST_VOICE_NOTE}"
        case "nearest voice":
            return f"nearest voice: {NEAREST_VOICE_NOTE}"
        case "embedding":
            return "the engine cloned the recorded voice"
    return "the voice of the recording was not cloned: the engine at hand does not clone"


def describe(voice: Voice) -> Iterator[str]:
    """Yield the lines that describe a voice; the first begins with its id."""
    language = voice["language"] or "any language"
    if not voice["kept"]:
        yield f"{voice['id']}  {language}, {voice['engine']}"
        return
    yield f"{voice['id']}  {language}, {voice['duration_s']:.1f} s, stored {voice['consent_at'][:10]}"
    able = [engine for engine in voice["engines"] if engine["cloning"] != "none"]
    if not able:
        yield "  no engine of this server can clone it: the language's default voice speaks"
    for engine in able:
        # Measured similarities and that of the voice's own language; all predictions only if there are none.
        own = voice["language"].partition("-")[0]
        telling = {
            tag: known for tag, known in engine["similarity"].items() if known["measured"] or tag == own
        }
        near = [
            f"{tag} {similarity_change(known)}" for tag, known in (telling or engine["similarity"]).items()
        ]
        state = {"ready": "", "refining": ", being refined", "missing": ", not embedded yet"}[engine["state"]]
        line = f"  {engine['engine']}: {engine['cloning']}{state}"
        yield f"{line}; {', '.join(near)}: {NEAREST_VOICE_NOTE}" if near else line
    yield from (f"  advice: {sentence}" for sentence in voice["advice"])


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the program's options for voices, which ``manage`` carries out."""
    group = parser.add_argument_group("voices of the server (nothing is spoken)")
    one = group.add_mutually_exclusive_group()
    one.add_argument("--voices", action="store_true", help="list them, the stored ones first")
    one.add_argument(
        "--add-voice",
        metavar="NAME",
        help="store the voice of --reference; --voice custom:NAME speaks with it",
    )
    one.add_argument("--delete-voice", metavar="NAME", help="delete a stored voice and its recording")
    group.add_argument(
        "--consent", metavar="WORDS", help="with --add-voice: the consent of the person who speaks, in words"
    )


def is_requested(options: argparse.Namespace) -> bool:
    """Return True if an option for voices was given."""
    return bool(options.voices or options.add_voice is not None or options.delete_voice is not None)


def manage(options: argparse.Namespace, recording: bytes | None) -> None:
    """Carry out an option for voices: ids and lists go to standard output, remarks to standard error.

    Raises as ``VoicesClient``.
    """
    voices = VoicesClient(options.server, options.api_key)
    if options.voices:
        tag = options.language
        shown = [
            voice for voice in voices.list() if tag in (None, (voice["language"] or "").partition("-")[0])
        ]
        if tag and not shown:
            raise RequestFailed(f"--language {tag}: no voice of this server speaks it")
        for voice in shown:
            print(*describe(voice), sep="\n")
    elif options.delete_voice is not None:
        voices.delete(options.delete_voice)
        print(f"{options.delete_voice} is deleted, and its recording", file=sys.stderr)
    else:
        assert recording is not None
        voice = voices.add(options.add_voice, recording, options.consent, options.language)
        _, *known = describe(voice)
        print(voice["id"], flush=True)
        print(*known, sep="\n", file=sys.stderr)
