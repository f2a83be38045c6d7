"""The machine's C++ compiler, if it has one."""

from __future__ import annotations

import os
import shutil


def find_compiler() -> str | None:
    """The first of $CXX, c++, g++ and clang++ that exists."""
    names = (os.environ.get("CXX", ""), "c++", "g++", "clang++")
    return next(filter(None, map(shutil.which, names)), None)
