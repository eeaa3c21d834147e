"""A report of made-up people for pages that show one, without the time that training takes."""

from __future__ import annotations

import json

from day_records import day_records

from activitymodule.behaviour.figures import centroids_figure
from activitymodule.behaviour.grid import grid_of
from activitymodule.behaviour.person import behaviour
from activitymodule.behaviour.personas import fit_personas
from activitymodule.days.derived import with_derived
from activitymodule.days.merging import merged
from activitymodule.lake.exports import exports_folder
from activitymodule.settings import Settings, resolve
from activitymodule.workflows.behaviour.keeping import Kept
from activitymodule.workflows.behaviour.personas import PersonaOutcome
from activitymodule.workflows.reports import summaries
from activitymodule.workflows.reports.days import write_days
from activitymodule.workflows.reports.files import FEATURES, INDEX, INGESTION
from activitymodule.workflows.reports.metrics import write_metrics
from activitymodule.workflows.reports.page import write_page
from activitymodule.workflows.reports.personas import write_personas


def write_report(settings: Settings, people: int = 60, days: int = 120) -> None:
    """Exports, summaries, metrics of personas, a figure and the page."""
    folder, records = resolve(settings.reports.folder), day_records(people, days)
    found = behaviour(grid_of(records))
    fit = fit_personas(found, clusters=4, seeds=2, resamples=4)
    outcome = PersonaOutcome(found, fit, Kept("personas"))
    persona_of = write_personas(exports_folder(settings), outcome)
    days_of_people = with_derived(merged(records))
    write_days(exports_folder(settings), days_of_people, persona_of)
    (folder / "figures").mkdir(exist_ok=True)
    centroids_figure(outcome.report, folder / "figures" / "personas-centroids.png")
    ingested = summaries.ingestion(records, days_of_people, "history")
    (folder / INGESTION).write_text(json.dumps({"daily_records": ingested}))
    (folder / FEATURES).write_text(json.dumps(summaries.features(days_of_people, outcome, [])))
    metrics = summaries.metrics(outcome, [], [])
    write_metrics(folder, metrics)
    write_page(folder, "Report", {"Daily records": ingested}, metrics)
    assert (folder / INDEX).is_file()
