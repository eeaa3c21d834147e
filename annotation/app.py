"""The console as one ASGI application: pages, REST routes, and the gate around both."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles
from nicegui import ui

from annotation import access, api, auth, context, failures, pages, registry, sockets
from annotation.api import scoring, swagger
from annotation.frame import LOGO, STATIC
from annotation.gate import Gate
from annotation.refusals import handle_errors


@asynccontextmanager
async def _lifespan(_: FastAPI) -> AsyncIterator[None]:
    yield
    await context.run(scoring.close)
    context.close()


def make_app() -> Callable[[Any, Any, Any], Awaitable[None]]:
    """The application with its gate.

    Raises ConfigError if sessions cannot be signed, or if a module of annotation/pages or annotation/api is broken.
    """
    auth.check_secret()
    # the usual /docs would load its scripts from elsewhere; annotation/api/swagger has it with files of its own
    app = FastAPI(title="Activity", docs_url=None, redoc_url=None, lifespan=_lifespan)

    handle_errors(app)
    failures.log_in_one_line()
    app.mount("/static", StaticFiles(directory=STATIC), name="console-static")
    app.mount(swagger.FILES, StaticFiles(packages=[swagger.PACKAGE]), name="swagger")
    for router in [*registry.load_routers(api), *registry.load_pages(pages)]:
        app.include_router(router)
    access.check_callers_first(app)
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
    return failures.RetryAfter(Gate(app))
