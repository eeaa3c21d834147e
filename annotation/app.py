"""The console as one ASGI application: pages, REST routes, and the gate around both."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles
from nicegui import ui

from activitymodule.errors import (
    ActivityError,
    ConfigError,
    DataError,
    ModelError,
    RefusedError,
    ServiceUnavailableError,
)
from annotation import api, auth, context, pages, registry, sockets
from annotation.frame import LOGO, STATIC

_STATUS = {
    ConfigError: 422,
    DataError: 422,
    RefusedError: 409,
    ModelError: 503,
    ServiceUnavailableError: 503,
}


@asynccontextmanager
async def _lifespan(_: FastAPI) -> AsyncIterator[None]:
    yield
    context.close()


def make_app() -> Callable[[Any, Any, Any], Awaitable[None]]:
    """The application with its gate.

    Raises ConfigError if sessions cannot be signed, or if a module of annotation/pages or annotation/api is broken.
    """
    auth.check_secret()
    # no /docs: its page would load scripts from elsewhere; the description itself is at /openapi.json
    app = FastAPI(title="Activity", docs_url=None, redoc_url=None, lifespan=_lifespan)

    async def explain(_: Request, error: Exception) -> JSONResponse:
        status = next((code for kind, code in _STATUS.items() if isinstance(error, kind)), 500)
        return JSONResponse({"detail": str(error)}, status)

    app.add_exception_handler(ActivityError, explain)
    app.mount("/static", StaticFiles(directory=STATIC), name="console-static")
    for router in [*registry.load_routers(api), *registry.load_pages(pages)]:
        app.include_router(router)
    ui.run_with(
        app,
        title="Activity",
        favicon=LOGO.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" '),
        dark=None,
        language="en-US",
        tailwind=False,
        show_welcome_message=False,
        reconnect_timeout=10,
    )
    sockets.guard()
    return auth.Gate(app)
