"""The benchmark of engines as the block of docs/model-operations.md, and its figure."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from activitymodule.files import with_block, write_text, written_beside
from activitymodule.settings import resolve
from activitymodule.workflows.model_operations.bench import BenchReport, EngineFigures

DOCUMENT = "docs/model-operations.md"
FIGURE = "docs/figures/model-engines.png"
MADE_BY = "activity models bench"

_COLOURS = {"sklearn": "#9db4c9", "onnx": "#1f3b57", "onnx-int8": "#c8702a"}


def write(report: BenchReport) -> Path:
    """Write block and figure. Raises DataError where the document lacks the block."""
    path = resolve(DOCUMENT)
    before = path.read_text(encoding="utf-8")
    write_text(path, with_block(before, "bench", text(report), made_by=MADE_BY, document=DOCUMENT))
    trade_off_figure(report, resolve(FIGURE))
    return path


def text(report: BenchReport) -> str:
    """The tables in Markdown."""
    first = report.engines[0]
    people = (
        "by models of the same recipe that had not seen them" if report.refitted else "unseen by the version"
    )
    lines = [
        f"Classifier {'and regressor' if report.energy_version else 'alone'}, one core, {report.runs} runs in which "
        "the engines take turns; in brackets the least and the greatest over the runs. "
        f"Accuracy: {first.answers.windows:,} windows of {first.answers.people} people of {report.data}, {people}.",
        "",
        _row("engine", "windows a call", "p50 ms", "p95 ms", "p99 ms", "windows/s", "times scikit-learn"),
        _row(*["---"] * 7),
    ]
    for engine in report.engines:
        for speed, base in zip(engine.speeds, first.speeds, strict=True):
            low, high = speed.spread
            lines.append(
                _row(
                    engine.engine,
                    f"{speed.windows:,}",
                    *(f"{value:.2f}" for value in (speed.p50, speed.p95, speed.p99)),
                    f"{speed.windows_per_second:,.0f} ({low:,.0f} to {high:,.0f})",
                    f"{speed.windows_per_second / base.windows_per_second:.2f}",
                )
            )
    lines += [
        "",
        _row(
            *("engine", "accuracy", "macro-F1", "largest difference", "same activity"),
            *("files MB", "loaded in s", "peak memory MB", "Pareto front"),
        ),
        _row(*["---"] * 9),
    ]
    front = report.front()
    lines += [_summary(engine, engine.engine in front) for engine in report.engines]
    return "\n".join(lines)


def _summary(engine: EngineFigures, on_front: bool) -> str:
    answers = engine.answers
    return _row(
        engine.engine,
        f"{answers.accuracy:.4f}",
        f"{answers.macro_f1:.4f}",
        f"{answers.largest:.1e}" if answers.largest else "0",
        f"{answers.same_activity:.2%}",
        f"{engine.megabytes:.2f}",
        f"{engine.load_seconds:.2f}",
        f"{engine.peak_megabytes:.0f}",
        "yes" if on_front else "no",
    )


def _row(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"


def trade_off_figure(report: BenchReport, path: Path) -> None:
    """Macro-F1 by windows/s, a point an engine whose size is its memory; those of the Pareto front are joined."""
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.subplots()
    front = sorted((one for one in report.engines if one.engine in report.front()), key=EngineFigures.best)
    axes.plot(
        [one.best() for one in front],
        [one.answers.macro_f1 for one in front],
        color="#777777",
        linestyle="--",
    )
    for number, one in enumerate(report.engines):
        at = (one.best(), one.answers.macro_f1)
        # engines that are alike stand on each other: above and below in turn
        offset = (0, -40 if number % 2 else 16)
        axes.scatter(*at, s=one.peak_megabytes, color=_COLOURS.get(one.engine, "#555555"), zorder=3)
        axes.annotate(
            f"{one.engine}\n{one.peak_megabytes:.0f} MB",
            at,
            xytext=offset,
            textcoords="offset points",
            ha="center",
        )
    axes.margins(x=0.25, y=0.6)
    axes.set_xlabel("windows/s of one core, in the batches that suit the engine best")
    axes.set_ylabel("macro-F1 on held-out people")
    axes.set_title("Engines that score: speed, accuracy, peak memory; dashed: Pareto front", fontsize=10)
    axes.grid(alpha=0.3)
    with written_beside(path) as part:
        figure.savefig(part, dpi=110, format="png")
