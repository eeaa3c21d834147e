"""The limits of CONTRIBUTING.md on files, functions and imports, for every Python file that git knows."""

from __future__ import annotations

import ast
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def modules() -> dict[str, str]:
    """The text of each Python file, by its path."""
    names = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "*.py"], capture_output=True, text=True, check=False
    ).stdout.split()
    if not names:
        pytest.skip("this is no git checkout, so its files cannot be told from those that were made")
    return {name: (ROOT / name).read_text(encoding="utf-8") for name in names if (ROOT / name).exists()}


def functions(text: str) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]


def test_no_file_has_more_than_400_lines(modules: dict[str, str]) -> None:
    assert [name for name, text in modules.items() if text.count("\n") > 400] == []


def test_no_function_has_more_than_70_lines(modules: dict[str, str]) -> None:
    long = [
        f"{name}: {function.name}"
        for name, text in modules.items()
        for function in functions(text)
        if (function.end_lineno or 0) - function.lineno >= 70
    ]
    assert long == []


def test_at_most_40_imports_stand_inside_functions(modules: dict[str, str]) -> None:
    inside = {
        (name, node.lineno)
        for name, text in modules.items()
        if not name.startswith("tests/")
        for function in functions(text)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    assert len(inside) <= 40, sorted(inside)
