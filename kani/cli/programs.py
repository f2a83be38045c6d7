"""Names of the programs as their user calls them: ``kani-tts …``, or the scripts of a checkout."""

from __future__ import annotations

import sys
from pathlib import Path

_STARTED = Path(sys.argv[0] if sys.argv else "")
PACKAGED = _STARTED.stem == "kani-tts" or _STARTED.parts[-2:] == ("kani", "__main__.py")
"""True if this process was started as ``kani-tts`` or ``python -m kani``."""

SERVER = "kani-tts serve" if PACKAGED else "start_websocket_server.py"
CLIENT = "kani-tts say --server" if PACKAGED else "websocket_client.py"
CHECK = "kani-tts check" if PACKAGED else "test_websocket.py"

SPEAK = "kani-tts say" if PACKAGED else "python websocket_client.py"
LIST_VOICES = "kani-tts voices" if PACKAGED else "python websocket_client.py --voices"
START_SERVER = "kani-tts serve" if PACKAGED else "python start_websocket_server.py"
