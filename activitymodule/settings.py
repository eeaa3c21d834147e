"""Settings: config.yaml, overlaid by other files, `.env` and environment variables; frozen and validated.

An environment variable `ACTIVITY_<SECTION>__<KEY>` sets one key. A key that does not exist is an error that
names the nearest one that does. A password or secret may be given by its name in Google's Secret Manager
(`gcp-secret:projects/P/secrets/S`): it is fetched when the settings are loaded.
"""

from __future__ import annotations

import difflib
import os
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator

from activitymodule.errors import ConfigError
from activitymodule.secret_manager import NAMED_SECRET, fetch_secret

PREFIX = "ACTIVITY_"
# Variables of ours that are no settings.
NOT_SETTINGS = {"ACTIVITY_CONFIG", "ACTIVITY_DEBUG", "ACTIVITY_HOME"}
_SECRET_KEYS = ("password", "secret")


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Kafka(Section):
    bootstrap_servers: str = "127.0.0.1:19092"
    topic: str = "ticker-watch-data"
    truth_topic: str = "ticker-watch-truth"
    partitions: int = Field(2, ge=1)
    retention_hours: int = Field(168, ge=1)
    options: dict[str, str] = {}


class Store(Section):
    host: str = "127.0.0.1"
    port: int = Field(15432, ge=1, le=65535)
    database: str = "activity"
    user: str = "activity"
    password: SecretStr | None = None
    admin_password: SecretStr | None = None
    sslmode: str = "prefer"


class Registry(Section):
    uri: str = "http://127.0.0.1:15000"
    classifier: str = "activity-classifier"
    regressor: str = "energy-regressor"
    poll_seconds: float = Field(1.0, gt=0)


class Spark(Section):
    master: str = "local[2,4]"
    driver_memory: str = "3g"
    shuffle_partitions: int = Field(2, ge=1)
    state_store: Literal["memory", "rocksdb"] = "memory"
    checkpoints: str = ".local/checkpoints"
    jars: str = "jars/spark"
    options: dict[str, str] = {}


class Telemetry(Section):
    future_seconds: float = Field(120, ge=0)
    past_days: float = Field(3650, gt=0)
    max_message_bytes: int = Field(1_048_576, ge=100)
    max_items: int = Field(10_000, ge=1)


class Windows(Section):
    length_seconds: int = Field(10, ge=2, le=600)
    slide_seconds: int = Field(10, ge=1, le=600)
    rate_hz: int = Field(10, ge=5, le=100)
    least_coverage: float = Field(0.5, ge=0, le=1)
    queue_coverage: float = Field(0.9, ge=0, le=1)
    watermark_minutes: float = Field(10, gt=0)

    @model_validator(mode="after")
    def _slide_divides_length(self) -> Windows:
        if self.length_seconds % self.slide_seconds:
            raise ValueError("slide_seconds must divide length_seconds")
        return self


class Scoring(Section):
    trigger_milliseconds: int = Field(0, ge=0)
    max_offsets_per_trigger: int = Field(500_000, ge=1)
    min_partitions: int = Field(2, ge=1)
    smoothing_windows: int = Field(6, ge=1, le=60)
    smoothing_stay: float = Field(0.8, gt=0, lt=1)
    starting_offsets: Literal["earliest", "latest"] = "earliest"


class Archive(Section):
    enabled: bool = True
    folder: str = "lake/archive"
    interval_seconds: float = Field(60, gt=0)


class Lake(Section):
    folder: str = "lake"


class Models(Section):
    conformal_alpha: float = Field(0.1, gt=0, lt=1)
    max_megabytes: float = Field(50, gt=0)


class Faults(Section):
    gap: float = Field(0.0, ge=0, le=1)
    late: float = Field(0.0, ge=0, le=1)
    duplicate: float = Field(0.0, ge=0, le=1)
    clock_skew: float = Field(0.0, ge=0, le=1)
    malformed: float = Field(0.0, ge=0, le=1)
    flat: float = Field(0.0, ge=0, le=1)


class Queue(Section):
    enabled: bool = True
    items_per_hour: float = Field(60, gt=0)
    burst: int = Field(20, ge=1)
    cooldown_minutes: float = Field(8, ge=0)
    cold_labels: int = Field(40, ge=0)
    audit_share: float = Field(0.2, gt=0, lt=1)
    overlap_share: float = Field(0.05, ge=0, le=1)
    doubt: str = "margin"
    expire_hours: float = Field(72, gt=0)
    lease_minutes: float = Field(5, gt=0)


class Learning(Section):
    base: str = "champion"
    min_labels: int = Field(50, ge=1)
    label_weight: float = Field(1.0, gt=0, le=100)
    spread_windows: int = Field(0, ge=0, le=30)
    spread_weight: float = Field(0.5, gt=0, le=1)
    alpha: float = Field(0.025, gt=0, lt=0.5)
    bootstrap: int = Field(2000, ge=200)
    least_audit_labels: int = Field(60, ge=1)
    least_audit_people: int = Field(5, ge=2)
    class_guard: float = Field(0.1, ge=0, le=1)
    calibration_guard: float = Field(0.05, ge=0, le=1)
    least_windows_per_second: float = Field(500, ge=0)


class Monitoring(Section):
    enabled: bool = True
    keep_days: float = Field(30, gt=0)
    look_back_minutes: float = Field(30, gt=0)
    least_windows: int = Field(300, ge=1)
    z_score: float = Field(6, gt=0)
    psi: float = Field(0.25, gt=0)
    features_share: float = Field(0.1, gt=0, le=1)
    class_shift: float = Field(0.3, gt=0, le=1)
    confidence_shift: float = Field(0.1, gt=0, le=1)


class Console(Section):
    host: str = "127.0.0.1"
    port: int = Field(18080, ge=1, le=65535)
    secret: SecretStr | None = None
    session_hours: float = Field(12, gt=0)
    items_per_hour_goal: int = Field(60, ge=1)
    sign_ins_per_minute: int = Field(10, ge=1)
    requests_per_minute: int = Field(600, ge=1)


class Airflow(Section):
    uri: str = "http://127.0.0.1:18090"
    user: str = Field("admin", pattern=r"^[A-Za-z0-9._@-]+$")
    password: SecretStr | None = None
    folder: str = ".local/airflow"
    workers: int = Field(2, ge=1, le=32)
    retrain: str | None = "0 3 * * *"
    drift: str | None = "30 * * * *"
    statistics: str | None = "0 4 * * 0"
    labels_minutes: float = Field(10, gt=0)


class Fleet(Section):
    engine: Literal["dbldatagen", "spark"] = "dbldatagen"
    devices: int = Field(50, ge=1)
    seed: int = Field(1, ge=0)
    speed: float = Field(1.0, ge=0)
    readings_per_message: int = Field(10, ge=1, le=10)
    partitions: int = Field(2, ge=1)
    reference: str = "wisdm"
    faults: Faults = Faults()


class Local(Section):
    folder: str = ".local"
    kafka_memory_megabytes: int = Field(512, ge=256)
    artifacts: str = ".local/mlflow"
    kafka_jars: str = "jars/kafka"


class Settings(Section):
    kafka: Kafka = Kafka()
    store: Store = Store()
    registry: Registry = Registry()
    spark: Spark = Spark()
    telemetry: Telemetry = Telemetry()
    windows: Windows = Windows()
    scoring: Scoring = Scoring()
    archive: Archive = Archive()
    lake: Lake = Lake()
    models: Models = Models()
    queue: Queue = Queue()
    learning: Learning = Learning()
    monitoring: Monitoring = Monitoring()
    console: Console = Console()
    airflow: Airflow = Airflow()
    fleet: Fleet = Fleet()
    local: Local = Local()


def project_root() -> Path:
    """The folder of config.yaml: ACTIVITY_HOME, or the checkout this package stands in."""
    home = os.environ.get("ACTIVITY_HOME")
    return Path(home).resolve() if home else Path(__file__).resolve().parent.parent


def resolve(path: str) -> Path:
    """A local path of the settings as an absolute one (relative ones start at the project's root).

    Raises ConfigError for an address: who calls this can only use a folder or file of this machine.
    """
    if "://" in path:
        raise ConfigError(
            f"{path} is an address, and this needs a folder or file of this machine; copy what is there "
            "(`aws s3 sync`, `gcloud storage rsync`) and name the copy"
        )
    return (project_root() / Path(path).expanduser()).resolve()


def location(path: str) -> str:
    """A path of the settings that may also be an address (s3://, gs://): addresses pass unchanged."""
    return path if "://" in path else str(resolve(path))


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text()) or {}
    except OSError as error:
        raise ConfigError(f"cannot read the configuration {path}: {error.strerror}") from error
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        line = f" line {where.line + 1}" if where else ""
        problem = getattr(error, "problem", None) or "not readable"
        raise ConfigError(f"{path}{line} is not valid YAML: {problem}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path} must hold sections of keys, such as `kafka:`")
    return content


def _merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        if isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = _merge(merged[key], value)
        else:
            merged[key] = value
    return merged


def read_env_file(path: Path) -> dict[str, str]:
    """`NAME=value` lines of a `.env` file; comments and blank lines are passed over; {} without a file."""
    values: dict[str, str] = {}
    if path.is_file():
        for line in path.read_text().splitlines():
            name, sign, value = line.strip().partition("=")
            if sign and not name.startswith("#"):
                values[name.strip()] = value.strip().strip("'\"")
    return values


def _from_environment(environ: dict[str, str]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for name, value in sorted(environ.items()):
        if not name.startswith(PREFIX) or name in NOT_SETTINGS:
            continue
        keys = name[len(PREFIX) :].lower().split("__")
        if len(keys) < 2:
            raise ConfigError(
                f"the environment variable {name} is no setting; write {PREFIX}SECTION__KEY, "
                f"such as {PREFIX}KAFKA__TOPIC"
            )
        node = tree
        for key in keys[:-1]:
            node = node.setdefault(key, {})
        # numbers, booleans and null as in YAML; secrets stay the text they are
        node[keys[-1]] = (
            value if keys[-1].endswith(_SECRET_KEYS) else yaml.safe_load(value) if value else value
        )
    return tree


def _known_keys(model: type[BaseModel], path: tuple[str, ...] = ()) -> dict[str, tuple[str, ...]]:
    known: dict[str, tuple[str, ...]] = {}
    for name, info in model.model_fields.items():
        known[".".join((*path, name))] = (*path, name)
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            known |= _known_keys(info.annotation, (*path, name))
    return known


def _explain(error: ValidationError) -> str:
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        known = _known_keys(Settings)
        last = key.rsplit(".", 1)[-1]
        near = difflib.get_close_matches(key, known, 1, 0.6) or [
            full for full in known if difflib.get_close_matches(last, [full.rsplit(".", 1)[-1]], 1, 0.7)
        ]
        hint = f"; did you mean {near[0]}?" if near else "; config.yaml lists all keys"
        return f"unknown setting {key}{hint}"
    message = first["msg"].removeprefix("Value error, ")
    return f"the setting {key or 'file'} is wrong: {message} (given: {first.get('input')!r})"


def build(config: dict[str, Any]) -> Settings:
    """Settings from a tree of keys; raises ConfigError with one sentence where a key is unknown or wrong."""
    try:
        return Settings.model_validate(config)
    except ValidationError as error:
        raise ConfigError(_explain(error)) from None


def layers(environ: dict[str, str] | None = None) -> list[tuple[str, dict[str, Any]]]:
    """Where values come from, (name, tree of keys), later ones over earlier ones: config.yaml, the files of
    ACTIVITY_CONFIG (a,b), .env, the environment."""
    root = project_root()
    environ = dict(os.environ) if environ is None else environ
    env_file = read_env_file(root / ".env")
    base = root / "config.yaml"
    found = [("config.yaml", _read_yaml(base) if base.is_file() else {})]
    overlays = environ.get("ACTIVITY_CONFIG", env_file.get("ACTIVITY_CONFIG", ""))
    for name in filter(None, (n.strip() for n in overlays.split(","))):
        found.append((name, _read_yaml(resolve(name))))
    return [*found, (".env", _from_environment(env_file)), ("environment", _from_environment(environ))]


def _with_secrets(tree: dict[str, Any]) -> dict[str, Any]:
    """The tree with secrets fetched that stand in it as the name of one (`gcp-secret:projects/P/secrets/S`)."""
    filled = dict(tree)
    for key, value in tree.items():
        if isinstance(value, dict):
            filled[key] = _with_secrets(value)
        elif isinstance(value, str) and key.endswith(_SECRET_KEYS) and value.startswith(NAMED_SECRET):
            filled[key] = fetch_secret(value.removeprefix(NAMED_SECRET))
    return filled


def load(environ: dict[str, str] | None = None) -> Settings:
    """Settings in force: the layers, one over the other, validated."""
    tree: dict[str, Any] = {}
    for _, layer in layers(environ):
        tree = _merge(tree, layer)
    return build(_with_secrets(tree))


@lru_cache(maxsize=1)
def settings() -> Settings:
    """The settings of this process, read once."""
    return load()
