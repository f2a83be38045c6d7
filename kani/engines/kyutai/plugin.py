"""Description of Kyutai's recogniser and text-to-speech for the server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kani.engines.kyutai import published
from kani.engines.kyutai.settings import KyutaiSettings
from kani.engines.packages.package import Package, later
from kani.engines.plugin import EnginePlugin, RecognizerPlugin, Resources
from kani.runtime.model_names import short_name
from kani.runtime.packages.environment import PackageEnvironment

if TYPE_CHECKING:
    from kani.engines.packages.recognizer import PackageRecognizer

ENVIRONMENT = PackageEnvironment(
    engine="Kyutai",
    package="moshi",
    # The last two are imported by the text that grows (``kani.engines.worker.received_text``).
    modules=("msgspec", "numpy", "torch", "sentencepiece", "sphn", "moshi", "num2words", "babel"),
    requirements="requirements-kyutai.txt",
    packages="moshi==0.2.13 msgspec num2words babel",
    variable="KANI_KYUTAI_PYTHON",
    size="mostly torch: some 5 GB on Linux, where PyPI's brings CUDA",
    licence="MIT",
)
SPEECH = Package(
    "kyutai",
    ENVIRONMENT,
    "kani.engines.kyutai.speech:KyutaiSpeech",
    later("kani.engines.kyutai.files:find_speech"),
    recording_s=published.RECORDING_S,
)
HEARING = Package(
    "kyutai",
    ENVIRONMENT,
    "kani.engines.kyutai.hearing:KyutaiHearing",
    later("kani.engines.kyutai.files:find_hearing"),
)
SAMPLE_RATE = 24_000


def build(settings: KyutaiSettings, resources: Resources) -> PackageRecognizer:
    """Build the recogniser; its start starts the process of its package. Raises EngineUnavailable."""
    from kani.core.recognizer import RecognizerInfo
    from kani.engines.kyutai import files
    from kani.engines.packages.recognizer import PackageRecognizer

    files.hearing_folder(settings, resources)
    version = short_name(settings.model or published.HEARING_MODEL)
    info = RecognizerInfo("kyutai", version, SAMPLE_RATE, files.hearing_languages(settings))
    return PackageRecognizer(HEARING, settings, resources, info)


RECOGNIZER = RecognizerPlugin(
    "kyutai", KyutaiSettings, build, HEARING.prepare, own_process=False, describes_itself=True
)
ENGINE = EnginePlugin("kyutai", KyutaiSettings, SPEECH.engine, SPEECH.prepare, own_process=False)
