"""Whatever text comes to whichever option, a verb ends with one sentence and a code of its own, never with a trace."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import typer

from activitymodule import cli
from activitymodule.settings import Settings, environment_of, settings

# bytes that are no UTF-8, digits of other scripts, numbers that no type holds, times out of Python's years
VALUES = (
    "\udcff", "²", "1" * 5000, "1e999", "nan", "-1", "9223372036854775808", "x" * 100_000, "", "a\r\nb\x1b[2J", "a\0b",
    "9999-12-31T23:59:59-14:00", "99999999999d", "[" * 5000, "{",
)  # fmt: skip
# these start services, Spark, a training or another program, or read standard input, once their options are right
LEFT_OUT = {
    "up", "down", "demo", "demo-loop", "console", "score", "generate", "backfill", "prepare", "replay", "train",
    "statistics", "doctor", "db psql", "airflow up", "airflow down", "watch", "logs",
    "airflow logs", "evaluate", "topics", "schema", "features", "export-config", "days build", "models compare",
}  # fmt: skip


def commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command that is no group, with its path."""
    for name in group.list_commands(None):
        command = group.get_command(None, name)
        if hasattr(command, "list_commands"):
            if command.invoke_without_command:
                yield (*path, name), command
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


def calls(every: int) -> Iterator[list[str]]:
    """Each verb with hard values for each of its options and arguments: all of them, or every seventh in turn, so that
    each kind of option still meets each value."""
    for path, command in commands(typer.main.get_command(cli.app)):
        if {path[0], " ".join(path)} & LEFT_OUT or hasattr(command, "list_commands"):
            continue
        arguments = [one for one in command.params if one.param_type_name == "argument" and one.required]
        plain = ["1" for _ in arguments]
        options = [one for one in command.params if one.param_type_name == "option" and not one.is_flag]
        for number, value in enumerate(VALUES):
            for place, _ in enumerate(arguments):
                if (number + place) % every == 0:
                    yield [*path, "--", *plain[:place], value, *plain[place + 1 :]]
            for place, option in enumerate(options):
                if (number + place) % every == 0:
                    yield [*path, f"{option.opts[0]}={value}", "--", *plain]


@pytest.mark.integration
@pytest.mark.parametrize("every", [7, pytest.param(1, marks=pytest.mark.soak)])
def test_no_text_makes_a_verb_fail(
    every: int,
    fresh_settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Any,
) -> None:
    for name, value in environment_of(fresh_settings).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    settings.cache_clear()
    wrong = []
    count = 0
    try:
        for arguments in calls(every):
            count += 1
            try:
                cli.main(arguments)
                code: Any = 0
            except SystemExit as ended:
                code = ended.code
            except Exception as error:  # all of them are to be seen, not the first alone
                code = f"{type(error).__name__}: {error}"[:200]
            told = capsys.readouterr()
            if code not in (0, None, 1, 2, 3, 4, 5, 6) or "Traceback" in told.err:
                wrong.append((arguments[:2], arguments[-3:] if len(str(arguments)) < 300 else "long", code))
    finally:
        settings.cache_clear()
    assert not wrong, "\n".join(ascii(one) for one in wrong)
    assert count > 500 / every


def test_no_number_is_infinite() -> None:
    """Also of the verbs that the test above leaves out."""
    looked_at = 0
    for path, command in commands(typer.main.get_command(cli.app)):
        for option in command.params:
            if "float" in str(getattr(getattr(option, "type_descriptor", None), "annotation", "")):
                looked_at += 1
                for text in ("1e999", "inf", "nan"):
                    with pytest.raises(typer.BadParameter):
                        option.process_value(typer.Context(command, info_name=path[-1]), text)
    assert looked_at > 8
