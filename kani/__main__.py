"""``python -m kani`` is ``kani-tts``."""

import sys

from kani.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
