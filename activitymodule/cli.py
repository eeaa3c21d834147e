"""The `activity` command. A verb is a file in `jobs/`, found by its first line and imported when it is used.

The docstring of such a file begins with the verb in backticks and its one line of help (as in jobs/score.py); the
constant SECTION names its heading in the overview, and `app` is its Typer application.
"""

from __future__ import annotations

import importlib
import io
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

import typer

from activitymodule import __version__, jobs
from activitymodule.deferred import deferred_imports
from activitymodule.errors import ActivityError, ConfigError, ServiceUnavailableError
from activitymodule.settings.private import keep_private
from activitymodule.text import shown, storable

SECTIONS = (
    "Demos",
    "Services",
    "Stream",
    "Labels and models",
    "Recordings",
    "People and days",
    "Store and settings",
)
FORMER_NAMES = {"agreement": "evaluate"}  # former name of a verb: what it is called now

_FIRST_LINE = re.compile(r'"""`activity ([a-z][a-z-]*)`: (.+?)(?:""")?\n')
_SECTION = re.compile(r'^SECTION = "(.+)"$', re.MULTILINE)
_DEFERRED = ("activitymodule.", "annotation.", "uvicorn")
_EAGER = ("activitymodule.jobs", "activitymodule.settings", "activitymodule.errors")


@dataclass(frozen=True)
class Verb:
    """A verb as the overview shows it."""

    name: str
    help: str
    section: str


def find_verbs() -> dict[str, Verb]:
    """Every verb by name, in the order of the overview; no verb is imported."""
    found = []
    for folder in jobs.__path__:
        for path in Path(folder).glob("*.py"):
            text = path.read_text("utf-8")
            if (first := _FIRST_LINE.match(text)) and first[1].replace("-", "_") == path.stem:
                section = _SECTION.search(text)
                words = first[2][0].upper() + first[2][1:]
                found.append(Verb(first[1], words, section[1] if section else "More"))
    place = {section: number for number, section in enumerate(SECTIONS)}
    found.sort(key=lambda verb: (place.get(verb.section, len(place)), verb.section, verb.name))
    return {verb.name: verb for verb in found}


def load_verb(name: str) -> ModuleType:
    """The module of a verb; the project's modules that it imports are executed at their first use."""
    with deferred_imports(_DEFERRED, _EAGER):
        return importlib.import_module(f"{jobs.__name__}.{name.replace('-', '_')}")


class VerbGroup(typer.core.TyperGroup):
    """A click group of the files in `jobs/`."""

    def list_commands(self, ctx: Any) -> list[str]:
        """The names of all verbs."""
        return list(find_verbs())

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of a verb, or None where there is no such verb."""
        name = FORMER_NAMES.get(cmd_name, cmd_name)
        if name not in find_verbs():
            return None
        if name != cmd_name:
            typer.echo(f"activity: `activity {cmd_name}` is called `activity {name}` now", err=True)
        command = typer.main.get_command(load_verb(name).app)
        command.name = name
        command.help = command.help or find_verbs()[name].help
        return command

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """The verbs by section."""
        sections: dict[str, list[tuple[str, str]]] = {}
        verbs = find_verbs()
        width = max(map(len, verbs), default=0)
        for verb in verbs.values():
            sections.setdefault(verb.section, []).append((verb.name.ljust(width), verb.help))
        for section, rows in sections.items():
            with formatter.section(section):
                formatter.write_dl(rows)


app = typer.Typer(
    cls=VerbGroup,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Real-time activity recognition from smartwatches.",
    epilog="Example: activity up && activity train && activity demo",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def root(
    version: bool = typer.Option(
        False, "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
    ),
) -> None:
    """Options that stand before every verb."""


def _fail(sentence: str, exit_code: int) -> NoReturn:
    typer.secho(f"activity: {shown(sentence)}", fg="red", err=True)
    sys.exit(exit_code)


def _take_any_text() -> None:
    """Neither a locale nor half of a character ends a verb: files and pipes get UTF-8, terminals what they show."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(
                encoding=None if stream.isatty() else "utf-8",
                errors="backslashreplace",
            )


def _refuse_bytes(arguments: Sequence[str]) -> None:
    """Raise ConfigError for an argument that is no text in the locale's encoding, unless it names a file."""
    for one in arguments:
        if storable(one) != one and not os.path.exists(one):
            raise ConfigError(f"the argument {one[:60]!r} is not valid text in the locale's encoding")


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point: `arguments` in place of the command line's. An error of this project is printed as one sentence
    and ends with the exit code of its class; ACTIVITY_DEBUG=1 shows its trace."""
    keep_private()
    # products of matrices are small here, and several processes share the cores: threads of the linear algebra library
    # would wait for each other. It is read when numpy is imported, so before a verb is.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    _take_any_text()
    try:
        _refuse_bytes(sys.argv[1:] if arguments is None else arguments)
        app(arguments, prog_name="activity")
    except ActivityError as error:
        if os.environ.get("ACTIVITY_DEBUG"):
            raise
        _fail(str(error), error.exit_code)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if os.environ.get("ACTIVITY_DEBUG") or package in ("", "activitymodule", "annotation"):
            raise
        _fail(
            f"the Python package {package} is not installed; install the extra that this verb needs, such as "
            "`pip install 'activitymodule[embedded]'`, or run ./init.sh",
            ServiceUnavailableError.exit_code,
        )
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # the reader of our output left (`activity ... | head`)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
