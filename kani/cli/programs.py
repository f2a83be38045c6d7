"""Names of the programs as their user calls them: ``kani-tts …``, or the scripts of a checkout."""

import sys
from pathlib import Path

_STARTED = Path(sys.argv[0] if sys.argv else "")
_IS_MODULE = _STARTED.parts[-2:] == ("kani", "__main__.py")
COMMAND = "kani-tts" if _STARTED.stem == "kani-tts" else "python -m kani"
PACKAGED = _STARTED.stem == "kani-tts" or _IS_MODULE
"""True if this process was started as ``kani-tts`` or ``python -m kani``."""

SERVER = f"{COMMAND} serve" if PACKAGED else "start_websocket_server.py"
CLIENT = f"{COMMAND} say --server" if PACKAGED else "websocket_client.py"
CHECK = f"{COMMAND} check" if PACKAGED else "test_websocket.py"

SPEAK = f"{COMMAND} say" if PACKAGED else "python websocket_client.py"
LIST_VOICES = f"{COMMAND} voices" if PACKAGED else "python websocket_client.py --voices"
START_SERVER = f"{COMMAND} serve" if PACKAGED else "python start_websocket_server.py"
