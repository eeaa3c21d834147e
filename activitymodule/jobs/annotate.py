"""`activity annotate`: labels out and in, and a simulated annotator for demos and tests."""

from __future__ import annotations

import random
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from activitymodule.errors import ConfigError, DataError
from activitymodule.settings import Settings, settings
from activitymodule.store.connection import Connection

if TYPE_CHECKING:
    import pyarrow as pa

    from activitymodule.store.items import Item

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    help="Label as a simulated annotator (demos and tests only); export and import labels.",
    epilog="Example: activity annotate --oracle --error-rate .05 --items 100",
)

_SHARE = 0.9  # a window has a true label where so much of it is one activity
_LOOK_AGAIN_SECONDS = 1.0
_TRUTH_SECONDS = 3.0  # between looks at the truth topic
_JSON = typer.Option(False, "--json", help="Print JSON for scripts.")


@dataclass
class OracleCount:
    """What the simulated annotators did."""

    items: int = 0
    labels: int = 0
    wrong: int = 0  # of the labels, those given wrongly on purpose
    unsure: int = 0  # the activity changes within the window, or the truth does not know of it


class Truth:
    """What really happened, by watch and time, from the truth topic."""

    def __init__(self) -> None:
        self._spans: dict[str, list[tuple[int, int, str]]] = {}

    def learn(self, spans: pa.Table | None) -> None:
        """Spans (lake.agreement.SPAN_SCHEMA), in place of those known."""
        self._spans = {}
        if spans is None:
            return
        for device, start, end, activity in zip(
            *(spans.column(name).to_pylist() for name in ("device_id", "start_us", "end_us", "activity")),
            strict=True,
        ):
            self._spans.setdefault(device, []).append((start, end, activity))

    def label(self, device_id: str, start_us: int, end_us: int) -> str | None:
        """The activity of at least nine tenths of a window, or None."""
        shares: dict[str, int] = {}
        # the same span may have been sent twice: what counts is the time that is covered
        for start, end, activity in set(self._spans.get(device_id, ())):
            shares[activity] = shares.get(activity, 0) + max(0, min(end, end_us) - max(start, start_us))
        if not shares:
            return None
        best = max(shares, key=lambda name: shares[name])
        return best if shares[best] >= _SHARE * (end_us - start_us) else None


def _answer_one(
    connection: Connection,
    item: Item,
    who: str,
    truth: Truth,
    error_rate: float,
    rng: random.Random,
    minutes: float,
) -> tuple[bool, bool]:
    """Answer a leased item; (a label was given, it was wrong on purpose)."""
    from activitymodule.store.answers import answer

    label = truth.label(
        item.device_id,
        round(item.window_start.timestamp() * 1e6),
        round(item.window_end.timestamp() * 1e6),
    )
    if label is None:
        answer(connection, item.item_id, who, "unsure", minutes=minutes, origin="oracle")
        return False, False
    wrong = rng.random() < error_rate
    others = [one for one in item.labels if one != label]
    if wrong and others:
        label = rng.choice(others)
    answer(connection, item.item_id, who, "label", label, minutes=minutes, origin="oracle", seconds=0)
    return True, bool(wrong and others)


def run_oracle(
    config: Settings,
    *,
    error_rate: float = 0.0,
    items: int | None = None,
    seconds: float | None = None,
    seed: int = 0,
    annotators: int = 2,
) -> OracleCount:
    """Lease and answer items from the truth topic until so many are answered, or the time is over.

    With neither it ends when nothing waits. `annotators` take turns, so that items wanted twice get two voices. A
    window whose truth is not there (yet) is left for later while there is time, then answered `unsure`.
    """
    from activitymodule.kafka.truth import read_truth
    from activitymodule.store.connection import connect, explained
    from activitymodule.store.leases import lease_next, release

    rng = random.Random(seed)
    names = [f"oracle-{k + 1}" for k in range(max(1, annotators))]
    done, truth = OracleCount(), Truth()
    minutes = config.queue.lease_minutes
    until = None if seconds is None else time.monotonic() + seconds
    read_at = -1e9
    later: dict[str, list[int]] = {name: [] for name in names}
    connection = connect(config)
    try:
        with explained(config):
            while items is None or done.items < items:
                if time.monotonic() - read_at > _TRUTH_SECONDS:
                    truth.learn(read_truth(config))
                    read_at = time.monotonic()
                    later = {name: [] for name in names}
                found = False
                for who in names:
                    if items is not None and done.items >= items:
                        break
                    item = lease_next(connection, who, minutes, besides=later[who])
                    if item is None:
                        connection.rollback()
                        continue
                    end_us = round(item.window_end.timestamp() * 1e6)
                    start_us = round(item.window_start.timestamp() * 1e6)
                    last = until is None or time.monotonic() + _TRUTH_SECONDS > until
                    if not last and truth.label(item.device_id, start_us, end_us) is None:
                        release(connection, [item.item_id], who)
                        later[who].append(item.item_id)
                        connection.commit()
                        continue
                    labelled, wrong = _answer_one(connection, item, who, truth, error_rate, rng, minutes)
                    connection.commit()
                    found = True
                    done.items += 1
                    done.labels += labelled
                    done.wrong += wrong
                    done.unsure += not labelled
                if until is not None and time.monotonic() >= until:
                    break
                if not found:
                    if until is None:
                        break
                    time.sleep(min(_LOOK_AGAIN_SECONDS, max(0.0, until - time.monotonic())))
    finally:
        connection.close()
    return done


@app.callback(invoke_without_command=True)
def annotate(
    ctx: typer.Context,
    oracle: bool = typer.Option(False, "--oracle", help="Answer from the truth topic. Demos and tests only."),
    error_rate: float = typer.Option(0.0, min=0, max=1, help="Share of labels given wrongly, at random."),
    items: int = typer.Option(None, min=1, help="End after so many items."),
    seconds: float = typer.Option(None, min=0, help="End after so many seconds; else when nothing waits."),
    seed: int = typer.Option(0, help="Of the errors."),
    annotators: int = typer.Option(2, min=1, max=9, help="How many take turns: oracle-1, oracle-2 ..."),
    as_json: bool = _JSON,
) -> None:
    """Label as a simulated annotator (demos and tests only); export and import labels."""
    if ctx.invoked_subcommand is not None:
        return
    if not oracle:
        raise ConfigError(
            "people label in the console (`activity console`); here say --oracle, export or import"
        )
    from activitymodule.jobs.output import print_json

    done = run_oracle(
        settings(), error_rate=error_rate, items=items, seconds=seconds, seed=seed, annotators=annotators
    )
    if as_json:
        print_json(asdict(done))
        return
    typer.echo(
        f"{done.items:,} items: {done.labels:,} labelled ({done.wrong:,} of them wrongly, on purpose), "
        f"{done.unsure:,} unsure"
    )


@app.command("export", epilog="Example: activity annotate export labels.csv")
def export_(
    path: Path = typer.Argument(Path("-"), help="File to write; - is standard output."),
    as_: str = typer.Option(None, "--as", help="csv or label-studio; by the file's name if left out."),
) -> None:
    """Write what people say now, one row an annotator and window, with the gold label."""
    from activitymodule.lake.labels import exported_text
    from activitymodule.store.connection import session

    kind = as_ or ("label-studio" if path.suffix == ".json" else "csv")
    with session(settings(), read_only=True) as connection:
        text, count = exported_text(connection, kind)
    if str(path) == "-":
        sys.stdout.write(text)
        return
    try:
        path.write_text(text)
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}") from error
    typer.echo(f"{count:,} answers in {path}", err=True)


@app.command("import", epilog="Example: activity annotate import labels.csv --annotator anna")
def import_(
    path: Path = typer.Argument(..., help="CSV with device_id, window_start, label, or Label Studio's JSON."),
    annotator: str = typer.Option("import", help="Whose labels they are, where the file does not say."),
    as_json: bool = _JSON,
) -> None:
    """Add labels from a file; what was imported before is left as it is."""
    from activitymodule.jobs.output import print_json
    from activitymodule.lake.labels import read_labels
    from activitymodule.store.connection import session
    from activitymodule.store.import_export import import_labels

    config = settings()
    try:
        text = path.read_text("utf-8-sig")
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError:
        raise DataError(f"{path} is not UTF-8 text; save it as UTF-8") from None
    rows = read_labels(text, annotator=annotator, window_seconds=config.windows.length_seconds)
    with session(config) as connection:
        count = import_labels(connection, rows, minutes=config.queue.lease_minutes)
    if as_json:
        print_json(asdict(count))
        return
    typer.echo(
        f"{count.added:,} labels added ({count.unmatched:,} of windows that were never queued: nothing to learn "
        f"from), {count.known:,} were there already"
    )
