"""`activity console`: serve the web console and the REST interface."""

from __future__ import annotations

import os

import typer
import uvicorn

from activitymodule.embedded import processes
from activitymodule.errors import ServiceUnavailableError
from activitymodule.settings import settings
from activitymodule.store import connection as store
from activitymodule.store import users

SECTION = "Services"

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(epilog="Example: activity console --port 8080")
def console(
    host: str = typer.Option(None, help="Address to listen on.  [default: console.host]"),
    port: int = typer.Option(None, min=1, max=65535, help="Port to listen on.  [default: console.port]"),
) -> None:
    """Serve the web console: label windows, review, watch the stream. Ctrl-C or SIGTERM ends it.

    Needs the store (`activity up`). `activity users add NAME --role admin` adds who may sign in.
    """
    config = settings()
    host, port = host or config.console.host, port or config.console.port
    with store.session(config, read_only=True) as connection:
        accounts = users.list_users(connection)
    if not processes.port_free(host, port):
        who = processes.who_listens(port)
        raise ServiceUnavailableError(
            f"port {port} of {host} is taken{f' by {who}' if who else ''}; stop that, or choose another with "
            "--port or ACTIVITY_CONSOLE__PORT"
        )
    # the framework keeps no files of its own
    os.environ.setdefault("NICEGUI_STORAGE_PATH", os.devnull)
    if "FORWARDED_ALLOW_IPS" in os.environ:
        typer.echo(
            "FORWARDED_ALLOW_IPS is not read; set console.trusted_proxies to the proxies' addresses", err=True
        )
    shown = "127.0.0.1" if host in ("0.0.0.0", "::") else host  # noqa: S104 (compared, not bound)
    typer.echo(f"the console is at http://{shown}:{port} (Ctrl-C ends it)")
    if not accounts:
        typer.echo("nobody can sign in yet: activity users add NAME --role admin")
    uvicorn.run(
        "annotation.app:make_app",
        factory=True,
        host=host,
        port=port,
        log_level="warning",
        access_log=False,
        http="annotation.connections:TimedProtocol",
        # the client is the last address of X-Forwarded-For that is no proxy of ours
        proxy_headers=bool(config.console.trusted_proxies),
        forwarded_allow_ips=config.console.trusted_proxies,
        server_header=False,
        timeout_graceful_shutdown=3,
        ws_max_size=1 << 20,
    )
