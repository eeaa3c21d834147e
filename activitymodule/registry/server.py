"""MLflow's server with a sign-in: `python -m activitymodule.registry.server`, with the arguments of `mlflow server`.

User and password are MLflow's own variables MLFLOW_AUTH_ADMIN_USERNAME (admin) and MLFLOW_AUTH_ADMIN_PASSWORD. MLflow
takes them when its tables of users are made, and never again: here a changed one is set before the server starts. With
`--without-sign-in` it is MLflow as it comes, which lets everybody in who reaches its port.
"""

from __future__ import annotations

import os
import secrets
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from sqlalchemy import create_engine, inspect, text
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.security import check_password_hash, generate_password_hash

OPEN = "--without-sign-in"
_STORE = "--backend-store-uri"
# A password is hashed for some 50 ms at each request, and the scorer asks every second, so MLflow keeps what it found
# right for a while. Nobody has a right but who is given one.
_CONFIGURATION = """\
[mlflow]
default_permission = NO_PERMISSIONS
database_uri = {store}
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
auth_cache_ttl_seconds = 300
"""


def prepared(arguments: Sequence[str], environ: Mapping[str, str]) -> tuple[list[str], dict[str, str]]:
    """The command of the server and its environment. Raises ValueError where user, password or store are missing."""
    server = [sys.executable, "-m", "mlflow", "server"]
    if OPEN in arguments:
        return [*server, *(one for one in arguments if one != OPEN)], dict(environ)
    user = environ.get("MLFLOW_AUTH_ADMIN_USERNAME") or "admin"
    password = environ.get("MLFLOW_AUTH_ADMIN_PASSWORD")
    if not password:
        raise ValueError(
            "MLFLOW_AUTH_ADMIN_PASSWORD is missing, so nobody could sign in; run ./init.sh, which makes the password, "
            f"or start it with {OPEN}"
        )
    store = arguments[list(arguments).index(_STORE) + 1]
    _set_password(store, user, password)
    # a container has one server and no folder of its own
    folder = Path.cwd() if os.access(Path.cwd(), os.W_OK) else Path(tempfile.mkdtemp(prefix="activity-"))
    configuration = folder / "sign-in.ini"
    # its interpolation takes %% for %
    configuration.write_text(_CONFIGURATION.format(store=store.replace("%", "%%")), encoding="utf-8")
    signed = {
        "MLFLOW_AUTH_CONFIG_PATH": str(configuration),
        "MLFLOW_AUTH_ADMIN_USERNAME": user,
        # of one form, which creates users
        "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.token_urlsafe(32),
    }
    return [*server, "--app-name", "basic-auth", *arguments], {**environ, **signed}


def _set_password(store: str, user: str, password: str) -> None:
    """Give the user this password where the server's tables have another; nothing where they are yet to be made."""
    engine = create_engine(store)
    try:
        with engine.begin() as connection:
            if not inspect(connection).has_table("users"):
                return
            known = connection.execute(
                text("SELECT password_hash FROM users WHERE username = :user"), {"user": user}
            ).scalar()
            if known is not None and not check_password_hash(known, password):
                connection.execute(
                    text("UPDATE users SET password_hash = :hash WHERE username = :user"),
                    {"user": user, "hash": generate_password_hash(password)},
                )
                _say("the password of the registry's user is another now, and is set to it")
    except SQLAlchemyError as error:
        # the server logs what is wrong, and tries again
        _say(f"the registry's tables cannot be read yet ({type(error).__name__})")
    finally:
        engine.dispose()


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def main(arguments: Sequence[str]) -> None:
    """Become the server."""
    try:
        command, environ = prepared(arguments, os.environ)
    except (ValueError, IndexError) as error:
        sys.exit(f"ERROR: {error}")
    os.execve(sys.executable, command, environ)


if __name__ == "__main__":
    main(sys.argv[1:])
