"""Tests a running server: ``python test_websocket.py --help``. The program is ``kani/cli/check.py``."""

import runpy

if __name__ == "__main__":
    runpy.run_module("kani.cli.check", run_name="__main__")
