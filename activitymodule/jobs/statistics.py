"""`activity statistics`: measure reference statistics of real people, and compare synthetic with real."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from activitymodule.errors import ConfigError
from activitymodule.settings import resolve, settings

if TYPE_CHECKING:
    from activitymodule.statistics.fidelity import Line, Report, Synthesise
    from activitymodule.statistics.recordings import Recording
    from activitymodule.statistics.reference import ReferenceStatistics

app = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True)

# what is known of the sources that are public
ORIGINS = {
    "wisdm": {
        "source": "WISDM Smartphone and Smartwatch Activity and Biometrics Dataset, smartwatch accelerometer; "
        "UCI Machine Learning Repository 507",
        "licence": "CC BY 4.0 (https://creativecommons.org/licenses/by/4.0/)",
        "citation": "G. M. Weiss, K. Yoneda, T. Hayajneh (2019): Smartphone and Smartwatch-Based Biometrics "
        "Using Activities of Daily Living. IEEE Access 7, 133190-133202.",
    }
}
MINUTES = 2
"""Minutes synthesised of each person and activity: as long as the WISDM recordings."""
_FIRST_MINUTE = 29_000_000


def _people(text: str | None) -> set[str] | None:
    return None if text is None else {name.strip() for name in text.split(",") if name.strip()}


@contextmanager
def _progress(total: int) -> Iterator[Callable[[str], None]]:
    """Progress on stderr: call it before each of `total` steps with what the step does."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
    ) as bar:
        task = bar.add_task("reading", total=total)
        steps = 0

        def show(text: str) -> None:
            nonlocal steps
            bar.update(task, description=text, completed=steps)
            steps += 1

        yield show


@app.command(epilog="Example: activity statistics measure wisdm:data/wisdm_watch.tar.gz --name wisdm")
def measure(
    what: str = typer.Argument(
        help="A prepared source (wisdm), a path of prepared Parquet, or SOURCE:PATH for its own files."
    ),
    people: str | None = typer.Option(None, help="Only these people: 1600,1601."),
    out: Path | None = typer.Option(None, help="The .parquet to write; lake/statistics/NAME.parquet."),
    name: str | None = typer.Option(None, help="Name of the statistics; that of the source."),
    licence: str | None = typer.Option(None, help="Licence of the recordings, kept beside the statistics."),
    citation: str | None = typer.Option(None, help="Whom to cite for them."),
    json_: bool = typer.Option(False, "--json", help="Print what was written as JSON."),
) -> None:
    """Measure reference statistics: from recordings of real people to what synthesis needs of them.

    Each person and activity with at least 40 s becomes a profile. No reading is stored, and nothing that fewer
    than five frames (of 1 or 2 s) stand behind.
    """
    from activitymodule.statistics import measure as fit
    from activitymodule.statistics import recordings
    from activitymodule.statistics.reference import Origin, ReferenceStatistics

    source = what.partition(":")[0]
    known = ORIGINS.get(source, {})
    name = name or (source if source.isidentifier() else Path(what).stem)
    target = out or resolve(f"{settings().lake.folder}/statistics/{name}.parquet")
    if target.suffix != ".parquet":
        raise ConfigError(f"--out must end with .parquet; {target} does not")
    found = recordings.read(what, resolve(settings().lake.folder) / "prepared", _people(people))
    with _progress(len(found)) as show:
        show("fitting")
        profiles = fit.measure(found, progress=lambda p: show(f"{p.person}, {p.activity}"))
    who = sorted({p.person for p in profiles})
    reference = ReferenceStatistics(
        profiles,
        Origin(
            name=name,
            source=known.get("source", source),
            licence=licence or known.get("licence", "unknown"),
            citation=citation or known.get("citation", "unknown"),
            people=len(who),
            activities=tuple(sorted({p.activity for p in profiles})),
            settings=fit.settings_used({p.activity for p in profiles}),
            note="Each profile is fitted from its own person's recording alone, so that a subset of the people "
            "is what fitting that subset gives: leaving people out needs no second file.",
        ),
    )
    reference.save(target)
    size = target.stat().st_size
    written = {
        "path": str(target),
        "bytes": size,
        "people": len(who),
        "profiles": len(profiles),
        "activities": list(reference.activities),
    }
    if json_:
        typer.echo(json.dumps(written))
        return
    typer.echo(
        f"{len(profiles)} profiles of {len(who)} people, {len(reference.activities)} activities "
        f"-> {target} ({size / 1000:,.0f} kB)"
    )


def synthetic_people(
    reference: ReferenceStatistics, people: Collection[str], seed: int, *, jitter: bool
) -> list[Recording]:
    """Two minutes of each profile of these people; with jitter the devices differ from them as a fleet's do."""
    import numpy as np

    from activitymodule.statistics.recordings import Recording
    from activitymodule.synthesis.signals import SignalGenerator

    part = reference.of_people(people)
    signals = SignalGenerator(part, seed, jitter=jitter)
    device = {name: number for number, name in enumerate(reference.people)}
    return [
        Recording(
            p.person,
            p.activity,
            np.concatenate([signals.block(i, device[p.person], _FIRST_MINUTE + m) for m in range(MINUTES)]),
        )
        for i, p in enumerate(part.profiles)
    ]


def _synthesiser(what: str, real: list[Recording], jitter: bool) -> tuple[Synthesise, bool]:
    """What makes the synthetic recordings of `compare`, and whether another seed makes others."""
    from activitymodule.statistics import recordings
    from activitymodule.statistics.reference import ReferenceStatistics

    kind, _, name = what.partition(":")
    if kind == "reference":
        reference = ReferenceStatistics.load(name)
        strangers = {r.person for r in real} - set(reference.people)
        if strangers:
            raise ConfigError(
                f"{len(strangers)} people of the real recordings are not in {what} "
                f"({', '.join(sorted(strangers)[:3])}); say with --people whom to compare"
            )
        return (lambda people, seed: synthetic_people(reference, people, seed, jitter=jitter)), True
    made = recordings.read(what, resolve(settings().lake.folder) / "prepared")
    same = {r.person for r in made} & {r.person for r in real}

    def take(people: Collection[str], seed: int) -> list[Recording]:
        # a synthetic person who bears a real one's name is left out with them
        return [r for r in made if r.person in people or r.person not in same]

    return take, False


@app.command(epilog="Example: activity statistics compare wisdm reference:wisdm --figure fidelity.png")
def compare(
    real: str = typer.Argument(help="Real recordings: as for `measure`."),
    synthetic: str = typer.Argument(help="reference:NAME or reference:PATH; or recordings as for `measure`."),
    people: str | None = typer.Option(None, help="Only these people of the real recordings."),
    seeds: int = typer.Option(3, min=1, help="How many times to synthesise."),
    jitter: bool = typer.Option(
        False, help="Devices that differ from the people, as a fleet's do, in place of the people themselves."
    ),
    json_: Path | None = typer.Option(None, "--json", help="Write all figures to this file; - is stdout."),
    figure: Path | None = typer.Option(None, help="Write a picture (PNG) to this file."),
) -> None:
    """Compare synthetic recordings with real ones: how well they can be told apart, and what can be learnt from them.

    Reference statistics are read from their file. People are dealt into four folds by the SHA-256 of their
    name; a fold left out is left out of the statistics.
    """
    from activitymodule.statistics import fidelity, portrait, recordings

    found = recordings.read(real, resolve(settings().lake.folder) / "prepared", _people(people))
    synthesise, seeded = _synthesiser(synthetic, found, jitter)
    numbers = list(range(1, seeds + 1)) if seeded else [1]
    with _progress(len(numbers) * (1 + fidelity.FOLDS) + fidelity.FOLDS + 2) as show:
        report = fidelity.compare(found, synthesise, numbers, show)
        lines = fidelity.summary(report)
        if figure is not None:
            show("drawing")
            who = {r.person for r in found}
            portrait.draw(found, synthesise(who, numbers[0]), lines, figure, _title(real, synthetic, jitter))
    document = _document(report, lines, real, synthetic, jitter)
    if json_ is not None and str(json_) == "-":
        typer.echo(json.dumps(document, indent=1))
        return
    if json_ is not None:
        json_.parent.mkdir(parents=True, exist_ok=True)
        json_.write_text(json.dumps(document, indent=1) + "\n")
    from activitymodule.jobs.output import print_table

    print_table(
        ("measure", "synthetic: mean ± sd (range)", "real v. other real", "target", ""),
        [
            (
                line.name,
                str(line.value),
                "" if line.real is None else f"{line.real.mean:.3f}",
                "" if line.target is None else f"{line.sense} {line.target:g}",
                {None: "", True: "met", False: "not met"}[line.met],
            )
            for line in lines
        ],
    )


def _public(what: str) -> str:
    """A name without a machine's folders."""
    kind, colon, rest = what.partition(":")
    if kind == "reference":
        return f"reference:{Path(rest).stem}"
    return kind if colon else Path(what).name


def _title(real: str, synthetic: str, jitter: bool) -> str:
    made = ", watches of a fleet" if jitter else ", the same people"
    return f"{_public(real)} beside {_public(synthetic)}{made}"


def _document(
    report: Report, lines: list[Line], real: str, synthetic: str, jitter: bool
) -> dict[str, object]:
    from dataclasses import asdict

    return {
        "real": _public(real),
        "synthetic": _public(synthetic),
        "jitter": jitter,
        "summary": [{**asdict(line), "met": line.met} for line in lines],
        "details": asdict(report),
    }
