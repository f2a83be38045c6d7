"""An S3 bucket as the core's ``ObjectStore``, by obstore; imported only where KANI_VOICE_BUCKET is set."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, NotModifiedError, PreconditionError
from obstore.store import S3Store

from kani.core.voices.storage.objects import BucketRefused, BucketUnreachable, Conflict, Object

if TYPE_CHECKING:
    from obstore import GetResult, PutResult, UpdateVersion
    from obstore.store import ClientConfig, RetryConfig, S3Config

ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
"""Variables that name another service than Amazon's; the first that is set counts."""

CONNECT_TIMEOUT_S, LOOK_TIMEOUT_S, TIMEOUT_S = 3, 5, 20
"""Seconds to connect, for a look for changes, and for a transfer of up to 10 MiB."""

_CODE = re.compile(r"<Code>(\w{1,64})</Code>")
_STATUS = re.compile(r"status code: (\d{3})")
_METADATA_SERVICE = "169.254."


class S3ObjectStore:
    def __init__(self, bucket: str, prefix: str) -> None:
        """prefix: path below which all objects are, empty for none.

        Credentials, region and endpoint are those of the usual AWS_… variables, of a container's role or of
        the machine's.
        """
        self._bucket = bucket
        self._store = _store(bucket, prefix, TIMEOUT_S)
        self._looking = _store(bucket, prefix, LOOK_TIMEOUT_S)

    def read(self, path: str, max_bytes: int) -> Object | None:
        try:
            with self._errors(FileNotFoundError):
                return _content(obstore.get(self._store, path), max_bytes)
        except FileNotFoundError:
            return None

    def read_if_changed(self, path: str, version: str, max_bytes: int) -> Object | None:
        try:
            with self._errors(FileNotFoundError, NotModifiedError):
                return _content(
                    obstore.get(self._looking, path, options={"if_none_match": version}), max_bytes
                )
        except NotModifiedError:
            return None

    def create(self, path: str, content: bytes) -> str:
        with self._errors(Conflict):
            return _version(obstore.put(self._store, path, content, mode="create", use_multipart=False))

    def replace(self, path: str, content: bytes, version: str) -> str:
        try:
            with self._errors(Conflict, FileNotFoundError):
                mode: UpdateVersion = {"e_tag": version}
                return _version(obstore.put(self._store, path, content, mode=mode, use_multipart=False))
        except FileNotFoundError as error:
            raise Conflict from error

    def write(self, path: str, content: bytes) -> None:
        with self._errors():
            obstore.put(self._store, path, content, use_multipart=False)

    def delete_below(self, folder: str) -> None:
        with self._errors():
            for found in obstore.list(self._store, f"{folder}/"):
                obstore.delete(self._store, [each["path"] for each in found])

    @contextmanager
    def _errors(self, *answers: type[Exception]) -> Iterator[None]:
        """Raise the core's errors instead of obstore's, as their messages hold addresses and signatures.

        answers: errors that are answers to this request, of Conflict, FileNotFoundError and NotModifiedError;
        for any other request their status means that the object store fails.
        """
        try:
            yield
        except (OSError, BaseError) as error:
            raise self._error_of(error, answers) from None

    def _error_of(self, error: Exception, answers: tuple[type[Exception], ...]) -> Exception:
        message = str(error)
        found = _CODE.search(message)
        status = _STATUS.search(message)
        code = found.group(1) if found else status.group(1) if status else "no answer"
        if _METADATA_SERVICE in message:
            return BucketRefused("there are no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
        if code == "NoSuchBucket":
            return BucketRefused(f"there is no bucket {self._bucket!r}: make it, or set KANI_VOICE_BUCKET")
        answer = _answer(error, status.group(1) if status else "")
        if answer is not None and answer in answers:
            return answer(code)
        match status.group(1) if status else "":
            case "400" | "401" | "403":
                return BucketRefused(
                    f"the object store refuses ({code}): check the AWS_… variables, and that their user may "
                    f"get, put, delete and list the objects of {self._bucket!r}"
                )
        return BucketUnreachable(f"the object store fails ({code})")


def _store(bucket: str, prefix: str, timeout_s: int) -> S3Store:
    endpoint = next((os.environ[name] for name in ENDPOINTS if os.environ.get(name)), None)
    config: S3Config = {} if endpoint is None else {"endpoint": endpoint}
    client: ClientConfig = {
        "allow_http": (endpoint or "").startswith("http://"),
        "connect_timeout": f"{CONNECT_TIMEOUT_S}s",
        "timeout": f"{timeout_s}s",
    }
    retries: RetryConfig = {"max_retries": 1, "retry_timeout": timedelta(seconds=timeout_s)}
    return S3Store(bucket, prefix=prefix or None, config=config, client_options=client, retry_config=retries)


def _content(found: GetResult, max_bytes: int) -> Object:
    if found.meta["size"] > max_bytes:
        raise ValueError(f"an object of {found.meta['size']} bytes (at most {max_bytes})")
    return Object(bytes(found.bytes()), found.meta["e_tag"] or "")


def _answer(error: Exception, status: str) -> type[Exception] | None:
    """Return the error that stands for an answer of the object store; None for a failure."""
    if isinstance(error, AlreadyExistsError | PreconditionError) or status in ("409", "412"):
        return Conflict
    if isinstance(error, NotModifiedError):
        return NotModifiedError
    return FileNotFoundError if isinstance(error, FileNotFoundError) or status == "404" else None


def _version(result: PutResult) -> str:
    return result["e_tag"] or ""
