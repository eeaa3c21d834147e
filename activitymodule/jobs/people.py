"""`activity people`: participants, what they wear, withdrawal, erasure and export."""

from __future__ import annotations

import getpass
import sys
from datetime import UTC, date, datetime
from enum import StrEnum
from pathlib import Path

import typer

from activitymodule.errors import ConfigError, RefusedError
from activitymodule.jobs import options, output
from activitymodule.settings import settings
from activitymodule.store import connection as store
from activitymodule.store import participants
from activitymodule.workflows.people import erasing, exporting, importing, withdrawing

SECTION = "Store and settings"

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    epilog="Example: activity people add p-017 --zone Europe/Berlin --study spring",
)


class Sex(StrEnum):
    """As stored."""

    female = "female"
    male = "male"


_WHO = typer.Argument(..., help="The participant: a pseudonym, no name.")
_AGE = typer.Option(None, "--age", help="Years.", callback=options.finite)
_SEX = typer.Option(None, help="For the energy model.")
_HEIGHT = typer.Option(None, help="cm.", callback=options.finite)
_WEIGHT = typer.Option(None, help="kg.", callback=options.finite)
_RESTING = typer.Option(None, "--resting-heart-rate", help="Beats a minute.", callback=options.finite)
_ZONE = typer.Option(None, help="IANA time zone of their days, such as Europe/Berlin.  [default: UTC]")
_STUDY = typer.Option(None, help="The study they take part in.")
_CONSENTED = typer.Option(None, "--consented", help="Date of their consent: 2026-11-20.")


def _given(**values: object) -> dict[str, object]:
    """The options that were given, as details."""
    found = {name: value for name, value in values.items() if value is not None}
    if "consented_on" in found:
        try:
            found["consented_on"] = date.fromisoformat(str(found["consented_on"]))
        except ValueError:
            raise ConfigError(f"{str(found['consented_on'])[:40]!a} is no date; write 2026-11-20") from None
    if isinstance(sex := found.get("sex"), Sex):
        found["sex"] = sex.value
    return found


@app.command(epilog="Example: activity people add p-017 --age 41 --zone Europe/Berlin --consented 2026-11-20")
def add(
    participant: str = _WHO,
    age: float = _AGE,
    sex: Sex = _SEX,
    height: float = _HEIGHT,
    weight: float = _WEIGHT,
    resting: float = _RESTING,
    zone: str = _ZONE,
    study: str = _STUDY,
    consented: str = _CONSENTED,
    as_json: bool = options.JSON,
) -> None:
    """Add a participant. Everything but the pseudonym is optional."""
    given = _given(
        age_years=age, sex=sex, height_cm=height, weight_kg=weight, resting_heart_rate_bpm=resting, zone=zone,
        study=study, consented_on=consented,
    )  # fmt: skip
    details = participants.details_of(given)
    store.transact(settings(), lambda connection: participants.add(connection, participant, details))
    _show(participant, f"added {participant}", as_json)


@app.command(epilog="Example: activity people edit p-017 --weight 71 --forget age_years")
def edit(
    participant: str = _WHO,
    age: float = _AGE,
    sex: Sex = _SEX,
    height: float = _HEIGHT,
    weight: float = _WEIGHT,
    resting: float = _RESTING,
    zone: str = _ZONE,
    study: str = _STUDY,
    consented: str = _CONSENTED,
    forget: list[str] = typer.Option(
        [], help="No longer known: age_years, weight_kg and so on, as in --json."
    ),
    as_json: bool = options.JSON,
) -> None:
    """Change what is known of a participant; what is not given stays."""
    given = _given(
        age_years=age, sex=sex, height_cm=height, weight_kg=weight, resting_heart_rate_bpm=resting, zone=zone,
        study=study, consented_on=consented,
    )  # fmt: skip
    for name in forget:
        if name not in participants.DETAILS or name == "zone":
            raise ConfigError(
                f"--forget {name[:40]!a}: there is no such detail; see `activity people edit --help`"
            )
        given[name] = None
    if not given:
        raise ConfigError("nothing to change was given; see `activity people edit --help`")
    store.transact(settings(), lambda connection: participants.edit(connection, participant, given))
    _show(participant, f"changed {participant}", as_json)


def _show(participant: str, done: str, as_json: bool) -> None:
    if as_json:
        with store.session(settings(), read_only=True) as connection:
            output.print_json(participants.required(connection, participant))
    else:
        typer.echo(done)


@app.command(epilog="Example: activity people assign p-017 strap-1 --from 2026-11-20 --handover")
def assign(
    participant: str = _WHO,
    device: str = typer.Argument(..., help="The watch's device_id."),
    worn_from: str = typer.Option(
        None, "--from", help="2026-11-20 or 2026-11-20T10:00 in their time zone, or `ever`.  [default: now]"
    ),
    worn_to: str = typer.Option(None, "--to", help="Until when; without --from, ends what they wear now."),
    handover: bool = typer.Option(False, help="End the time of the watch's present wearer there."),
    as_json: bool = options.JSON,
) -> None:
    """Record that a participant wears a watch, or with --to alone that they no longer do."""
    with store.session(settings(), read_only=True) as connection:
        zone = participants.required(connection, participant).zone
    until = importing.moment_in(worn_to or "", zone)
    if worn_from is None and until is not None:
        store.transact(settings(), lambda c: participants.end_wear(c, participant, device, until))
    else:
        begin = (
            datetime.now(UTC)
            if worn_from is None
            else None
            if worn_from == "ever"
            else importing.moment_in(worn_from, zone)
        )
        wear = participants.Wear(participant, device, begin, until)
        store.transact(settings(), lambda c: participants.assign(c, wear, handover=handover))
    with store.session(settings(), read_only=True) as connection:
        worn = [one for one in participants.worn_by(connection, participant) if one.device_id == device]
    if as_json:
        output.print_json(worn)
    else:
        typer.echo("\n".join(f"{participant} wears {device} from {one.text()}" for one in worn))


@app.command("list", epilog="Example: activity people list --study spring")
def list_(study: str = typer.Option(None, help="Only of this study."), as_json: bool = options.JSON) -> None:
    """List the participants and the watches they wear now."""
    found: list[participants.Participant] = []
    with store.session(settings(), read_only=True) as connection:
        while page := participants.list_participants(
            connection, study=study, after=found[-1].participant if found else ""
        ):
            found += page
    if as_json:
        output.print_json(found)
        return
    if not found:
        typer.echo(
            "there are no participants yet; `activity people add` or `activity people import` adds some"
        )
        return
    output.print_table(
        (
            "participant",
            "watches now",
            "study",
            "zone",
            "age",
            "sex",
            "cm",
            "kg",
            "consented",
            "withdrawn (UTC)",
        ),
        [
            (
                one.participant,
                ", ".join(one.devices),
                one.details.study or "",
                one.details.zone,
                one.details.age_years,
                one.details.sex or "",
                one.details.height_cm,
                one.details.weight_kg,
                str(one.details.consented_on or ""),
                one.withdrawn_at,
            )
            for one in found
        ],
    )


@app.command("import", epilog="Example: activity people import participants.csv")
def import_(
    path: Path = typer.Argument(..., help="A CSV with the columns of docs/people.md."),
    handover: bool = typer.Option(False, help="End the times of the watches' present wearers there."),
    as_json: bool = options.JSON,
) -> None:
    """Add or change participants, and what they wear, by a file: all of it, or nothing. Twice the same file changes
    nothing."""
    done = importing.import_csv(settings(), path, handover=handover)
    if as_json:
        output.print_json(done)
    else:
        typer.echo(
            f"{done.added:,} added, {done.changed:,} changed, {done.assigned:,} watches assigned, "
            f"{done.as_they_were:,} rows as they were"
        )


@app.command(epilog="Example: activity people withdraw p-017")
def withdraw(participant: str = _WHO, as_json: bool = options.JSON) -> None:
    """Take nothing new of a participant: nothing is scored, queued or archived from now on. What is there stays;
    `activity people erase` removes it."""
    done = withdrawing.withdraw(settings(), participant)
    if as_json:
        output.print_json(done)
        return
    typer.echo(
        f"{participant} has withdrawn at {output.cell(done.withdrawn_at)} UTC: nothing new of them is taken"
    )
    if done.taken_back:
        typer.echo(f"{done.taken_back:,} rows that a running batch wrote of them meanwhile were deleted")


@app.command(epilog="Example: activity people erase p-017 --yes")
def erase(
    participant: str = _WHO,
    yes: bool = typer.Option(False, "--yes", help="Do not ask."),
    also: list[Path] = typer.Option([], help="A further folder to remove the participant from."),
    as_json: bool = options.JSON,
) -> None:
    """Remove a participant from the store, the archive, the lake and reports, for good, and search what is left.

    An erasure that was ended goes on where it was.
    """
    if not yes:
        if not sys.stdin.isatty():
            raise RefusedError("nothing was removed: nobody can be asked here; --yes removes without asking")
        if not typer.confirm(f"remove everything of {participant}? This cannot be undone", err=True):
            raise RefusedError("nothing was removed")
    report = erasing.erase(
        settings(),
        participant,
        by_whom=getpass.getuser(),
        also=[str(one) for one in also],
        step=lambda text: typer.echo(f"  {text}", err=True),
    )
    if as_json:
        output.print_json(report)
        return
    typer.echo(f"erasure {report.erasure_id}{' (resumed)' if report.resumed else ''} is finished; removed:")
    output.print_table(("from", "rows"), list(report.removed.items()))
    for model in report.models:
        typer.echo(f"learnt from the person, cannot be reproduced: {model}")
    typer.echo(f"searched, nothing left: {'; '.join(report.searched)}")
    for remark in report.remarks:
        typer.echo(remark)


@app.command(epilog="Example: activity people export p-017 --out p-017.zip")
def export(
    participant: str = _WHO,
    out: Path = typer.Option(None, help="The zip.  [default: PARTICIPANT.zip]"),
    as_json: bool = options.JSON,
) -> None:
    """Write what is kept of a participant into a zip for them: readings, predictions, labels, daily records."""
    done = exporting.export(
        settings(),
        participant,
        out or Path(f"{participant}.zip"),
        step=lambda text: typer.echo(f"  {text}", err=True),
    )
    if as_json:
        output.print_json(done)
    else:
        typer.echo(
            f"{done.path}: {done.readings:,} readings, {done.predictions:,} predictions, {done.labels:,} labels, "
            f"{done.days:,} days"
        )
