"""The limits of CONTRIBUTING.md on files, functions and imports, for every Python file that git knows."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
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


@pytest.fixture(scope="module")
def functions(modules: dict[str, str]) -> list[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """(path, function) of each."""
    return [
        (name, node)
        for name, text in modules.items()
        for node in statements(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


def statements(node: ast.AST) -> Iterator[ast.AST]:
    """The statements in a node at any depth. `ast.walk` looks at their expressions, too: most of all nodes."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt | ast.ExceptHandler | ast.match_case):
            yield child
            yield from statements(child)


def test_no_file_has_more_than_400_lines(modules: dict[str, str]) -> None:
    assert [name for name, text in modules.items() if text.count("\n") > 400] == []


def test_no_function_has_more_than_70_lines(
    functions: list[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]],
) -> None:
    assert [f"{name}: {f.name}" for name, f in functions if (f.end_lineno or 0) - f.lineno >= 70] == []


def test_at_most_40_imports_stand_inside_functions(
    functions: list[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]],
) -> None:
    inside = {
        (name, node.lineno)
        for name, function in functions
        if not name.startswith("tests/")
        for node in statements(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    assert len(inside) <= 40, sorted(inside)
