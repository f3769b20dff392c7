"""The reference is what the code says."""

from __future__ import annotations

import importlib.util
from types import ModuleType
from typing import Any

import pytest

Tree = Any


@pytest.fixture(scope="module")
def generate(tree: Tree) -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", tree.root / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_page_of_the_reference_is_what_the_code_says(generate: ModuleType) -> None:
    assert not generate.differing(), "run ./dev docs and commit what it writes"


def test_the_reference_is_compared_page_by_page_and_strangers_are_noticed(
    generate: ModuleType, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generate, "REFERENCE", tmp_path)
    generate.write()
    assert generate.differing() == []
    (tmp_path / "report.md").write_text("by hand", encoding="utf-8")
    (tmp_path / "document.md").unlink()
    (tmp_path / "stranger.md").write_text("", encoding="utf-8")
    assert generate.differing() == ["document.md", "report.md", "stranger.md"]
