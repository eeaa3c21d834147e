"""What the steps of a retraining return: the store and Airflow's XCom keep it as `model_dump(mode="json")`.

Results that version 0.1.0 stored are read as well: its names of the fields are validation aliases.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from pydantic import AliasChoices, AwareDatetime, BaseModel, ConfigDict, Field

from activitymodule.learning.gate import Check, ComparedFigures, Figures, LabelChange


class Options(BaseModel):
    """Options of a retraining. min_labels : new labels that make it worthwhile, None for learning.min_labels;
    seed : of the training and of the gate's bootstrap; challenger : a registered version that is judged, so that
    nothing is trained."""

    model_config = ConfigDict(frozen=True)

    min_labels: int | None = None
    force: bool = False
    dry_run: bool = False
    seed: int = 1
    require_approval: bool = False
    challenger: str | None = None


class Result(BaseModel):
    """The result of a step."""

    model_config = ConfigDict(frozen=True, populate_by_name=True)


def _summary() -> Any:
    return Field(validation_alias=AliasChoices("summary", "says"))


class Reason(StrEnum):
    """Why the check lets a run go on, or ends it."""

    FORCED = "forced"
    ENOUGH_LABELS = "enough_labels"
    DRIFT = "drift"
    NO_CHAMPION = "no_champion"
    NOTHING_TO_LEARN = "nothing_to_learn"
    NOT_ENOUGH_AUDIT = "not_enough_audit"
    NOT_ENOUGH_LABELS = "not_enough_labels"
    ENDED = "ended"
    UNKNOWN = "unknown"


class CheckResult(Result):
    """Whether a retraining is worthwhile, and the numbers of labels behind that.

    labels : new ones that a challenger may learn from; labels_in_all : new or not; spans : what windows under spans are
    worth of these; champion : the version that
    serves, None without one; drift : the summary of drift monitoring where it recommends a retraining
    """

    needed: bool
    summary: str = _summary()
    reason: Reason = Reason.UNKNOWN
    champion: str | None = None
    labels: int = 0
    labels_in_all: int = 0
    spans: int = 0
    audit_labels: int = 0
    audit_people: int = 0
    verdicts_on_same_labels: int = Field(
        0, validation_alias=AliasChoices("verdicts_on_same_labels", "judged_before")
    )
    disputed: int = 0
    without_features: int = 0
    other_features: int = 0
    drift: str | None = None


class Base(Result):
    """What the champion learned from besides labels, as its lineage describes it (further keys of the lineage are
    kept). setting : learning.base; same : whether it was made again bit by bit, None where that is not known."""

    model_config = ConfigDict(frozen=True, populate_by_name=True, extra="allow")

    summary: str = _summary()
    setting: str = "champion"
    source: str
    sha256: str | None = None
    same: bool | None = None

    def lineage(self) -> dict[str, Any]:
        """The part of it that belongs to the lineage of a model."""
        return self.model_dump(mode="json", exclude={"summary", "setting", "same"}, exclude_none=True)


class SnapshotResult(Result):
    """The training set. windows, labels, people : how many; spread : windows that labels were spread to; span_windows :
    windows under spans; left_out : reason -> labels and windows under spans; labels_added : activities the base did not
    know; newest_label : when it was given."""

    snapshot_id: str
    place: str
    written: bool
    windows: int
    labels: int
    people: int
    spread: int = 0
    span_windows: int = 0
    left_out: dict[str, int] = {}
    labels_added: tuple[str, ...] = ()
    newest_label: AwareDatetime | None = None
    features_version: str = ""
    base: Base


class TrainingResult(Result):
    """The challenger, by its version, and its figures on held-out people. family : `learning.family`"""

    challenger: str
    seed: int = 0
    family: str | None = None
    metrics: dict[str, float] = {}


class Side(Result):
    """One of the two models of an evaluation. refusal : why it does not serve; too_large : in a sentence."""

    version: str
    labels: tuple[str, ...] = ()
    megabytes: float = 0.0
    windows_per_second: float = 0.0
    refusal: str | None = None
    too_large: str | None = None
    sha256: str = ""  # of its files, where it may be loaded


class EvaluationResult(Result):
    """Both models on the audit windows. audit_until : when the newest audit label was given; place : of the
    probabilities, within the lake."""

    champion: Side
    challenger: Side
    audit_labels: int
    audit_people: int
    audit_until: AwareDatetime | None = None
    place: str


class GateResult(Result):
    """The verdict of the gate, with every figure and every check."""

    at: datetime
    verdict: Literal["promote", "reject"]
    summary: str = _summary()
    champion: str
    challenger: str
    sha256: str = ""  # of the challenger's files; empty in results of earlier versions of this project
    figures: ComparedFigures | Figures = Field(union_mode="left_to_right")
    checks: tuple[Check, ...] = ()

    @property
    def per_label(self) -> dict[str, LabelChange]:
        """Figures by activity; none where the models were not compared."""
        return self.figures.per_label if isinstance(self.figures, ComparedFigures) else {}


State = Literal["running", "waiting", "promoted", "rejected", "unneeded", "failed"]


class PromotionResult(Result):
    """How a run ended, or that it waits for approval; version : the challenger's."""

    state: State
    summary: str | None = _summary()
    version: str | None = None


class Steps(BaseModel):
    """The results of the steps that are done."""

    model_config = ConfigDict(frozen=True)

    check: CheckResult | None = None
    snapshot: SnapshotResult | None = None
    train: TrainingResult | None = None
    evaluate: EvaluationResult | None = None
    gate: GateResult | None = None


class Report(BaseModel):
    """Everything that is known of a run. progress : from 0 to 1; times are UTC."""

    model_config = ConfigDict(frozen=True)

    run_id: str
    state: State
    summary: str | None
    started_at: AwareDatetime
    finished_at: AwareDatetime | None
    started_by: str
    why: str
    step: str
    progress: float
    snapshot_id: str | None
    challenger: str | None
    options: Options = Options()
    steps: Steps = Steps()
