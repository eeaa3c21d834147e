"""The verbs of `activity models` about exports: export, parity, bench."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import typer

from activitymodule.errors import ConfigError, ModelRefusedError
from activitymodule.jobs import options, output
from activitymodule.settings import settings
from activitymodule.workflows.model_operations import bench, bench_document, exporting
from activitymodule.workflows.requests import BenchRequest, HeldOut

app = typer.Typer(add_completion=False, rich_markup_mode=None)

Kind = Literal["activity", "energy"]
_MOST_WINDOWS = 100_000  # of a batch
_VERSION = typer.Argument(..., help="A version's number.")
_KIND = typer.Option("activity", "--kind", help="Which model.")
_DATA = typer.Option(
    HeldOut.data,
    "--data",
    help="Windows to compare on: of synthesised people whom no training has drawn, or as `activity train` takes it.",
)


@app.command(
    epilog="Example: activity models export 3   |   activity models export 3 --format onnx-int8 --data lake/x"
)
def export(
    version: str = _VERSION,
    form: Literal["onnx", "onnx-int8"] = typer.Option(
        "onnx", "--format", help="onnx-int8: the linear part and the network in integers."
    ),
    kind: Kind = _KIND,
    data: str = _DATA,
    as_json: bool = options.JSON,
) -> None:
    """Put a version in ONNX beside it in the registry, and compare their answers on held-out windows.

    The file has the whole model, from features to probabilities or kcal/min; scoring.engine serves it.
    """
    made = exporting.export(settings(), kind, version, form, HeldOut(data=data))
    _print([made], as_json)


@app.command(
    epilog="Example: activity models parity 3   |   activity models parity 3 --data wisdm:watch.tar.gz --json"
)
def parity(
    version: str = _VERSION, kind: Kind = _KIND, data: str = _DATA, as_json: bool = options.JSON
) -> None:
    """Compare a version's exports with its model file again, on held-out windows.

    An export that differs by more than is allowed is marked, and is never served. The exit code is 6 then.
    """
    _print(exporting.compare_exports(settings(), kind, version, HeldOut(data=data)), as_json)


def _print(found: Sequence[exporting.Exported], as_json: bool) -> None:
    if as_json:
        output.print_json(found)
    for one in [] if as_json else found:
        row = one.export
        typer.echo(
            f"{one.name} version {one.version}: {one.file}, {one.megabytes:.2f} MB, SHA-256 {row.sha256[:12]}\n"
            f"  {row.windows:,} windows of {row.data}: largest difference {row.largest:.2g}, mean {row.mean:.2g}, "
            f"same activity {row.same_activity:.2%}"
        )
    for one in found:
        if one.export.failure:
            raise ModelRefusedError(
                f"{one.file} of version {one.version} of {one.name} is marked and does not serve: {one.export.failure}"
            )


@app.command("bench", epilog="Example: activity models bench 3 --runs 10 --batch 1,16,256,4096 --json")
def bench_(
    version: str = typer.Argument(..., help="A version's number, or a folder of `activity train --folder`."),
    runs: int = typer.Option(BenchRequest.runs, min=1, help="Rounds, in which the engines take turns."),
    batch: str = typer.Option(",".join(map(str, BenchRequest.batches)), help="Windows a call, a,b,c."),
    data: str = _DATA,
    document: bool = typer.Option(False, help="Write the figures into docs/model-operations.md."),
    figure: Path = typer.Option(None, help="Write the trade-off of speed, accuracy and memory as a picture."),
    as_json: bool = options.JSON,
) -> None:
    """Measure the engines that can score with a version: latency, windows/s, memory, accuracy on held-out people.

    Each scores in a process of its own. With the data of the version's training, accuracy is that of models of the same
    recipe that had not seen the people.
    """
    report = bench.bench(
        settings(),
        version,
        BenchRequest(runs, _sizes(batch), HeldOut(data=data)),
        say=lambda text: typer.echo(text, err=True),
    )
    if document:
        bench_document.write(report)
    if figure is not None:
        bench_document.trade_off_figure(report, figure)
    if as_json:
        output.print_json({**vars(report), "front": report.front()})
    else:
        typer.echo(bench_document.text(report))


def _sizes(text: str) -> tuple[int, ...]:
    try:
        sizes = tuple(int(part) for part in text.split(","))
    except ValueError:
        sizes = ()
    if not sizes or not 1 <= min(sizes) <= max(sizes) <= _MOST_WINDOWS:
        raise ConfigError(
            f"--batch must be whole numbers from 1 to {_MOST_WINDOWS}, such as 1,16,256; given: {text[:40]}"
        )
    return sizes
