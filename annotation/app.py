"""The console as one ASGI application: pages, REST routes, and the gate around both."""

from __future__ import annotations

import importlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from importlib.util import find_spec
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
from annotation import auth, context, sockets
from annotation.frame import LOGO, STATIC

# modules under annotation/api with a `router`, and under annotation/pages
ROUTERS = ("scoring", "monitoring", "ingest", "metrics")
PAGES = ("signin", "start", "annotate", "review", "live", "watch", "models", "drift", "dead_letters", "users")

_STATUS = {
    ConfigError: 422,
    DataError: 422,
    RefusedError: 409,
    ModelError: 503,
    ServiceUnavailableError: 503,
}

log = logging.getLogger(__name__)


@asynccontextmanager
async def _lifespan(_: FastAPI) -> AsyncIterator[None]:
    yield
    context.close()


def _modules(package: str, names: tuple[str, ...]) -> list[Any]:
    return [
        importlib.import_module(f"{package}.{name}")
        for name in names
        if find_spec(f"{package}.{name}") is not None
    ]


def make_app() -> Callable[[Any, Any, Any], Awaitable[None]]:
    """The application, gate and all. Raises ConfigError where sessions cannot be signed."""
    auth.check_secret()
    # no /docs: its page would load scripts from elsewhere; the description itself is at /openapi.json
    app = FastAPI(title="Activity", docs_url=None, redoc_url=None, lifespan=_lifespan)

    async def explain(request: Request, error: Exception) -> JSONResponse:
        status = next((code for kind, code in _STATUS.items() if isinstance(error, kind)), 500)
        return JSONResponse({"detail": str(error)}, status)

    app.add_exception_handler(ActivityError, explain)
    app.mount("/static", StaticFiles(directory=STATIC), name="console-static")
    for module in _modules("annotation.api", ROUTERS):
        app.include_router(module.router)
    if "/health" not in {getattr(route, "path", None) for route in app.routes}:
        app.add_api_route("/health", health, methods=["GET"])
    for module in _modules("annotation.pages", PAGES):
        router = getattr(module, "router", None)
        if router is not None:
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


async def health() -> dict[str, str]:
    """That the process answers; it says nothing of the store."""
    return {"status": "ok"}
