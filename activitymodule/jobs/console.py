"""`activity console`: serve the web console and the REST interface."""

from __future__ import annotations

import os

import typer

SECTION = "Services"

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(epilog="Example: activity console --port 8080")
def console(
    host: str = typer.Option(None, help="Address to listen on; console.host if left out."),
    port: int = typer.Option(None, min=1, max=65535, help="Port to listen on; console.port if left out."),
) -> None:
    """Serve the web console: label windows, review, watch the stream. Ctrl-C or SIGTERM ends it.

    Needs the store (`activity up`). Who may sign in: `activity users add NAME --role admin`.
    """
    import uvicorn

    from activitymodule.embedded.processes import port_free, who_listens
    from activitymodule.errors import ServiceUnavailableError
    from activitymodule.settings import settings
    from activitymodule.store.connection import session
    from activitymodule.store.users import list_users

    config = settings().console
    host, port = host or config.host, port or config.port
    with session(settings(), read_only=True) as connection:
        users = list_users(connection)
    if not port_free(host, port):
        who = who_listens(port)
        raise ServiceUnavailableError(
            f"port {port} of {host} is taken{f' by {who}' if who else ''}; stop that, or choose another with "
            "--port or ACTIVITY_CONSOLE__PORT"
        )
    # the framework keeps no files of its own
    os.environ.setdefault("NICEGUI_STORAGE_PATH", os.devnull)
    from annotation.app import make_app

    application = make_app()
    shown = "127.0.0.1" if host in ("0.0.0.0", "::") else host
    typer.echo(f"the console is at http://{shown}:{port} (Ctrl-C ends it)")
    if not users:
        typer.echo("nobody can sign in yet: activity users add NAME --role admin")
    uvicorn.run(
        application,
        host=host,
        port=port,
        log_level="warning",
        access_log=False,
        # whose word on the client's address counts is said by FORWARDED_ALLOW_IPS, by default nobody's
        proxy_headers="FORWARDED_ALLOW_IPS" in os.environ,
        server_header=False,
        timeout_graceful_shutdown=3,
        ws_max_size=1 << 20,
    )
