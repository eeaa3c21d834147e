"""/docs: the REST interface as a page to try it out (Swagger UI), for signed-in users, from files of this server."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.openapi.docs import get_swagger_ui_html

from annotation.access import SignedIn

router = APIRouter()

FILES = "/docs/files"
PACKAGE = ("fastapi_offline", "static")
"""The package that brings Swagger UI's files, and its folder."""


@router.get("/docs", include_in_schema=False)
async def swagger(request: Request, _: SignedIn) -> Response:
    """Swagger UI of /openapi.json."""
    root = request.scope.get("root_path", "")
    return get_swagger_ui_html(
        openapi_url=f"{root}/openapi.json",
        title="Activity: REST interface",
        swagger_js_url=f"{root}{FILES}/swagger-ui-bundle.js",
        swagger_css_url=f"{root}{FILES}/swagger-ui.css",
        swagger_favicon_url=f"{root}/favicon.ico",
        # null: it would send the description to a validator elsewhere
        swagger_ui_parameters={"validatorUrl": None, "displayRequestDuration": True},
    )
