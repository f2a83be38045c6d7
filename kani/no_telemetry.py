"""Turns off the telemetry of libraries on import.

onnxruntime (from 1.29 on) sends a device id, the path of the Python executable, facts about the machine and
its errors to Microsoft unless ``ORT_DISABLE_TELEMETRY`` is set before it is imported; its function
``disable_telemetry_events`` comes too late. huggingface_hub names libraries and their versions with each
request, and sends the account's token to repositories that need none. So the packages that import such
libraries import this first, and child processes inherit it. A variable that is set already keeps its value.
"""

import os

VARIABLES = {
    "ORT_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_UPDATE_CHECK": "1",
    "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1",
    "DO_NOT_TRACK": "1",
}
"""The libraries' own variables, and the one that several libraries agree on (https://donottrack.sh)."""

for _name, _value in VARIABLES.items():
    os.environ.setdefault(_name, _value)
