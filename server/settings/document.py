"""docs/settings.md, made from the settings: ``python -m server.settings.document > docs/settings.md``."""

from __future__ import annotations

from pathlib import Path

from pydantic.fields import FieldInfo

from server.settings import Settings, accepted_values, field_metadata

INTRODUCTION = """# Settings

Every setting may be given in the environment or in a file `.env` beside the server, and the most used ones
on the command line (`python start_websocket_server.py --help`), which wins over the environment, which wins
over the file. Where a row names several variables, the first of them that is set counts, wherever it is
set: the others are the names that the servers this one stands in for gave to the same thing. A setting that
cannot be taken ends the start with one line that names it and what it takes.

This page is made by `python -m server.settings.document > docs/settings.md`."""

NOT_HERE_YET = """## Names that are known and not read yet

| variables | belong to | meanwhile |
| --- | --- | --- |
| `TTS_MODEL_NAME`, `TTS_NUM_MODEL_WORKERS`, `TTS_MODEL_CACHE_DIR`, `TTS_TRUST_REMOTE_CODE` | VoxCPM's \
model | `KANI_ENGINE`, `KANI_THREADS`, `KANI_MODELS_DIR`, `KANI_CACHE_DIR` |
| `TTS_CHUNK_SIZE`, `TTS_SAMPLE_RATE`, `TTS_DEFAULT_*`, `TTS_DEBUG_AUDIO` | VoxCPM's requests | frames of at \
most 4,096 bytes, at the engine's own rate; what the engine has no use for is named in the answer |
| `TTS_WS_URL` | the relay's agent, a client | `/agent` takes what it sends |

`TTS_HOST` opens the ports above; on an address like 0.0.0.0 it asks for `KANI_API_KEYS` as `KANI_HOST` \
does. `TTS_PORT` moves VoxCPM's port alone, `TTS_WS_PORT` the relay's, `PORT` the one that its app asks for \
a token, which is Kyutai's too. `TTS_DEVICE` counts where the Kani model speaks."""


def documentation() -> str:
    """The text of docs/settings.md."""
    lines = [INTRODUCTION]
    group = ""
    for name, field in Settings.model_fields.items():
        says = field_metadata(field)
        if says["group"] != group:
            group = says["group"]
            lines += [
                "",
                f"## {group}",
                "",
                "| setting | variables | default | takes | what it is |",
                "|" + " --- |" * 5,
            ]
        names = ", ".join(f"`{variable}`" for variable in says["variables"])
        unit = f" ({says['unit']})" if says["unit"] else ""
        accepted = f"{accepted_values(name)}{unit}"
        lines.append(f"| `{name}` | {names} | {_default(field)} | {accepted} | {field.description} |")
    return "\n".join([*lines, "", NOT_HERE_YET])


def _default(field: FieldInfo) -> str:
    if (
        field.default_factory is not None
        or field.default in (None, (), {})
        or isinstance(field.default, Path)
    ):
        return "not set"
    value = str(field.default).lower() if isinstance(field.default, bool) else f"{field.default}"
    return f"`{value}`"


if __name__ == "__main__":
    print(documentation())
