"""Programs that import the text part by its old name get the same modules."""

import importlib

import pytest


@pytest.mark.parametrize("name", ["segmenter", "normalizer", "normalizer.tables.loaded"])
def test_old_name_is_the_same_module(name: str) -> None:
    old, new = importlib.import_module(f"kani.text.{name}"), importlib.import_module(f"kani_text.{name}")
    assert old is new
    assert new.__spec__ is not None and new.__spec__.name == new.__name__ == f"kani_text.{name}"


def test_missing_module_is_named() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"kani_text\.nothing"):
        importlib.import_module("kani.text.nothing")
