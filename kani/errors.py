"""What goes wrong when a model's files are read."""


class CheckpointError(ValueError):
    """A checkpoint, archive or config doesn't fit: the message names the file's key and shape."""


class OutOfMemory(MemoryError):
    """What was asked for does not fit into the device's memory: the message says what would."""


class DeviceError(ValueError):
    """A device or a precision that cannot be had here: the message says what can."""
