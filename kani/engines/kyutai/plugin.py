"""Description of Kyutai's recogniser and text-to-speech for the server."""

from __future__ import annotations

from kani.core.recognizer import RecognizerInfo
from kani.engines.kyutai import files, published
from kani.engines.kyutai.settings import KyutaiSettings
from kani.engines.packages.engine import PackageEngine
from kani.engines.packages.package import Package
from kani.engines.packages.recognizer import PackageRecognizer
from kani.engines.plugin import EnginePlugin, RecognizerPlugin, Resources
from kani.runtime.model_names import short_name
from kani.runtime.packages.environment import PackageEnvironment

ENVIRONMENT = PackageEnvironment(
    engine="Kyutai",
    package="moshi",
    # The last two are imported by the text that grows (``kani.engines.worker.received_text``).
    modules=("msgspec", "numpy", "torch", "sentencepiece", "sphn", "moshi", "num2words", "babel"),
    requirements="requirements-kyutai.txt",
    packages="moshi==0.2.13 msgspec num2words babel",
    variable="KANI_KYUTAI_PYTHON",
    size="some 5 GB with PyPI's torch on Linux",
    licence="MIT",
)
SPEECH = Package(
    "kyutai",
    ENVIRONMENT,
    "kani.engines.kyutai.speech:KyutaiSpeech",
    files.find_speech,
    recording_s=published.RECORDING_S,
)
HEARING = Package("kyutai", ENVIRONMENT, "kani.engines.kyutai.hearing:KyutaiHearing", files.find_hearing)
SAMPLE_RATE = 24_000


def build(settings: KyutaiSettings, resources: Resources) -> PackageRecognizer:
    """Build the recogniser; its start starts the process of its package. Raises EngineUnavailable."""
    files.hearing_folder(settings, resources)
    version = short_name(settings.model or published.HEARING_MODEL)
    info = RecognizerInfo("kyutai", version, SAMPLE_RATE, files.hearing_languages(settings))
    return PackageRecognizer(HEARING, settings, resources, info)


def build_engine(settings: KyutaiSettings, resources: Resources) -> PackageEngine:
    """Build the engine; its start starts the process of its package."""
    return PackageEngine(SPEECH, settings, resources)


RECOGNIZER = RecognizerPlugin(
    "kyutai", KyutaiSettings, build, HEARING.prepare, own_process=False, describes_itself=True
)
ENGINE = EnginePlugin("kyutai", KyutaiSettings, build_engine, SPEECH.prepare, own_process=False)
