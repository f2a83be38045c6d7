"""Errors of loading and running a model."""


class CheckpointError(ValueError):
    """A checkpoint, archive or config does not fit: the message names the file's key and shape.

    passing: as that of ``EngineUnavailable``.
    """

    def __init__(self, message: str, *, passing: bool = False) -> None:
        super().__init__(message)
        self.passing = passing


class OutOfMemory(MemoryError):
    """A request does not fit into the device's memory: the message says what would fit."""

    passing = True
    """True, as a later attempt may succeed; see ``EngineUnavailable``."""


class DeviceError(ValueError):
    """A device or a precision that is unavailable here: the message names those that are available."""
