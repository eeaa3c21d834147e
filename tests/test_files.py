"""Files are written whole, and read and written in UTF-8 in every locale."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from activitymodule.errors import ConfigError
from activitymodule.files import folder_beside, write_bytes, write_text, written_beside
from activitymodule.settings import project_root

# what is in the text of every call that `without_encoding` looks for
OPENING = ("open(", "read_text(", "write_text(", "text=")
FOLDERS = ("activitymodule", "annotation", "airflow", "spark", "sql", "infra", "benchmarks")


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    write_text(path, "é\r\na\n")
    assert path.read_bytes() == "é\r\na\n".encode()
    with pytest.raises(KeyboardInterrupt), written_beside(path) as part:  # noqa: PT012 - half of it is written
        part.write_text("half", encoding="utf-8")
        assert path.read_bytes() == "é\r\na\n".encode()
        raise KeyboardInterrupt
    assert path.read_bytes() == "é\r\na\n".encode()
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "models" / "activity"
    with folder_beside(path) as part:
        (part / "model").write_text("1", encoding="utf-8")
        (part / "card").write_text("1", encoding="utf-8")
        assert not path.exists()
    (path / "notes").write_text("mine", encoding="utf-8")
    with pytest.raises(KeyboardInterrupt), folder_beside(path) as part:  # noqa: PT012 - half of it is written
        (part / "model").write_text("2", encoding="utf-8")
        raise KeyboardInterrupt
    assert {one.name: one.read_text("utf-8") for one in path.iterdir()} == {
        "model": "1", "card": "1", "notes": "mine",
    }  # fmt: skip
    with folder_beside(path) as part:
        (part / "model").write_text("2", encoding="utf-8")
        (part / "card").write_text("2", encoding="utf-8")
    assert {one.name: one.read_text("utf-8") for one in path.iterdir()} == {
        "model": "2", "card": "2", "notes": "mine",
    }  # fmt: skip
    assert list(path.parent.iterdir()) == [path]
    with pytest.raises(ConfigError), folder_beside(path / "model" / "x"):
        pytest.fail("a file is no folder")


def test_a_link_stays_a_link_and_a_pipe_a_pipe(tmp_path: Path) -> None:
    target, link, pipe = tmp_path / "target", tmp_path / "link", tmp_path / "pipe"
    link.symlink_to(target)
    write_text(link, "x")
    assert (link.is_symlink(), target.read_text(encoding="utf-8")) == (True, "x")
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_bytes(pipe, b"y")
    assert os.read(reader, 10) == b"y"
    os.close(reader)


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "none" / "file", tmp_path / ("x" * 300), tmp_path / "a\0b"):
        with pytest.raises(ConfigError, match="cannot write"):
            write_text(path, "x")


def test_every_text_file_is_opened_with_its_encoding() -> None:
    """Or the locale decides it: LANG=C, tr_TR.ISO-8859-9."""
    paths = [path for folder in FOLDERS for path in (project_root() / folder).rglob("*.py")]
    assert len(paths) > 300
    texts = {path: path.read_text(encoding="utf-8") for path in paths}
    found = [
        f"{path}:{line}"
        for path, text in texts.items()
        # parsing takes long
        if any(word in text for word in OPENING)
        for line in without_encoding(text)
    ]
    assert found == []
    assert list(without_encoding("open(a)\nPath(b).read_text()\nrun(c, text=True)\nd.open('w')")) == [
        1,
        2,
        3,
        4,
    ]


def without_encoding(source: str) -> Iterator[int]:
    """Lines of calls that read or write text in the locale's encoding."""
    for call in ast.walk(ast.parse(source)):
        if not isinstance(call, ast.Call) or any(one.arg == "encoding" for one in call.keywords):
            continue
        match call.func:
            case ast.Name(name):
                of = ""
            case ast.Attribute(value, name):
                of = ast.unparse(value)
            case _:
                continue
        modes = [*call.args, *(one.value for one in call.keywords if one.arg == "mode")]
        mode = next((m.value for m in modes if isinstance(m, ast.Constant) and isinstance(m.value, str)), "")
        opens = name == "fdopen" or (name == "open" and (not of or (set(mode) <= set("rwax+t") and mode)))
        if (
            (name == "read_text" and not call.args)
            or (name == "write_text" and of != "files" and len(call.args) < 2)
            or (opens and "b" not in mode and of != "os")
            or (name in ("run", "Popen", "check_output") and any(one.arg == "text" for one in call.keywords))
        ):
            yield call.lineno
