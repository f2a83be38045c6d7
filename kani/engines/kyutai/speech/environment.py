"""The Python environment of Kyutai's package, moshi."""

from __future__ import annotations

from kani.runtime.packages.environment import PackageEnvironment

REQUIREMENTS = "requirements-kyutai.txt"

ENVIRONMENT = PackageEnvironment(
    engine="Kyutai",
    package="moshi",
    # The last two are imported by the text that grows (``kani.engines.worker.received_text``).
    modules=("msgspec", "numpy", "torch", "sentencepiece", "sphn", "moshi", "num2words", "babel"),
    requirements=REQUIREMENTS,
    packages="moshi==0.2.13 msgspec num2words babel",
    variable="KANI_KYUTAI_PYTHON",
    size="mostly torch: some 5 GB on Linux, where PyPI's brings CUDA",
    licence="MIT",
)
