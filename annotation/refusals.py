"""Errors as responses of the REST interface: one sentence, or a list for invalid parameters; never what was sent.

FastAPI's own response to an invalid request repeats the request, which fails where JSON cannot hold it (infinity, half
of a surrogate pair), returns a megabyte for a megabyte, and shows passwords.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import cast

from fastapi import FastAPI, HTTPException, Request
from fastapi.exception_handlers import http_exception_handler
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response

from activitymodule.errors import ActivityError
from activitymodule.text import storable
from annotation.failures import explain

_MOST_SHOWN = 20  # invalid parameters
_LONGEST = 200  # characters of a name


def handle_errors(app: FastAPI) -> None:
    """Register the handlers."""
    app.add_exception_handler(ActivityError, explain)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _refused)


async def _invalid(_: Request, error: Exception) -> Response:
    found = cast(RequestValidationError, error).errors()
    shown = [
        {
            "type": one["type"],
            "loc": [storable(part)[:_LONGEST] if isinstance(part, str) else part for part in one["loc"]],
            "msg": storable(one["msg"])[:_LONGEST],
        }
        for one in found[:_MOST_SHOWN]
    ]
    return JSONResponse({"detail": shown}, HTTPStatus.UNPROCESSABLE_ENTITY)


async def _refused(request: Request, error: Exception) -> Response:
    refusal = cast(HTTPException, error)
    if refusal.status_code == HTTPStatus.BAD_REQUEST and refusal.__cause__ is not None:
        # FastAPI could not parse the body: a number of thousands of digits, bytes that are no UTF-8
        refusal = HTTPException(HTTPStatus.UNPROCESSABLE_ENTITY, "the body is not JSON")
    if isinstance(refusal.detail, str):
        refusal.detail = storable(refusal.detail)
    return await http_exception_handler(request, refusal)
