"""The last reports for signed-in users: that on drift, the files of `activity report`, everybody's persona as CSV."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, HTTPException, Response
from fastapi import Path as InPath
from fastapi.responses import FileResponse

from activitymodule.lake.csv_text import written
from activitymodule.settings import resolve
from activitymodule.workflows.drift import LATEST_PAGE, reports_folder
from activitymodule.workflows.reports.files import report_files
from annotation import context, exports
from annotation.access import SignedIn

router = APIRouter(tags=["reports"])

_NAME = r"^[A-Za-z0-9_./-]+$"


@router.get("/personas.csv", response_class=Response, responses={404: {"description": "No personas yet"}})
async def personas_csv(_: SignedIn) -> Response:
    """Who belongs to which persona, with the six measures, as CSV."""
    found = await exports.rows("personas")
    if found is None:
        raise HTTPException(404, "there are no personas yet; `activity report` makes them")
    out = io.StringIO()
    rows = csv.writer(out, lineterminator="\n")
    rows.writerow(found.column_names)
    rows.writerows([written(value) for value in row.values()] for row in found.to_pylist())
    return Response(
        out.getvalue(),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": 'attachment; filename="personas.csv"'},
    )


@router.get("/drift/report", response_class=FileResponse, responses={404: {"description": "No report yet"}})
async def drift_report(_: SignedIn) -> FileResponse:
    """The last drift report as a page: the DAG drift_report makes it, and `activity drift report --html`."""
    path = reports_folder(context.settings()) / LATEST_PAGE
    if not await context.run(path.is_file):
        raise HTTPException(404, "there is no drift report yet; `activity drift report --html` makes one")
    return FileResponse(path, media_type="text/html", headers={"Cache-Control": "no-cache"})


@router.get(
    "/reports/files/{name:path}",
    response_class=FileResponse,
    responses={404: {"description": "No such file"}},
)
async def report_file(
    _: SignedIn, name: Annotated[str, InPath(pattern=_NAME, max_length=200)]
) -> FileResponse:
    """A file of the last report. Pictures are shown, other files are downloads."""
    folder = resolve(context.settings().reports.folder)
    found: dict[str, Path] = await context.run(report_files, folder)
    if name not in found:
        raise HTTPException(404, f"the last report has no file {name}")
    shown = name.endswith(".png")
    return FileResponse(
        found[name],
        filename=Path(name).name,
        content_disposition_type="inline" if shown else "attachment",
        headers={"Cache-Control": "no-cache"},
    )
