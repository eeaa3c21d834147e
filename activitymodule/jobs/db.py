"""`activity db`: migrate, inspect and query the store."""

from __future__ import annotations

import os
import shlex
import sys
from enum import StrEnum
from pathlib import Path

import typer

from activitymodule.embedded import psql as programs
from activitymodule.errors import ConfigError
from activitymodule.jobs import options, output
from activitymodule.settings import settings
from activitymodule.store import connection as store
from activitymodule.store import inspect, migrate
from activitymodule.workflows import history as workflow

SECTION = "Store and settings"

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    epilog="Example: activity db query 'SELECT * FROM current_activity'",
)


@app.command(epilog="Example: activity db upgrade")
def upgrade(as_json: bool = options.JSON) -> None:
    """Bring tables and views up to date. Safe at any time, also from several places at once."""
    before = migrate.upgrade(settings())
    if as_json:
        output.print_json({"from": before.current, "to": before.head, "applied": before.pending})
    elif before.pending:
        typer.echo(f"applied {', '.join(before.pending)}: the store is at revision {before.head}")
    else:
        typer.echo(f"the store is up to date (revision {before.head})")


@app.command(epilog="Example: activity db status --json")
def status(as_json: bool = options.JSON) -> None:
    """Show where the store is, its revision, and how large its tables are."""
    config = settings()
    state = migrate.schema(config)
    with store.session(config, read_only=True) as connection:
        version, tables = inspect.server_version(connection), inspect.table_sizes(connection)
    if as_json:
        output.print_json(
            {
                "address": store.place(config),
                "database": config.store.database,
                "server_version": version,
                "revision": state.current,
                "head": state.head,
                "pending": state.pending,
                "tables": tables,
            }
        )
        return
    typer.echo(f"PostgreSQL {version} at {store.place(config)}, database {config.store.database}")
    if state.up_to_date:
        typer.echo(f"revision {state.current}: up to date")
    else:
        typer.echo(
            f"revision {state.current or 'none'}; {', '.join(state.pending)} missing: run `activity db upgrade`"
        )
    if tables:
        output.print_table(
            ("table", "rows, about", "MB with indexes"), [(t.name, t.rows, t.megabytes) for t in tables]
        )


class Format(StrEnum):
    """How `query` prints rows."""

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
    limit: int = typer.Option(1000, min=1, help="Rows, at most."),
    timeout: float = typer.Option(
        30, min=0.1, max=86_400, callback=options.finite, help="Seconds the query may take."
    ),
) -> None:
    """Run one statement in a read-only transaction. docs/sql.md has examples."""
    text = sys.stdin.read() if sql == "-" else sql
    if not text.strip():
        raise ConfigError("there is no query; write one, such as `activity db query 'SELECT * FROM bouts'`")
    answer = inspect.ask(settings(), text, limit=limit, seconds=timeout)
    if as_json or form is Format.json:
        output.print_json([dict(zip(answer.columns, row, strict=True)) for row in answer.rows])
    elif form is Format.csv:
        output.print_csv(answer.columns, answer.rows)
    else:
        output.print_table(answer.columns, answer.rows)
        typer.echo(f"{len(answer.rows):,} row{'' if len(answer.rows) == 1 else 's'}", err=True)
    if answer.more:
        typer.echo(f"there are more than {limit:,} rows; see them with --limit", err=True)


@app.command(
    epilog="Example: activity db history --since 200d --until 190d --device watch-00001 --format csv"
)
def history(
    since: str = options.SINCE,
    until: str = typer.Option(None, help="Up to the day of then, which is included; as --since."),
    device: str = options.DEVICE,
    form: Format = typer.Option(Format.table, "--format", help="How to print the rows."),
    parquet: Path = typer.Option(None, help="Write a Parquet file in place of printing."),
    limit: int = typer.Option(1000, min=1, max=10**9, help="Rows printed, at most; a file has all of them."),
) -> None:
    """Show predictions of any time by day (UTC): of the store, and of past days in the lake."""
    begin, end = (workflow.day_of(options.since_of(text)) for text in (since, until))
    rows = workflow.history(settings(), begin, end, device)
    if parquet is not None:
        workflow.write_parquet(rows, parquet)
        typer.echo(f"wrote {len(rows):,} predictions to {parquet}", err=True)
        return
    columns, shown = rows.column_names, [tuple(row.values()) for row in rows.slice(0, limit).to_pylist()]
    if form is Format.json:
        output.print_json([dict(zip(columns, row, strict=True)) for row in shown])
    elif form is Format.csv:
        output.print_csv(columns, shown)
    else:
        output.print_table(columns, shown)
    if len(rows) > limit:
        typer.echo(f"there are {len(rows):,} rows; see more with --limit, or all with --parquet", err=True)


@app.command(epilog="Example: activity db summary")
def summary(as_json: bool = options.JSON) -> None:
    """Count what the store holds: predictions, watches, activities, dead letters, batches."""
    with store.session(settings(), read_only=True) as connection:
        totals = inspect.summarize(connection)
    if as_json:
        output.print_json(totals)
        return
    scored = sum(totals.activities.values()) or 1
    shares = [f"{output.safe(name)} {n / scored:.0%}" for name, n in totals.activities.items()]
    lines = {
        "predictions": f"{totals.predictions:,} ({totals.with_activity:,} with an activity)",
        "watches": f"{totals.watches:,} ({totals.people:,} people known)",
        "windows": f"{output.cell(totals.first_window)} to {output.cell(totals.last_window)} UTC",
        "last written": f"{output.cell(totals.last_written)} UTC",
        "activities": ", ".join(shares) or "-",
        "dead letters": f"{totals.dead_letters:,}",
        "batches": f"{totals.batches:,} ({totals.unfinished_batches:,} unfinished)",
        "too late": f"{totals.dropped_late:,} panes",
        "models": ", ".join(totals.model_versions) or "-",
        "size": f"{totals.megabytes:,.1f} MB",
    }
    for name, value in lines.items():
        typer.echo(f"{name:<14} {value}")


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    epilog="Example: activity db psql -- -c '\\d predictions'",
)
def psql(
    context: typer.Context,
    show: bool = typer.Option(False, "--print", help="Print the command (without the password) and end."),
) -> None:
    """Open psql on the store; arguments after -- go to psql. Unlike `query`, it can write."""
    config = settings()
    program = programs.find_psql()
    environment = store.psql_environment(config)
    if show:
        variables = " ".join(
            f"{name}={shlex.quote(value)}" for name, value in environment.items() if name != "PGPASSWORD"
        )
        typer.echo(f"{variables} {shlex.join([program, *context.args])}")
        return
    store.connect(config).close()  # the error of this project where nothing answers, not that of psql
    os.execve(
        program,
        [program, *context.args],
        {**os.environ, **environment, **programs.psql_libraries(program)},
    )
