"""The thresholds of the champion for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric

from activitymodule.errors import ModelError, ServiceUnavailableError
from activitymodule.models.thresholds import Thresholds, read_thresholds
from activitymodule.registry.versions import fetch
from activitymodule.serving.record import serving_version
from activitymodule.settings import Settings


def champion_thresholds(config: Settings) -> Thresholds | None:
    """Those of the version that serves; None where it has none, or cannot be read now."""
    try:
        version = serving_version(config, config.registry.classifier)
        return None if version is None else read_thresholds(fetch(config, version))
    except (ModelError, ServiceUnavailableError):
        return None


def threshold_figures(thresholds: Thresholds | None) -> Iterator[Metric]:
    """By activity: the least confidence of a decided prediction, and the share of its windows that reach it."""
    if thresholds is None:
        return
    least = GaugeMetricFamily(
        "activity_threshold_confidence",
        "Least confidence of a decided prediction of the champion; none where no confidence is precise enough",
        labels=["activity"],
    )
    recall = GaugeMetricFamily(
        "activity_threshold_recall",
        "Share of the windows of held-out people that the champion decides rightly",
        labels=["activity"],
    )
    for label, one in thresholds.activities.items():
        recall.add_metric([label], one.recall)
        if one.confidence is not None:
            least.add_metric([label], one.confidence)
    yield least
    yield recall
