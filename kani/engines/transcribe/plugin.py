"""Description of the recogniser of GGUF files for the server."""

from __future__ import annotations

from kani.engines.packages.package import Package, later
from kani.engines.plugin import RecognizerPlugin
from kani.engines.transcribe.settings import PYTHON, TranscribeSettings
from kani.runtime.packages.environment import PackageEnvironment

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
    later("kani.engines.transcribe.gguf_file:find"),
)

RECOGNIZER = RecognizerPlugin(
    "transcribe",
    TranscribeSettings,
    later("kani.engines.transcribe.recognizer:TranscribeRecognizer"),
    PACKAGE.prepare,
    own_process=False,
    describes_itself=True,
)
