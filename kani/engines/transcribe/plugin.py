"""Description of the recogniser of GGUF files for the server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kani.engines.packages.package import Package
from kani.engines.plugin import RecognizerPlugin, Resources
from kani.engines.transcribe.gguf_file import check_name, find
from kani.engines.transcribe.settings import PYTHON, TranscribeSettings
from kani.runtime.packages.environment import PackageEnvironment

if TYPE_CHECKING:
    from kani.engines.transcribe.recognizer import TranscribeRecognizer

PACKAGE = Package(
    "transcribe",
    PackageEnvironment(
        engine="transcribe",
        package="transcribe",
        modules=("msgspec", "numpy", "transcribe_cpp"),
        requirements="requirements-transcribe.txt",
        packages="transcribe-cpp==0.4.1 transcribe-cpp-native==0.4.1 numpy msgspec",
        variable=PYTHON,
        size="170 MB",
        licence="MIT",
        # Another native part, or another patch, may have another binary interface.
        exact=("transcribe-cpp", "transcribe-cpp-native"),
    ),
    "kani.engines.transcribe.adapter:Transcribe",
    find,
)


def build(settings: TranscribeSettings, resources: Resources) -> TranscribeRecognizer:
    """Build the recogniser; its start starts the package's process. Raises EngineUnavailable."""
    from kani.engines.transcribe.recognizer import TranscribeRecognizer

    return TranscribeRecognizer(PACKAGE, settings, resources, check_name(settings.model))


RECOGNIZER = RecognizerPlugin(
    "transcribe", TranscribeSettings, build, PACKAGE.prepare, own_process=False, describes_itself=True
)
