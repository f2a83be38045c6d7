"""Description of Pocket TTS for the server."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec

from kani.engines.packages.package import Package, later
from kani.engines.plugin import EnginePlugin, Resources
from kani.engines.pocket.published import languages_here
from kani.engines.pocket.settings import PocketSettings
from kani.runtime.model_names import local_path
from kani.runtime.packages.environment import PackageEnvironment

_BEYOND_KOKORO = ("de", "nl")

PACKAGE = Package(
    "pocket",
    PackageEnvironment(
        engine="Pocket",
        package="pocket-tts",
        modules=("msgspec", "numpy", "torch", "pocket_tts"),
        requirements="requirements-pocket.txt",
        packages="pocket-tts==4.0.1 msgspec",
        variable="KANI_POCKET_PYTHON",
        size="mostly torch: some 5 GB on Linux, where PyPI's brings CUDA",
        licence="MIT",
    ),
    "kani.engines.pocket.adapter:Pocket",
    later("kani.engines.pocket.checkpoint:find"),
    # As much as 128 frames of 80 ms hold with the pause that the package adds.
    recording_s=10.16,
)


def joins(settings: PocketSettings, resources: Resources) -> tuple[PocketSettings, Resources] | None:
    """Speak the languages that Kokoro was not trained on, with the package and files that are here.

    Raises EngineUnavailable for an environment that is not complete.
    """
    folder = local_path(settings.model) if settings.model else resources.cache_dir
    wanted = [tag for tag in settings.languages if tag in _BEYOND_KOKORO]
    here = languages_here(folder, wanted, fetched=settings.model is None)
    if not here:
        return None
    made = settings.python or PACKAGE.made_python(resources.cache_dir)
    if not made and not find_spec("pocket_tts"):
        return None
    return settings.model_copy(update={"languages": here}), replace(resources, may_fetch=False)


ENGINE = EnginePlugin(
    "pocket", PocketSettings, PACKAGE.engine, PACKAGE.prepare, joins=joins, own_process=False
)
