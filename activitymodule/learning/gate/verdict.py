"""The verdict of the gate, with its checks and figures; stored as `model_dump(mode="json")`, read by validation."""

from __future__ import annotations

from pydantic import AliasChoices, BaseModel, ConfigDict, Field


class Stored(BaseModel):
    """A part of a stored verdict; validation takes the names of version 0.1.0 as well."""

    model_config = ConfigDict(frozen=True, populate_by_name=True)


class Check(Stored):
    """One condition: whether it holds, in a sentence, with its figures."""

    name: str
    passed: bool
    message: str = Field(validation_alias=AliasChoices("message", "says"))
    figures: dict[str, int | float | list[str]] = {}


class Sides(Stored):
    """One figure of both models."""

    champion: float
    challenger: float


class ChangedSides(Sides):
    """One figure of both models, and the difference challenger - champion as in `bootstrap.Change`."""

    value: float
    se: float
    low: float
    high: float
    p: float
    percentile_low: float


class LabelChange(Stored):
    """One activity of the audit windows.

    champion, challenger : recall; *_hits : weight of the windows found; *_f1 : F1; high : upper bound of the change
    of F1 over people
    """

    windows: int
    people: int
    champion: float
    challenger: float
    champion_hits: float
    challenger_hits: float
    champion_f1: float
    challenger_f1: float
    high: float


class SliceChange(Sides):
    """One group of the audit windows, such as a device model: accuracy of both models.

    kind : what the group is of; high : upper bound of the change over people; *_ece : expected calibration error
    """

    kind: str
    name: str
    windows: int
    people: int
    champion_ece: float
    challenger_ece: float
    high: float


class Figures(Stored):
    """Size of the audit; verdicts_on_same_labels : earlier ones by most of the same labels."""

    labels: int
    people: int
    verdicts_on_same_labels: int = Field(
        0, validation_alias=AliasChoices("verdicts_on_same_labels", "judged_before")
    )


class ComparedFigures(Figures):
    """All figures of a comparison over resampled people.

    alpha : as adjusted for earlier verdicts; per_label : activities of the audit that either model knows;
    unknown_to_both : labels that neither does; slices : groups of the audit windows
    """

    effective_people: float
    alpha: float
    resamples: int
    macro_f1: ChangedSides
    accuracy: Sides
    ece: ChangedSides
    per_label: dict[str, LabelChange]
    unknown_to_both: tuple[str, ...] = ()
    slices: tuple[SliceChange, ...] = ()


class Verdict(Stored):
    """Whether the challenger may serve, with every check and figure; champion, challenger : versions."""

    promote: bool
    summary: str = Field(validation_alias=AliasChoices("summary", "says"))
    champion: str
    challenger: str
    checks: tuple[Check, ...]
    figures: ComparedFigures | Figures = Field(union_mode="left_to_right")

    def reasons(self) -> tuple[str, ...]:
        """Messages of the checks that failed."""
        return tuple(check.message for check in self.checks if not check.passed)


def same_labels_note(count: int) -> str:
    """How many verdicts most of the same audit labels were used for, in words."""
    times = "1 earlier verdict" if count == 1 else f"{count} earlier verdicts"
    return f"most of these audit labels were used for {times}"
