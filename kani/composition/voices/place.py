"""Chooses the place of the stored voices."""

import tempfile
from pathlib import Path

from kani.core.errors import StoreUnavailable
from kani.core.voices.storage.bucket import BucketBackend
from kani.runtime.extras import install_command

REQUIREMENTS = "deploy/requirements-bucket.txt"


def write_error(folder: Path) -> str:
    """Return the system's words if ``folder``, or the one that it would be made in, takes no files.

    Leaves nothing in it.
    """
    try:
        there = next((each for each in (folder, *folder.absolute().parents) if each.exists()), folder)
        with tempfile.TemporaryFile(dir=there):
            return ""
    except OSError as error:
        return error.strerror or str(error)


def voice_place(bucket: str | None, data_dir: Path) -> Path | BucketBackend:
    """Return the bucket of a setting (``s3://BUCKET/FOLDER``), not reached yet, or the folder without one.

    Raises StoreUnavailable where the package for buckets is missing.
    """
    if bucket is None:
        return data_dir
    try:
        from kani.composition.voices.object_store import S3ObjectStore
    except ModuleNotFoundError as error:
        raise StoreUnavailable(
            f"KANI_VOICE_BUCKET is set, but the package {error.name} is missing: "
            + install_command("bucket", REQUIREMENTS)
        ) from error
    name, _, prefix = bucket.removeprefix("s3://").partition("/")
    return BucketBackend(S3ObjectStore(name, prefix))
