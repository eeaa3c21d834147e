"""How real synthetic recordings are: measures that a generator cannot please all at once.

- C2ST (classifier two-sample test; Lopez-Paz and Oquab 2017): how well a classifier tells synthetic from real
  windows, on people it has not seen; AUC .5 is chance, 1 is certain.
- TSTR against TRTR (train on synthetic or on real, test on real; Esteban et al. 2017): macro-F1 of our own
  activity classifier on people who are in neither training set.
- Error of the autocorrelation, and the Kolmogorov-Smirnov distance of each axis' distribution.
- Copying: whether synthetic windows lie nearer to real ones than real ones of another minute do.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from activitymodule import settings
from activitymodule.errors import DataError
from activitymodule.statistics.profile import RATE_HZ
from activitymodule.statistics.recordings import Recording, select
from activitymodule.telemetry.gravity import STANDARD_GRAVITY

WINDOW = 10 * RATE_HZ
_CHANNELS = "xyzm"
_BANDS_HZ = ((0.05, 0.5), (0.5, 1.2), (1.2, 2.2), (2.2, 3.3), (3.3, 5.1))
_LAGS = 30
FOLDS = 4


@dataclass(frozen=True)
class Windowed:
    """Windows cut from recordings: values (n, 100, 3) in g, activity (n,) and person (n,) of each."""

    values: np.ndarray
    activity: np.ndarray
    person: np.ndarray

    def __len__(self) -> int:
        return len(self.values)


def cut(recordings: Sequence[Recording], hop: int = WINDOW) -> Windowed:
    """Windows of 10 s, one every `hop` samples."""
    values, activity, person = [], [], []
    for r in recordings:
        starts = np.arange(0, len(r.acceleration) - WINDOW + 1, hop)
        if len(starts):
            values.append(np.asarray(r.acceleration, np.float32)[starts[:, None] + np.arange(WINDOW)])
            activity += [r.activity] * len(starts)
            person += [r.person] * len(starts)
    if not values:
        raise DataError("no recording is as long as a window of 10 s")
    return Windowed(np.concatenate(values), np.array(activity), np.array(person))


def describe(windows: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Descriptive features of windows (n, 100, 3) in g, for telling data sets apart: (n, n_features) and names.

    Levels, spread, shape, quantiles, jerk, spectrum, autocorrelation, correlation and unsteadiness. Unlike the
    features the models see, these keep the signs of the axes and leave nothing out on purpose.
    """
    w = windows.astype(np.float64) * STANDARD_GRAVITY
    n, length, _ = w.shape
    s = np.concatenate([w, np.linalg.norm(w, axis=2, keepdims=True)], axis=2)
    mean, sd = s.mean(axis=1), s.std(axis=1) + 1e-9
    c = s - mean[:, None]
    columns: list[np.ndarray] = []
    names: list[str] = []

    def put(name: str, values: np.ndarray) -> None:
        columns.append(values)
        names.extend(f"{name}_{_CHANNELS[i] if values.shape[1] == 4 else i}" for i in range(values.shape[1]))

    put("mean", mean)
    put("log_sd", np.log(sd))
    put("skewness", (c**3).mean(axis=1) / sd**3)
    put("kurtosis", (c**4).mean(axis=1) / sd**4)
    for q in (0, 10, 25, 50, 75, 90, 100):
        put(f"quantile{q}", np.percentile(s, q, axis=1) - (0 if q == 50 else mean))
    steps = np.abs(np.diff(s, axis=1))
    put("log_step_mean", np.log(steps.mean(axis=1) + 1e-6))
    put("log_step_max", np.log(steps.max(axis=1) + 1e-6))
    power = np.abs(np.fft.rfft(c * np.hanning(length)[None, :, None], axis=1)) ** 2
    frequency = np.fft.rfftfreq(length, 1 / RATE_HZ)
    total = power[:, 1:].sum(axis=1) + 1e-12
    for low, high in _BANDS_HZ:
        inside = (frequency >= low) & (frequency < high)
        put(f"log_band{low}", np.log10(power[:, inside].sum(axis=1) / total + 1e-6))
    put("dominant_hz", frequency[1:][power[:, 1:].argmax(axis=1)])
    share = power[:, 1:] / total[:, None]
    put("entropy", -(share * np.log(share + 1e-12)).sum(axis=1))
    put("peak_share", share.max(axis=1))
    r = np.fft.irfft(np.abs(np.fft.rfft(c, 2 * length, axis=1)) ** 2, axis=1)[:, :length]
    r = r / (r[:, :1] + 1e-12)
    put("autocorrelation_peak", r[:, 4:25].max(axis=1))
    put("autocorrelation_lag", r[:, 4:25].argmax(axis=1) + 4.0)
    put("autocorrelation1", r[:, 1])
    for a, b in ((0, 1), (0, 2), (1, 2)):
        put(f"correlation{a}{b}", ((c[:, :, a] * c[:, :, b]).mean(axis=1) / (sd[:, a] * sd[:, b]))[:, None])
    parts = s.reshape(n, 5, 20, 4)
    put("unsteady_mean", np.log(parts.mean(axis=2).std(axis=1) + 1e-6))
    put("unsteady_sd", np.log(parts.std(axis=2) + 1e-4).std(axis=1))
    return np.nan_to_num(np.concatenate(columns, axis=1)).astype(np.float32), names


def macro_f1(truth: np.ndarray, guess: np.ndarray) -> float:
    """Mean over the activities of `truth` of the F1 score."""
    scores = []
    for name in np.unique(truth):
        hit = np.sum((truth == name) & (guess == name))
        scores.append(2 * hit / (np.sum(truth == name) + np.sum(guess == name)))
    return float(np.mean(scores))


# telling apart


@dataclass(frozen=True)
class ToldApart:
    """auc: of the classifier two-sample test; by_activity: of the same scores within an activity; telling: the
    features it looked at most, with their share of the gain."""

    auc: float
    by_activity: dict[str, float]
    telling: tuple[tuple[str, float], ...]


def tell_apart(real: Sequence[Recording], synthetic: Sequence[Recording], *, folds: int = FOLDS) -> ToldApart:
    """The classifier two-sample test, grouped by person: LightGBM on `describe`, windows half overlapping."""
    import lightgbm
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import GroupKFold

    a, b = cut(real, WINDOW // 2), cut(synthetic, WINDOW // 2)
    features_a, names = describe(a.values)
    features_b, _ = describe(b.values)
    X = np.concatenate([features_a, features_b])
    y = np.r_[np.ones(len(a)), np.zeros(len(b))]
    person = np.concatenate([a.person, b.person])
    activity = np.concatenate([a.activity, b.activity])
    folds = min(folds, len(np.unique(a.person)), len(np.unique(b.person)))
    if folds < 2:
        raise DataError("telling real from synthetic needs at least two people on either side")
    score, gain = np.zeros(len(y)), np.zeros(X.shape[1])
    for train, test in GroupKFold(folds).split(X, y, person):
        model = lightgbm.LGBMClassifier(
            n_estimators=120,
            num_leaves=15,
            learning_rate=0.08,
            subsample=0.8,
            subsample_freq=1,
            colsample_bytree=0.5,
            n_jobs=1,
            verbose=-1,
            random_state=0,
            importance_type="gain",
        ).fit(X[train], y[train])
        score[test] = model.booster_.predict(X[test])
        gain += model.feature_importances_
    order = gain.argsort()[::-1][:12]
    by_activity = {
        str(name): float(roc_auc_score(y[activity == name], score[activity == name]))
        for name in np.unique(activity)
        if len(np.unique(y[activity == name])) == 2
    }
    return ToldApart(
        float(roc_auc_score(y, score)),
        by_activity,
        tuple((names[i], float(gain[i] / gain.sum())) for i in order),
    )


# transfer


@dataclass(frozen=True)
class Transfer:
    """Macro-F1 on real people in neither training set: tstr after training on synthetic windows, trtr after
    training on the same number of real ones."""

    tstr: float
    trtr: float

    @property
    def ratio(self) -> float:
        return self.tstr / self.trtr


def model_features(windows: Windowed) -> np.ndarray:
    """(n, n_features) what our activity classifier sees of windows."""
    from activitymodule.models.activity import feature_names
    from activitymodule.windows.assembling import WindowBatch
    from activitymodule.windows.catalogue import FEATURE_NAMES
    from activitymodule.windows.features import features
    from activitymodule.windows.packing import CHANNELS

    n = len(windows)
    grid = np.full((n, WINDOW, len(CHANNELS)), np.nan, np.float32)
    grid[:, :, :3] = windows.values
    batch = WindowBatch(
        grid=grid,
        coverage=np.ones(n, np.float32),
        readings_used=np.full(n, WINDOW, np.int32),
        duplicates=np.zeros(n, np.int32),
        newest_us=np.zeros(n, np.int64),
    )
    seen = features(batch, settings.Windows(length_seconds=10, slide_seconds=10, rate_hz=RATE_HZ))
    return np.asarray(seen[:, [FEATURE_NAMES.index(name) for name in feature_names()]])


def train_and_test(train: Sequence[Recording], test: Sequence[Recording]) -> float:
    """Macro-F1 on `test` of our activity classifier trained on `train`."""
    from activitymodule.models.activity import activity_pipeline

    known, asked = cut(train), cut(test)
    model = activity_pipeline().fit(model_features(known), known.activity)
    return macro_f1(asked.activity, model.predict(model_features(asked)))


# marginals and autocorrelation


def _pooled(recordings: Sequence[Recording], activity: str) -> np.ndarray:
    return np.concatenate([r.acceleration for r in recordings if r.activity == activity])


def shared_activities(a: Sequence[Recording], b: Sequence[Recording]) -> list[str]:
    """Activities that both have."""
    shared = sorted({r.activity for r in a} & {r.activity for r in b})
    if not shared:
        raise DataError("the two data sets have no activity in common")
    return shared


def marginal_distance(real: Sequence[Recording], synthetic: Sequence[Recording]) -> dict[str, float]:
    """Kolmogorov-Smirnov distance of each activity: people pooled, mean of the three axes."""
    from scipy.stats import ks_2samp

    distance = {}
    for name in shared_activities(real, synthetic):
        a, b = _pooled(real, name), _pooled(synthetic, name)
        distance[name] = float(np.mean([ks_2samp(a[:, c], b[:, c]).statistic for c in range(3)]))
    return distance


def autocorrelation(x: np.ndarray, lags: int = _LAGS) -> np.ndarray:
    """(lags, 3) autocorrelation of x (n, 3) at lags of 1 .. `lags` samples."""
    c = np.asarray(x, float) - np.mean(x, axis=0, dtype=float)
    n = len(c)
    r = np.stack([(c[: n - lag] * c[lag:]).sum(axis=0) for lag in range(lags + 1)])
    return np.asarray(r[1:] / (r[0] + 1e-12))


def autocorrelation_error(
    real: Sequence[Recording], synthetic: Sequence[Recording]
) -> tuple[dict[str, float], bool]:
    """Mean absolute error of the autocorrelation up to 3 s, by activity, and whether it is person by person.

    Where both data sets hold the same people: the mean over people of their own error. Else the error of the
    mean autocorrelation over people.
    """
    errors = {}
    matched = {(r.person, r.activity) for r in real} & {(r.person, r.activity) for r in synthetic}
    for name in shared_activities(real, synthetic):
        a = {r.person: autocorrelation(r.acceleration) for r in real if r.activity == name}
        b = {r.person: autocorrelation(r.acceleration) for r in synthetic if r.activity == name}
        if matched:
            both = sorted(a.keys() & b.keys())
            if both:
                errors[name] = float(np.mean([np.abs(a[p] - b[p]).mean() for p in both]))
        else:
            difference = np.mean(list(a.values()), axis=0) - np.mean(list(b.values()), axis=0)
            errors[name] = float(np.abs(difference).mean())
    return errors, bool(matched)


# copying


@dataclass(frozen=True)
class Copying:
    """Distances to the nearest real window, as ratios synthetic / real, where real is one minute of a recording
    against the other minute and all other people: 1 is alike, well under 1 would be copying.

    features_*: in standardised descriptive features, over windows of all people. signal_*: root mean square
    distance of the bare signals at every offset, same person and activity. nearest: ratio of the 1 % quantiles
    (the closest calls), median: ratio of the medians.
    """

    features_median: float
    features_nearest: float
    signal_median: float
    signal_nearest: float


def _nearest(points: np.ndarray, among: np.ndarray) -> np.ndarray:
    from sklearn.neighbors import NearestNeighbors

    return np.asarray(NearestNeighbors(n_neighbors=1).fit(among).kneighbors(points)[0][:, 0])


def _signal_distances(windows: np.ndarray, series: np.ndarray) -> np.ndarray:
    """Least root mean square distance (g) of each window (n, 100, 3) to a series (m, 3), over all offsets."""
    slices = np.lib.stride_tricks.sliding_window_view(series, WINDOW, axis=0)  # (m - 99, 3, 100)
    slices = np.swapaxes(slices, 1, 2).reshape(len(slices), -1)
    flat = windows.reshape(len(windows), -1)
    square = (flat**2).sum(1)[:, None] + (slices**2).sum(1)[None] - 2 * flat @ slices.T
    return np.asarray(np.sqrt(np.maximum(square.min(axis=1), 0) / flat.shape[1]))


def copying(real: Sequence[Recording], synthetic: Sequence[Recording]) -> Copying:
    """Whether synthetic windows are copies of real ones.

    `real` are the people the statistics come from. Each recording is halved: the yardstick is how near windows
    of either half lie to what is in the other; synthetic windows are held against the same two halves, one at a
    time, so that there are equally many candidates.
    """
    first = [replace(r, acceleration=r.acceleration[: len(r.acceleration) // 2]) for r in real]
    second = [replace(r, acceleration=r.acceleration[len(r.acceleration) // 2 :]) for r in real]
    a, b, s = cut(first), cut(second), cut(synthetic)
    described = [describe(w.values)[0].astype(np.float64) for w in (a, b, s)]
    centre, scale = described[0].mean(0), described[0].std(0) + 1e-9
    fa, fb, fs = ((f - centre) / scale for f in described)
    yardstick = np.concatenate([_nearest(fb, fa), _nearest(fa, fb)])
    made = np.concatenate([_nearest(fs, fa), _nearest(fs, fb)])

    near_real, near_made = [], []
    synthetic_of = {(r.person, r.activity): r for r in synthetic}
    for one, other in zip(first, second, strict=True):
        match = synthetic_of.get((one.person, one.activity))
        if match is None or min(len(one.acceleration), len(match.acceleration)) < 2 * WINDOW:
            continue
        for here, there in ((one, other), (other, one)):
            if len(here.acceleration) >= WINDOW:
                series = np.asarray(here.acceleration, float)
                near_real.append(_signal_distances(cut([there]).values.astype(float), series))
                near_made.append(_signal_distances(cut([match]).values.astype(float), series))

    def ratios(numerator: np.ndarray, denominator: np.ndarray) -> tuple[float, float]:
        return (
            float(np.median(numerator) / np.median(denominator)),
            float(np.quantile(numerator, 0.01) / max(np.quantile(denominator, 0.01), 1e-9)),
        )

    median, nearest = ratios(made, yardstick)
    signal = (float("nan"), float("nan"))
    if near_real:
        signal = ratios(np.concatenate(near_made), np.concatenate(near_real))
    return Copying(median, nearest, *signal)


# the protocol

Synthesise = Callable[[Collection[str], int], list[Recording]]
"""(people, seed) -> synthetic recordings that know of those people alone."""


@dataclass(frozen=True)
class Used:
    """Against the very people whose statistics were used, for one seed."""

    seed: int
    c2st: ToldApart
    autocorrelation: dict[str, float]
    matched: bool
    """Whether the autocorrelation was compared person by person."""
    marginals: dict[str, float]
    copying: Copying


@dataclass(frozen=True)
class LeftOut:
    """Against people left out of the statistics, for one seed.

    transfers: one of each fold of people left out. c2st_auc: one of each way to set two folds against the other
    two. autocorrelation and marginals: of each fold, by activity, people pooled.
    """

    seed: int
    transfers: tuple[Transfer, ...]
    c2st_auc: tuple[float, ...]
    autocorrelation: tuple[dict[str, float], ...]
    marginals: tuple[dict[str, float], ...]


@dataclass(frozen=True)
class Yardstick:
    """The same measures of real people against other real people, or other minutes: as good as it gets."""

    c2st_auc: tuple[float, ...]
    autocorrelation_minutes: dict[str, float]
    """One half of a recording against the other half, person by person."""
    autocorrelation_people: tuple[dict[str, float], ...]
    marginals_people: tuple[dict[str, float], ...]


@dataclass(frozen=True)
class Report:
    """All measures. folds: the people of each fold. A target is met on the mean over seeds and folds."""

    folds: tuple[tuple[str, ...], ...]
    seeds: tuple[int, ...]
    used: tuple[Used, ...]
    left_out: tuple[LeftOut, ...]
    yardstick: Yardstick


def folds_of(people: Collection[str]) -> tuple[tuple[str, ...], ...]:
    """People dealt into FOLDS folds: ranked by the SHA-256 of their name, dealt out in turn."""
    ranked = sorted(set(people), key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    return tuple(tuple(sorted(ranked[k::FOLDS])) for k in range(FOLDS))


def compare(
    real: Sequence[Recording],
    synthesise: Synthesise,
    seeds: Sequence[int],
    progress: Callable[[str], None] | None = None,
) -> Report:
    """Hold what `synthesise` makes against real recordings; `progress` is told each step before it is taken.

    Raises DataError where there are fewer than eight people: nothing could be left out.
    """
    told = progress or (lambda text: None)
    people = {r.person for r in real}
    if len(people) < 2 * FOLDS:
        raise DataError(
            f"the real recordings are of {len(people)} people; comparing needs at least {2 * FOLDS}, "
            "so that some can be left out"
        )
    folds = folds_of(people)
    halves = [set(folds[k]) | set(folds[(k + 1) % FOLDS]) for k in range(FOLDS)]

    used, left_out = [], []
    trtr: list[float] = []
    for k, fold in enumerate(folds):
        told(f"training on real people, fold {k + 1} left out")
        trtr.append(train_and_test(select(real, people - set(fold)), select(real, fold)))
    for seed in seeds:
        told(f"seed {seed}: the people used")
        made = synthesise(people, seed)
        errors, matched = autocorrelation_error(real, made)
        used.append(
            Used(
                seed,
                tell_apart(real, made),
                errors,
                matched,
                marginal_distance(real, made),
                copying(real, made),
            )
        )
        transfers, aucs, correlations, marginals = [], [], [], []
        for k, fold in enumerate(folds):
            told(f"seed {seed}: fold {k + 1} left out")
            made = synthesise(people - set(fold), seed)
            asked = select(real, fold)
            transfers.append(Transfer(train_and_test(made, asked), trtr[k]))
            correlations.append(autocorrelation_error(asked, made)[0])
            marginals.append(marginal_distance(asked, made))
            aucs.append(tell_apart(select(real, halves[k]), synthesise(people - halves[k], seed)).auc)
        left_out.append(LeftOut(seed, tuple(transfers), tuple(aucs), tuple(correlations), tuple(marginals)))
    told("real people against each other")
    return Report(folds, tuple(seeds), tuple(used), tuple(left_out), _yardstick(real, folds, halves))


def _yardstick(
    real: Sequence[Recording], folds: Sequence[Collection[str]], halves: Sequence[set[str]]
) -> Yardstick:
    people = {r.person for r in real}
    first = [replace(r, acceleration=r.acceleration[: len(r.acceleration) // 2]) for r in real]
    second = [replace(r, acceleration=r.acceleration[len(r.acceleration) // 2 :]) for r in real]
    pairs = [(select(real, fold), select(real, people - set(fold))) for fold in folds]
    return Yardstick(
        # two of the four are the other two turned round
        tuple(tell_apart(select(real, h), select(real, people - h)).auc for h in halves[: FOLDS // 2]),
        autocorrelation_error(first, second)[0],
        tuple(autocorrelation_error(a, b)[0] for a, b in pairs),
        tuple(marginal_distance(a, b) for a, b in pairs),
    )


# what came of it


@dataclass(frozen=True)
class Spread:
    """A measure over seeds, folds or both."""

    mean: float
    sd: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{self.mean:.3f} ± {self.sd:.3f} ({self.low:.3f} to {self.high:.3f})"


def spread(values: Iterable[float]) -> Spread:
    """Mean, standard deviation (of a sample) and range."""
    v = np.array(list(values), float)
    return Spread(
        float(v.mean()), float(v.std(ddof=1)) if len(v) > 1 else 0.0, float(v.min()), float(v.max()), len(v)
    )


def _mean(values: dict[str, float]) -> float:
    return float(np.mean(list(values.values())))


@dataclass(frozen=True)
class Line:
    """A line of the summary: a measure, its spread, the same of real people alone, and the target.

    sense: 'at most' or 'at least'; target None where there is none."""

    name: str
    value: Spread
    real: Spread | None = None
    sense: str = "at most"
    target: float | None = None

    @property
    def met(self) -> bool | None:
        if self.target is None:
            return None
        return self.value.mean <= self.target if self.sense == "at most" else self.value.mean >= self.target


C2ST_TARGET, TRANSFER_TARGET, AUTOCORRELATION_TARGET, COPYING_TARGET = 0.75, 0.95, 0.12, 0.9


def summary(report: Report) -> list[Line]:
    """The measures of a report in one line each, with their targets."""
    transfers = [t for seed in report.left_out for t in seed.transfers]
    yard = report.yardstick
    return [
        Line(
            "C2ST AUC, people used",
            spread(u.c2st.auc for u in report.used),
            spread(yard.c2st_auc),
            target=C2ST_TARGET,
        ),
        Line(
            "C2ST AUC, people left out",
            spread(a for seed in report.left_out for a in seed.c2st_auc),
            spread(yard.c2st_auc),
            target=C2ST_TARGET,
        ),
        Line("TSTR macro-F1, people left out", spread(t.tstr for t in transfers), sense="at least"),
        Line(
            "TRTR macro-F1, the same people",
            spread(t.trtr for t in report.left_out[0].transfers),
            sense="at least",
        ),
        Line(
            "TSTR / TRTR, people left out",
            spread(t.ratio for t in transfers),
            sense="at least",
            target=TRANSFER_TARGET,
        ),
        Line(
            "ACF error, people used" + (", person by person" if report.used[0].matched else ""),
            spread(_mean(u.autocorrelation) for u in report.used),
            spread([_mean(yard.autocorrelation_minutes)]),
            target=AUTOCORRELATION_TARGET,
        ),
        Line(
            "ACF error, people left out, by activity",
            spread(_mean(one) for seed in report.left_out for one in seed.autocorrelation),
            spread(_mean(one) for one in yard.autocorrelation_people),
            target=AUTOCORRELATION_TARGET,
        ),
        Line("KS distance, people used", spread(_mean(u.marginals) for u in report.used)),
        Line(
            "KS distance, people left out",
            spread(_mean(one) for seed in report.left_out for one in seed.marginals),
            spread(_mean(one) for one in yard.marginals_people),
        ),
        *(
            Line(
                f"nearest neighbour, {what}, synthetic / real",
                spread(getattr(u.copying, field) for u in report.used),
                sense="at least",
                target=COPYING_TARGET,
            )
            for what, field in (
                ("features, median", "features_median"),
                ("features, closest 1 %", "features_nearest"),
                ("signal, median", "signal_median"),
                ("signal, closest 1 %", "signal_nearest"),
            )
            if np.isfinite([getattr(u.copying, field) for u in report.used]).all()
        ),
    ]
