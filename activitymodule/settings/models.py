"""The settings as frozen models: one class a section of config.yaml, with the range of each key."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from activitymodule.settings.addresses import Address, networks


class Section(BaseModel):
    """A section of the settings: frozen, and without keys it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Kafka(Section):
    """The broker, its topics and how to sign in there."""

    bootstrap_servers: str = "127.0.0.1:19092"
    topic: str = "ticker-watch-data"
    truth_topic: str = "ticker-watch-truth"
    partitions: int = Field(2, ge=1)
    retention_hours: int = Field(168, ge=1)
    isolation_level: Literal["read_committed", "read_uncommitted"] = "read_committed"
    options: dict[str, str] = {}


class Store(Section):
    """PostgreSQL."""

    host: str = "127.0.0.1"
    port: int = Field(15432, ge=1, le=65535)
    database: str = "activity"
    user: str = "activity"
    password: SecretStr | None = None
    admin_password: SecretStr | None = None
    sslmode: str = "prefer"


class Registry(Section):
    """MLflow, how to sign in there, and the names of the models."""

    uri: Address = "http://127.0.0.1:15000"
    authentication: bool = True
    user: str = Field("admin", pattern=r"^[A-Za-z0-9._@-]+$")
    password: SecretStr | None = None
    classifier: str = "activity-classifier"
    regressor: str = "energy-regressor"
    days_prefix: str = ""
    poll_seconds: float = Field(1.0, gt=0)


class Spark(Section):
    """The engine: master, memory, state and checkpoints."""

    master: str = "local[2,4]"
    driver_memory: str = "3g"
    shuffle_partitions: int = Field(2, ge=1)
    state_store: Literal["memory", "rocksdb"] = "memory"
    checkpoints: str = ".local/checkpoints"
    jars: str = "jars/spark"
    options: dict[str, str] = {}


class Telemetry(Section):
    """What a message may hold."""

    future_seconds: float = Field(120, ge=0)
    past_days: float = Field(3650, gt=0)
    max_message_bytes: int = Field(1_048_576, ge=100)
    max_items: int = Field(10_000, ge=1)


class Windows(Section):
    """Length, slide and watermark of windows."""

    length_seconds: int = Field(10, ge=2, le=600)
    slide_seconds: int = Field(10, ge=1, le=600)
    rate_hz: int = Field(10, ge=5, le=100)
    least_coverage: float = Field(0.5, ge=0, le=1)
    queue_coverage: float = Field(0.9, ge=0, le=1)
    watermark_minutes: float = Field(2, gt=0)

    @model_validator(mode="after")
    def _slide_divides_length(self) -> Windows:
        if self.length_seconds % self.slide_seconds:
            raise ValueError("slide_seconds must divide length_seconds")
        return self


class Scoring(Section):
    """What the streaming job reads and writes, and what scores."""

    engine: Literal["sklearn", "onnx"] = "onnx"
    trigger_milliseconds: int = Field(500, ge=0)
    prompt_seconds: float = Field(1.5, ge=0)
    max_offsets_per_trigger: int = Field(500_000, ge=1)
    min_partitions: int = Field(2, ge=1)
    smoothing_windows: int = Field(6, ge=1, le=60)
    smoothing_stay: float = Field(0.8, gt=0, lt=1)
    starting_offsets: Literal["earliest", "latest"] = "earliest"


class Events(Section):
    """What is told of people's activities: the topic, and webhooks."""

    enabled: bool = True
    topic: str = "ticker-watch-activity"
    poll_seconds: float = Field(0.5, gt=0)
    webhook_seconds: float = Field(10, gt=0, le=300)
    webhook_hours: float = Field(24, gt=0)
    webhook_networks: list[str] = []

    @field_validator("webhook_networks")
    @classmethod
    def _are_networks(cls, given: list[str]) -> list[str]:
        return networks(given)


class Archive(Section):
    """Where raw messages are kept."""

    enabled: bool = True
    folder: str = "lake/archive"
    interval_seconds: float = Field(60, gt=0)
    backfill_minutes: float | None = Field(5, gt=0)


class Lake(Section):
    """The folder of prepared recordings and snapshots."""

    folder: str = "lake"


class RunCopy(Section):
    """One copy of every recorded run: at another tempo or size, or with x and y exchanged."""

    tempo: float = Field(1.0, ge=0.1, le=10)
    size: float = Field(1.0, ge=0.1, le=10)
    swapped: bool = False


class Augmentation(Section):
    """Copies of recorded runs as another person or watch would have made them (models/augmentation)."""

    copies: tuple[RunCopy, ...] = Field(
        (
            RunCopy(tempo=0.75, size=0.7),
            RunCopy(tempo=0.85),
            RunCopy(tempo=1.15),
            RunCopy(size=0.6),
            RunCopy(size=1.4),
        ),
        max_length=50,
    )
    weight: float = Field(0.5, gt=0, le=1)
    most_windows: int = Field(20_000, ge=0)

    @model_validator(mode="before")
    @classmethod
    def _of_random_copies(cls, given: object) -> object:
        """Settings of versions that drew copies at random: what stays the same, or the key that replaces one."""
        if not isinstance(given, dict):
            return given
        if given.get("copies") == 0:
            given = given | {"copies": []}
        drawn = sorted({"tempo", "size", "swapped"} & set(given))
        gone = sorted({"tempo_change", "size_change", "turn_degrees", "noise_g"} & set(given))
        if drawn or gone or isinstance(given.get("copies"), int):
            named = ", ".join([*drawn, *gone]) or "a number of copies"
            raise ValueError(
                f"copies are no longer drawn at random ({named}); list them in models.augmentation.copies, such as "
                "[{tempo: 0.75, size: 0.7}, {swapped: true}]"
            )
        return given


class Models(Section):
    """The model family of the classifier, what it learns from, and limits of a model that serves."""

    classifier: str = "trees_linear_and_network"
    augmentation: Augmentation = Augmentation()
    target_precision: float = Field(0.9, gt=0, lt=1)
    conformal_alpha: float = Field(0.1, gt=0, lt=1)
    max_megabytes: float = Field(50, gt=0)


class Faults(Section):
    """Shares of faults that the fleet has."""

    gap: float = Field(0.0, ge=0, le=1)
    late: float = Field(0.0, ge=0, le=1)
    duplicate: float = Field(0.0, ge=0, le=1)
    clock_skew: float = Field(0.0, ge=0, le=1)
    malformed: float = Field(0.0, ge=0, le=1)
    flat: float = Field(0.0, ge=0, le=1)


class Queue(Section):
    """Which windows are queued, and how many."""

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


class Labels(Section):
    """Names in Label Studio's labelling configuration: the question whose answer is the activity, and its window."""

    from_name: str = Field("activity", min_length=1)
    to_name: str = Field("window", min_length=1)


class Learning(Section):
    """Retraining and the gate."""

    base: str = "champion"
    family: str | None = None
    min_labels: int = Field(50, ge=1)
    label_weight: float = Field(1.0, gt=0, le=100)
    device_weight: float = Field(1.0, ge=1, le=100)
    span_weight: float = Field(1.0, ge=0, le=100)
    spread_windows: int = Field(0, ge=0, le=30)
    spread_weight: float = Field(0.5, gt=0, le=1)
    alpha: float = Field(0.025, gt=0, lt=0.5)
    bootstrap: int = Field(2000, ge=200)
    least_audit_labels: int = Field(60, ge=1)
    least_audit_people: int = Field(5, ge=2)
    class_guard: float = Field(0.1, ge=0, le=1)
    calibration_guard: float = Field(0.05, ge=0, le=1)
    slice_guard: float = Field(0.05, ge=0, le=1)
    least_slice_labels: int = Field(20, ge=1)
    least_windows_per_second: float = Field(500, ge=0)
    calibration_labels: int = Field(20, ge=20)
    calibration_half_life_days: float = Field(30, gt=0)


class Monitoring(Section):
    """Drift and alerts."""

    enabled: bool = True
    keep_days: float = Field(30, gt=0)
    look_back_minutes: float = Field(30, gt=0)
    least_windows: int = Field(300, ge=1)
    z_score: float = Field(6, gt=0)
    psi: float = Field(0.25, gt=0)
    features_share: float = Field(0.1, gt=0, le=1)
    class_shift: float = Field(0.3, gt=0, le=1)
    confidence_shift: float = Field(0.1, gt=0, le=1)
    thresholds: dict[str, float] = {}


class Days(Section):
    """Daily records."""

    zone: str = "UTC"
    inactive: tuple[str, ...] = ("sitting", "standing", "lying", "sleeping")
    store_days: int = Field(400, ge=1)

    @field_validator("zone")
    @classmethod
    def _is_a_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (KeyError, OSError, ValueError) as error:
            raise ValueError("must be the IANA name of a time zone, such as Europe/Berlin") from error
        return name


class Retention(Section):
    """How long each thing that grows is kept, in days; None: for ever."""

    predictions_days: int | None = Field(30, ge=2)
    lake_predictions_days: int | None = Field(None, ge=1)
    archive_days: int | None = Field(None, ge=2)
    dead_letters_days: int | None = Field(365, ge=1)
    replayed_dead_letters_days: int | None = Field(30, ge=1)
    dead_letters_megabytes: int | None = Field(2000, ge=1)
    queue_items_days: int | None = Field(90, ge=1)
    drift_alarms_days: int | None = Field(365, ge=1)
    runs_days: int | None = Field(365, ge=1)
    snapshots_days: int | None = Field(90, ge=1)
    batches_days: int | None = Field(90, ge=1)
    events_days: int | None = Field(30, ge=2)
    checkpoints_days: int | None = Field(30, ge=1)
    logs_days: int | None = Field(30, ge=1)
    models_days: int | None = Field(30, ge=1)


class Console(Section):
    """The web console."""

    host: str = "127.0.0.1"
    port: int = Field(18080, ge=1, le=65535)
    secret: SecretStr | None = None
    session_hours: float = Field(12, gt=0)
    items_per_hour_goal: int = Field(60, ge=1)
    sign_ins_per_minute: int = Field(10, ge=1)
    requests_per_minute: int = Field(3000, ge=1)
    request_seconds: float = Field(60, gt=0)
    windows_per_request: int = Field(2000, ge=1)
    prediction_log_megabytes: float = Field(20, ge=0)
    prediction_log_files: int = Field(5, ge=1)
    token_days: float | None = Field(None, gt=0, le=3650)
    trusted_proxies: list[str] = []

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, given: list[str]) -> list[str]:
        for one in networks(given):
            if ip_network(one).prefixlen == 0:
                raise ValueError(f"{one} is every address: a client could invent its own; name the proxies")
        return given


class Oidc(Section):
    """Single sign-on by OpenID Connect."""

    issuer: str | None = Field(None, pattern=r"^https?://[^\s?#]+$")
    client_id: str = "activity"
    client_secret: SecretStr | None = None
    scopes: str = Field("openid profile email", pattern=r"^(.* )?openid( .*)?$")
    name_claim: str = "preferred_username"
    role_claim: str = "roles"
    admins: list[str] = ["admin"]
    annotators: list[str] = ["annotator"]
    button: str = "Single sign-on"


class Airflow(Section):
    """Where Airflow is and how the embedded one runs."""

    uri: Address = "http://127.0.0.1:18090"
    user: str = Field("admin", pattern=r"^[A-Za-z0-9._@-]+$")
    password: SecretStr | None = None
    folder: str = ".local/airflow"
    workers: int = Field(2, ge=1, le=32)
    retrain: str | None = "0 3 * * *"
    drift: str | None = "30 * * * *"
    statistics: str | None = "0 4 * * 0"
    retention: str | None = "15 2 * * *"
    personas: str | None = "15 3 * * *"
    days: str | None = "30 1 * * *"
    warehouse: str | None = None
    labels_minutes: float = Field(10, gt=0)


class Fleet(Section):
    """The synthesised watches."""

    engine: Literal["dbldatagen", "spark"] = "dbldatagen"
    devices: int = Field(50, ge=1)
    seed: int = Field(1, ge=0)
    speed: float = Field(1.0, ge=0)
    readings_per_message: int = Field(10, ge=1, le=10)
    partitions: int = Field(2, ge=1)
    reference: str = "wisdm"
    faults: Faults = Faults()


class Reports(Section):
    """`activity report`: where it writes, and the synthesised history that it may begin with."""

    folder: str = "reports"
    source: Literal["devices", "synthetic"] = "synthetic"
    people: int = Field(1959, ge=10)
    days: int = Field(183, ge=35)
    seed: int = Field(1, ge=0)


class Local(Section):
    """The embedded stack."""

    folder: str = ".local"
    kafka_memory_megabytes: int = Field(512, ge=256)
    artifacts: str = ".local/mlflow"
    kafka_jars: str = "jars/kafka"
