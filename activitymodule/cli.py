"""The `activity` command: a table of verbs, each a module under `jobs/`, imported only when it is used."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

import typer

from activitymodule import __version__
from activitymodule.errors import ActivityError

# verb -> one line of help. The verb `a-b` is the Typer application `app` of `activitymodule.jobs.a_b`.
VERBS = {
    "up": "Start the embedded stack: PostgreSQL, Kafka and the model registry.",
    "down": "Stop the embedded stack; its data stays.",
    "status": "Show what runs, where, and since when.",
    "airflow": "Start Airflow; trigger, follow and approve its runs.",
    "logs": "Show the logs of the embedded stack.",
    "doctor": "Check this machine and the configuration, and say what to mend.",
    "demo": "Run the whole path: fleet, scoring and a live view.",
    "demo-loop": "The closed loop: stream, queue, labels, retraining, promotion.",
    "generate": "Send a synthesised fleet of watches to Kafka.",
    "replay": "Send recordings of real people to Kafka.",
    "score": "Run the streaming job: readings from Kafka to predictions in PostgreSQL.",
    "watch": "Watch predictions arrive, in the terminal.",
    "agreement": "Compare predictions with the truth topic.",
    "queue": "Windows that wait to be labelled: which, and why they were chosen.",
    "train": "Train and register an activity or energy model.",
    "retrain": "Learn from what people labelled; promote only what is honestly better.",
    "models": "List models and move the champion alias.",
    "prepare": "Clean recordings of a data source into Parquet.",
    "backfill": "Score archived readings that came too late for the stream.",
    "statistics": "Measure reference statistics; compare synthetic with real.",
    "features": "Describe the window features.",
    "topics": "Create and inspect the Kafka topics.",
    "db": "Migrate, inspect and query the store.",
    "console": "Serve the web console and the REST interface.",
    "drift": "Say whether what the watches send has drifted from the training data.",
    "tokens": "Make and revoke the tokens of the REST interface.",
    "users": "Say who may sign in to the console; tokens of the REST interface.",
    "annotate": "Export and import labels; a simulated annotator for demos and tests.",
    "dead-letters": "List what could not be used, and why; send it again after a fix.",
    "schema": "Print the message schema.",
    "config": "Show the configuration in force and where each value came from.",
}


class VerbGroup(typer.core.TyperGroup):
    """A click group that imports a verb's module only when that verb is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in VERBS:
            return None
        module = importlib.import_module("activitymodule.jobs." + cmd_name.replace("-", "_"))
        command = typer.main.get_command(module.app)
        command.name = cmd_name
        return command

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """The table as it stands: showing it imports no verb."""
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))


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


def main() -> None:
    """Entry point. An error of ours is one sentence and an exit code; ACTIVITY_DEBUG=1 shows its trace."""
    try:
        app()
    except ActivityError as error:
        if os.environ.get("ACTIVITY_DEBUG"):
            raise
        typer.secho(f"activity: {error}", fg="red", err=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # the reader of our output left (`activity ... | head`)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
