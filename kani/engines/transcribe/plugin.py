"""Description of the recogniser of GGUF files for the server, which finds the file."""

import os
from math import ceil
from typing import Any

from kani.core.errors import EngineUnavailable
from kani.engines.packages.package import Package
from kani.engines.plugin import RECOGNIZER_MODEL, RecognizerPlugin, Resources, later
from kani.engines.plugin_settings import PluginSettings
from kani.runtime.model_names import check_name, local_path
from kani.runtime.packages.checkpoint import check_files
from kani.runtime.packages.environment import PackageEnvironment

_PATTERN = "*[qQ]8_0.gguf"
_CORE_BYTES = 250e6
"""Weights that a core takes a part of: a live pass over more is too slow with one core."""

_MAX_COPIES = 16


def model_of(resources: Resources) -> str:
    """Return the model's name. Raises EngineUnavailable."""
    if (name := resources.model) is None:
        raise EngineUnavailable(
            f"transcribe needs {RECOGNIZER_MODEL}: a GGUF file, or a hub's name such as "
            "handy-computer/canary-180m-flash-gguf"
        )
    check_name(name, RECOGNIZER_MODEL)
    return name


def find(_: PluginSettings, resources: Resources) -> dict[str, Any]:
    """Return the adapter's settings; the file is fetched if it may be.

    Raises EngineUnavailable with the cure, and CheckpointError.
    """
    name = model_of(resources)
    path = local_path(name)
    if not path.is_file():
        path = PACKAGE.fetched(name, _PATTERN, resources)
        check_files(path)
    cpus = os.cpu_count() or 1
    cores = min(resources.threads or ceil(path.stat().st_size / _CORE_BYTES), cpus)
    return {"file": str(path.absolute()), "cores": cores, "copies": min(cpus // cores, _MAX_COPIES)}


PACKAGE = Package(
    "transcribe",
    PackageEnvironment(
        engine="transcribe",
        modules=("msgspec", "numpy", "transcribe_cpp"),
        packages="transcribe-cpp==0.4.1 transcribe-cpp-native==0.4.1 numpy msgspec",
        size="170 MB",
        licence="MIT",
        # Another native part, or another patch, may have another binary interface.
        exact=True,
    ),
    "kani.engines.transcribe.adapter:Transcribe",
    find,
    "recognizer",
)

RECOGNIZER = RecognizerPlugin(
    "transcribe",
    PluginSettings,
    later("kani.engines.transcribe.recognizer:TranscribeRecognizer"),
    PACKAGE.prepare,
    own_process=False,
    describes_itself=True,
)
