"""Generates docs/settings.md: ``python -m kani.composition.settings.document > docs/settings.md``."""

from pathlib import Path

from pydantic.fields import FieldInfo

from kani.composition.settings import accepted_values, field_metadata, fields

INTRODUCTION = """# Settings

Set each in the environment or a line `NAME=VALUE` of a file `.env` in the folder where you start the
server; the most used on the command line (`python start_websocket_server.py --help`), which wins
over the environment, which wins over the file. Where a row names several variables, the first that is set
counts: the others are its names in the original servers. An invalid setting or line of `.env` ends the
start with one line that names it and the values it accepts.

This page is made by `python -m kani.composition.settings.document > docs/settings.md`."""

FOREIGN_VARIABLES = """## Variables of other servers that are not read

| variables | belong to | use instead |
| --- | --- | --- |
| `TTS_MODEL_NAME`, `TTS_NUM_MODEL_WORKERS`, `TTS_MODEL_CACHE_DIR`, `TTS_TRUST_REMOTE_CODE` | VoxCPM's \
model | `KANI_ENGINE`, `KANI_MODEL`, `KANI_THREADS`, `KANI_MODELS_DIR`, `KANI_CACHE_DIR` |
| `TTS_CHUNK_SIZE`, `TTS_SAMPLE_RATE`, `TTS_DEFAULT_*`, `TTS_DEBUG_AUDIO` | VoxCPM's requests | frames of at \
most 4,096 bytes, at the engine's own rate; the answer names parameters that the engine does not support |
| `TTS_PING_INTERVAL`, `TTS_PING_TIMEOUT` | VoxCPM's pings | one each 20 s, which waits 300 s for its \
answer |
| `TTS_WS_URL` | the relay's agent, a client | `/agent` is its endpoint |

`TTS_HOST` opens the ports above; on an address like 0.0.0.0 it requires `KANI_API_KEYS` as `KANI_HOST` \
does. `TTS_PORT` moves only VoxCPM's port, `TTS_WS_PORT` the relay's, `PORT` the one that its app asks for \
a token, which is Kyutai's too. `TTS_DEVICE` applies to the Kani model."""


def documentation() -> str:
    """Return the text of docs/settings.md."""
    lines = [INTRODUCTION]
    group = ""
    for name, field in fields().items():
        metadata = field_metadata(field)
        if metadata["group"] != group:
            group = metadata["group"]
            lines += [
                "",
                f"## {group}",
                "",
                "| setting | variables | default | accepts | meaning |",
                "|" + " --- |" * 5,
            ]
        names = ", ".join(f"`{variable}`" for variable in metadata["variables"])
        unit = f" ({metadata['unit']})" if metadata["unit"] else ""
        accepted = f"{accepted_values(name)}{unit}"
        lines.append(f"| `{name}` | {names} | {_default(field)} | {accepted} | {field.description} |")
    return "\n".join([*lines, "", FOREIGN_VARIABLES])


def _default(field: FieldInfo) -> str:
    if (
        field.default_factory is not None
        or field.default in (None, (), {})
        or isinstance(field.default, Path)
    ):
        return "not set"
    if isinstance(field.default, tuple):
        return ", ".join(f"`{each}`" for each in field.default)
    value = str(field.default).lower() if isinstance(field.default, bool) else f"{field.default}"
    return f"`{value}`"


if __name__ == "__main__":
    print(documentation())
