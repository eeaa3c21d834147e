"""The table of features: names, units and meanings, in the order in which windows.features computes them."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

FEATURES_VERSION = "1"
"""Raised by one with every change of a feature's name, order, or value beyond rounding; models name it."""

AXES = ("x", "y", "z")
STATISTICS_CHANNELS = (*AXES, "magnitude")
SPECTRUM_CHANNELS = (*AXES, "magnitude", "vertical", "sum")
BAND_EDGES_HZ = (0.05, 0.35, 0.75, 1.25, 1.75, 2.25, 2.75, 3.5, 4.25, 5.01)
LAGS_SECONDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0)
PEAK_LAGS_SECONDS = (0.3, 2.2)
LEAST_DOMINANT_HZ = 0.3
STILL_M_S2 = (0.05, 0.1, 0.2, 0.5)

_TEXT = {
    "x": "x",
    "y": "y",
    "z": "z",
    "magnitude": "the magnitude",
    "vertical": "the vertical part",
    "sum": "x, y, z added up",
}
_QUANTILES = {"min": "least", "q10": "10 %", "q25": "25 %", "q50": "median", "q75": "75 %", "q90": "90 %"}
_QUANTILES["max"] = "greatest"


@dataclass(frozen=True)
class Feature:
    """One feature: its name, family, unit ('' where it has none) and meaning."""

    name: str
    family: str
    unit: str
    meaning: str


class _Family:
    """Collects the features of one family; names start with the family's."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.features: list[Feature] = []

    def add(self, name: str, unit: str, meaning: str) -> None:
        self.features.append(Feature(f"{self.name}_{name}", self.name, unit, meaning))

    def each(self, channels: tuple[str, ...], name: str, unit: str, meaning: str) -> None:
        """One feature a channel; {} in the meaning stands for the channel."""
        for channel in channels:
            self.add(f"{channel}_{name}", unit, meaning.format(_TEXT[channel]))


def _statistics() -> list[Feature]:
    family, channels = _Family("statistics"), STATISTICS_CHANNELS
    family.each(channels, "log_sd", "ln m/s2", "logarithm of the standard deviation of {}")
    family.each(channels, "iqr", "m/s2", "interquartile range of {}")
    family.each(channels, "mean_absolute_deviation", "m/s2", "mean distance of {} from its mean")
    family.each(channels, "kurtosis", "", "fourth standardised moment of {}, at most 50")
    family.each(channels, "crossing_rate", "", "share of slots at which {} crosses its mean")
    family.add("magnitude_mean", "m/s2", "mean of the magnitude")
    for q in ("05", "25", "50", "75", "95"):
        family.add(f"magnitude_q{q}", "m/s2", f"{int(q)} % quantile of the magnitude")
    family.add("magnitude_min", "m/s2", "least magnitude")
    family.add("magnitude_max", "m/s2", "greatest magnitude")
    family.add("magnitude_skewness", "", "third standardised moment of the magnitude")
    return family.features


def _direction() -> list[Feature]:
    family = _Family("direction")
    family.each(AXES, "absolute_mean", "m/s2", "size of the mean of {}")
    family.each(AXES, "absolute_cosine", "", "size of the cosine between gravity and {}")
    family.add("yz_size", "m/s2", "mean acceleration across the forearm: hypot of the means of y and z")
    family.add("size", "m/s2", "size of the mean acceleration; near 9.8 where the watch does not turn")
    return family.features


def _jerk() -> list[Feature]:
    family = _Family("jerk")
    family.each(AXES, "log_sd", "ln m/s3", "logarithm of the standard deviation of the jerk of {}")
    family.add("magnitude_log_sd", "ln m/s3", "logarithm of the standard deviation of the magnitude's jerk")
    family.add("size_log_mean", "ln m/s3", "logarithm of the mean size of the jerk")
    for q in ("10", "25", "50", "75", "90"):
        family.add(f"size_log_q{q}", "ln m/s3", f"logarithm of the {q} % quantile of the size of the jerk")
    family.add("size_log_max", "ln m/s3", "logarithm of the greatest size of the jerk")
    family.each(
        AXES, "log_sd_ratio", "ln 1/s", "logarithm of: sd of the jerk of {} by sd of its acceleration"
    )
    return family.features


def _gravity() -> list[Feature]:
    family = _Family("gravity")
    for name, text in {"mean": "mean", "median": "median", "q90": "90 %", "max": "greatest"}.items():
        meaning = f"logarithm of .01 + angle between the 1 s mean acceleration and gravity: {text}"
        family.add(f"angle_log_{name}", "ln degrees", meaning)
    family.add("log_path", "ln m/s2", "logarithm of the path length of the 1 s mean acceleration")
    family.each(AXES, "log_sd", "ln m/s2", "logarithm of the standard deviation of the 1 s mean of {}")
    family.add("log_drift", "ln m/s2", "logarithm of how far the last 1 s mean lies from the first")
    return family.features


def _stillness() -> list[Feature]:
    family = _Family("stillness")
    for name in ("min", "q25", "q50", "q75", "max"):
        meaning = f"logarithm of the spread within blocks of 1 s: {_QUANTILES[name]}"
        family.add(f"log_sd_{name}", "ln m/s2", meaning)
    family.add("log_sd_sd", "ln m/s2", "standard deviation of that logarithm over the blocks")
    for limit in STILL_M_S2:
        name = f"share_below_{round(limit * 100):03d}"
        family.add(name, "", f"share of blocks with a spread under {limit} m/s2")
    return family.features


def _vertical() -> list[Feature]:
    family = _Family("vertical")
    family.add("log_sd", "ln m/s2", "logarithm of the standard deviation of the movement along gravity")
    family.add("horizontal_log_sd", "ln m/s2", "the same, of the size of the movement across gravity")
    family.add("to_horizontal", "", "logarithm of: sd along gravity by root mean square across it")
    for name, text in _QUANTILES.items():
        family.add(name, "m/s2", f"movement along gravity: {text}")
    for name, text in list(_QUANTILES.items())[1:]:
        family.add(f"horizontal_{name}", "m/s2", f"size of the movement across gravity: {text}")
    family.add("skewness", "", "third standardised moment of the movement along gravity")
    return family.features


def _covariance() -> list[Feature]:
    family = _Family("covariance")
    for pair in ("xy", "xz", "yz"):
        family.add(f"{pair}_absolute_correlation", "", f"size of the correlation of {pair[0]} and {pair[1]}")
    for name in ("least", "middle", "largest"):
        family.add(f"log_{name}", "ln m2/s4", f"logarithm of the {name} eigenvalue of the covariance matrix")
    for name in ("least", "middle", "largest"):
        family.add(f"share_{name}", "", f"share of the {name} eigenvalue in their sum")
    family.each(AXES, "log_share", "", "logarithm of the share of {} in the sum of the standard deviations")
    return family.features


def _spectrum() -> list[Feature]:
    family, channels = _Family("spectrum"), SPECTRUM_CHANNELS
    bands = tuple(enumerate(itertools.pairwise(BAND_EDGES_HZ), 1))
    for channel in channels:
        for number, (low, high) in bands:
            meaning = f"logarithm of the power of {_TEXT[channel]} from {low} to {min(high, 5.0)} Hz"
            family.add(f"{channel}_log_power_band{number}", "ln m2/s4", meaning)
    for channel in channels:
        for number, (low, high) in bands:
            meaning = f"share of the power of {_TEXT[channel]} that is from {low} to {min(high, 5.0)} Hz"
            family.add(f"{channel}_share_band{number}", "", meaning)
    family.each(channels, "entropy", "", "spectral entropy of {}: 0 one frequency, 1 all alike")
    family.each(channels, "centroid", "Hz", "mean frequency of {}, weighted by power")
    family.each(channels, "dominant", "Hz", "frequency of {} with the most power, from .3 Hz on")
    family.each(channels, "dominant_share", "", "share of the power of {} at its dominant frequency")
    near = "share of the power of {} within .1 Hz (at least one bin) of "
    for k, text in ((1, "its dominant frequency"), (2, "twice that"), (3, "three times that")):
        family.each(channels, f"harmonic{k}", "", near + text)
    family.each(channels, "half", "", near + "half its dominant frequency")
    return family.features


def _autocorrelation() -> list[Feature]:
    family, channels = _Family("autocorrelation"), SPECTRUM_CHANNELS
    peak = "highest peak of the autocorrelation of {} from .3 to 2.2 s; -1 without a peak"
    family.each(channels, "peak", "", peak)
    family.each(channels, "peak_lag", "s", "lag of that peak of {}; 0 without a peak")
    family.each(channels, "first_lag", "s", "lag of the first peak of {}; 0 without a peak")
    family.each(channels, "min", "", "least autocorrelation of {} from .3 to 2.2 s")
    for channel in channels[3:]:
        for lag in LAGS_SECONDS:
            name = f"{channel}_at_{round(lag * 1000)}_ms"
            family.add(name, "", f"autocorrelation of {_TEXT[channel]} at {lag} s")
    return family.features


def _rotation() -> list[Feature]:
    family = _Family("rotation")
    family.each(
        AXES, "log_sd", "ln rad/s", "logarithm of the standard deviation of the rotation rate about {}"
    )
    family.add("size_mean", "rad/s", "mean size of the rotation rate")
    family.add("size_log_sd", "ln rad/s", "logarithm of the standard deviation of its size")
    family.add("size_median", "rad/s", "median size of the rotation rate")
    family.add("size_max", "rad/s", "greatest size of the rotation rate")
    family.add("dominant", "Hz", "frequency with the most power, axes added up, from .3 Hz on")
    family.add("dominant_share", "", "share of the power at it")
    family.add("entropy", "", "spectral entropy, axes added up")
    family.add("centroid", "Hz", "mean frequency, weighted by power, axes added up")
    return family.features


def _beside_motion() -> list[Feature]:
    heart, steps, speed = _Family("heart"), _Family("steps"), _Family("speed")
    heart.add("mean", "bpm", "mean heart rate")
    heart.add("sd", "bpm", "its standard deviation")
    heart.add("min", "bpm", "least heart rate")
    heart.add("max", "bpm", "greatest heart rate")
    heart.add("slope", "bpm/min", "slope of a straight line through it; needs two readings")
    steps.add("total", "steps", "steps in the window")
    steps.add("per_minute", "steps/min", "steps by the time that the readings with steps cover")
    speed.add("mean", "m/s", "mean ground speed")
    speed.add("max", "m/s", "greatest ground speed")
    return heart.features + steps.features + speed.features


FEATURES: tuple[Feature, ...] = (
    *_statistics(),
    *_direction(),
    *_jerk(),
    *_gravity(),
    *_stillness(),
    *_vertical(),
    *_covariance(),
    *_spectrum(),
    *_autocorrelation(),
    *_rotation(),
    *_beside_motion(),
)
FEATURE_NAMES: tuple[str, ...] = tuple(f.name for f in FEATURES)
FAMILIES: tuple[str, ...] = tuple(dict.fromkeys(f.family for f in FEATURES))
COLUMNS: dict[str, slice] = {
    family: slice(
        min(i for i, f in enumerate(FEATURES) if f.family == family),
        max(i for i, f in enumerate(FEATURES) if f.family == family) + 1,
    )
    for family in FAMILIES
}
"""Where each family stands in the matrix of features."""
