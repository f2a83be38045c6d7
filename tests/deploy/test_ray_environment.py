"""Environment variables of the actors on Ray: complete for the fronts, and free of their keys for engines."""

import pytest

from kani.composition.settings import fields, variables
from kani.ray import environment

SECRETS = (
    *("KANI_API_KEYS", "ELEVEN_API_KEY", "LIVEKIT_API_KEY", "LIVEKIT_API_SECRET"),
    *("AWS_SECRET_ACCESS_KEY", "OTEL_EXPORTER_OTLP_HEADERS"),
)
OTHERS = ("AWS_REGION", "HF_TOKEN", "PATH", "KANI_API_KEY")
GIVEN = dict.fromkeys([name for field in fields() for name in variables(field)], "a value")
GIVEN |= dict.fromkeys((*SECRETS, *OTHERS), "a value")


def test_fronts_get_every_setting_and_what_their_libraries_read() -> None:
    missing = GIVEN.keys() - environment.of_fronts(GIVEN).keys()
    assert missing == {"KANI_ENGINE_KEY", "PATH", "KANI_API_KEY"}


@pytest.mark.parametrize("secret", [*SECRETS, "KANI_ENGINE_KEY"])
def test_replicas_get_no_secret_of_the_fronts(secret: str) -> None:
    assert secret not in environment.of_replicas(GIVEN)


def test_replicas_get_the_settings_of_engines_and_no_field_that_is_secret() -> None:
    given = environment.of_replicas(GIVEN)
    wanted = {"KANI_ENGINE", "KANI_DEVICE", "TTS_DEVICE", "KANI_VOXCPM_PYTHON", "KANI_CACHE_DIR", "LOG_LEVEL"}
    assert wanted | {"HF_TOKEN"} <= given.keys()
    secret = [name for name, field in fields().items() if "SecretStr" in str(field.annotation)]
    assert len(secret) > 2
    assert not given.keys() & {variable for name in secret for variable in variables(name)}
