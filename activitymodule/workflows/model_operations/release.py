"""The check of a release: whether a model version may serve, condition by condition; the gate and promotions ask it."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from activitymodule.errors import ModelError, ReleaseBlockedError
from activitymodule.learning.gate.verdict import Check, Verdict
from activitymodule.models.kinds import KINDS
from activitymodule.registry.versions import ModelVersion, get, versions
from activitymodule.serving.record import names, serving_version
from activitymodule.settings import Settings
from activitymodule.workflows.model_operations import release_checks
from activitymodule.workflows.model_operations.release_checks import Subject


class ReleaseReport(BaseModel):
    """Every condition with its message and figures; passed : whether all hold."""

    model_config = ConfigDict(frozen=True)

    name: str
    version: str
    passed: bool
    checks: tuple[Check, ...]

    def failed(self) -> tuple[Check, ...]:
        """The conditions that do not hold."""
        return tuple(check for check in self.checks if not check.passed)


def check_release(config: Settings, kind: str = "activity", version: str | None = None) -> ReleaseReport:
    """Check a version: its number, `latest`, or the champion where None.

    Raises ModelError where there is none, ServiceUnavailableError where store or registry do not answer.
    """
    name = names(config)[kind]
    return check_version(config, kind, _version(config, name, version))


def _version(config: Settings, name: str, version: str | None) -> ModelVersion:
    if version is None:
        found = serving_version(config, name)
        if found is None:
            raise ModelError(f"{name} has no champion yet; name a version, or train one")
        return get(config, name, found.version)
    if version == "latest":
        known = versions(config, name)
        if not known:
            raise ModelError(f"the registry has no version of {name}; train one")
        return known[0]
    return get(config, name, version)


def check_version(config: Settings, kind: str, version: ModelVersion) -> ReleaseReport:
    """The same for a version of a kind."""
    subject = Subject.of(config, kind, version)
    checks = [release_checks.loads(subject)]
    if subject.found is not None:
        wanted = release_checks.OF_ALL + (release_checks.OF_WINDOWS if KINDS[kind].of_windows else ())
        wanted += release_checks.OF_CLASSIFIERS if kind == "activity" else ()
        checks += [_done(one.__name__, one, subject) for one in wanted]
    return ReleaseReport(
        name=version.name,
        version=version.version,
        passed=all(check.passed for check in checks),
        checks=tuple(checks),
    )


def _done(name: str, one: release_checks.Condition, subject: Subject) -> Check:
    try:
        return one(subject)
    except (ModelError, OSError, ValueError) as error:
        return Check(name=name, passed=False, message=str(error).splitlines()[0])


def require_release(report: ReleaseReport, because: str) -> str:
    """What the record says of a release that was overridden; empty where all conditions hold.

    Raises ReleaseBlockedError where one does not, and there is no reason.
    """
    failed = report.failed()
    if not failed:
        return ""
    told = "; ".join(f"{check.name}: {check.message}" for check in failed)
    if not because.strip():
        raise ReleaseBlockedError(
            f"version {report.version} of {report.name} fails the release check ({told}); it is promoted all the same "
            "only with a reason, which is kept"
        )
    return f"in spite of the release check ({told}), because {because.strip()}"


def with_release(verdict: Verdict, report: ReleaseReport) -> Verdict:
    """The gate's verdict with the conditions of a release that it has not: a challenger that fails one is rejected."""
    own = {check.name for check in verdict.checks}
    further = tuple(check for check in report.checks if check.name not in own)
    failed = [check for check in further if not check.passed]
    if not failed:
        return verdict.model_copy(update={"checks": verdict.checks + further})
    told = "; ".join(check.message for check in failed)
    summary = verdict.summary if not verdict.promote else f"version {verdict.challenger} is rejected: {told}"
    return verdict.model_copy(
        update={"checks": verdict.checks + further, "promote": False, "summary": summary}
    )
