"""Familiarity: how near a window lies to what a classifier was trained on, as a share of held-out people's windows.

A window's distance is that of its features to the nearest prototype, a mean of training windows that are alike. The
familiarity is the share of the windows of held-out people that lie at least as far: of people and watches like those
of the training, a share of calibration.UNFAMILIAR is called unfamiliar.

Chosen on held-out people against simulated watches (other axes, tempo, size, noise; docs/models.md): the mean size of
standard scores, or a Mahalanobis distance, tells fewer of these from the training.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from sklearn.cluster import KMeans

from activitymodule.errors import ModelError
from activitymodule.models.evaluation.held_out import person_folds

FAMILIARITY_FILE = "familiarity.npz"
_MOST_BYTES = 20_000_000
_PROTOTYPES = 150
_WINDOWS_EACH = 4  # fewer prototypes where there are not so many windows for each
_LEAST_WINDOWS = 3  # a prototype is the mean of so many windows at least, and shows no single one
_MOST_WINDOWS = 5000  # that prototypes are made of
_ROUNDS = 15
_FOLDS = 5
_GRID = 400
_CLIP_SD = 3.0  # one broken feature does not drown the rest


@dataclass(frozen=True)
class Familiarity:
    """What the distance of a window is measured by, and the distances of held-out windows.

    centre, scale : float32 (n_features,), mean and standard deviation of the training windows; prototypes : float32
    (n_prototypes, n_features), standardised; distances : float32 (n,), rising quantiles at equal steps
    """

    feature_names: tuple[str, ...]
    centre: np.ndarray
    scale: np.ndarray
    prototypes: np.ndarray
    distances: np.ndarray

    def __call__(self, X: np.ndarray) -> np.ndarray:
        """Familiarity of windows, float32 (n_windows,), 0 to 1; NaN where a window has none of the features.

        X : float32 (n_windows, n_features), in the order of `feature_names`, NaN where missing
        """
        share = np.linspace(1, 0, len(self.distances))
        found = np.interp(self.distance(X), self.distances, share).astype(np.float32)
        # a sum over all is quicker than a look at each
        if np.isnan(X.sum()):
            found[np.isnan(X).all(1)] = np.nan
        return found

    def distance(self, X: np.ndarray) -> np.ndarray:
        """The squared distance of each window to the nearest prototype, float32 (n_windows,); X as for a call."""
        z = standardised(X, self.centre, self.scale)
        nearest = (np.square(self.prototypes).sum(1) / 2 - z @ self.prototypes.T).min(1)
        return np.asarray(np.einsum("ij,ij->i", z, z) + 2 * nearest)

    def to_bytes(self) -> bytes:
        """As the bytes of an .npz file without pickled objects."""
        out = io.BytesIO()
        arrays = {f.name: np.asarray(getattr(self, f.name)) for f in fields(self)}
        # the rest of a number is noise
        arrays["prototypes"] = arrays["prototypes"].astype(np.float16)
        np.savez_compressed(out, **arrays)  # type: ignore[arg-type]  # no array is called allow_pickle
        return out.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> Familiarity:
        """Raises ModelError where it is not one."""
        try:
            with zipfile.ZipFile(io.BytesIO(content)) as file:
                if sum(entry.file_size for entry in file.infolist()) > _MOST_BYTES:
                    raise ValueError("it is too large")
            with np.load(io.BytesIO(content), allow_pickle=False) as stored:
                names = tuple(str(name) for name in stored["feature_names"])
                arrays = {f.name: stored[f.name].astype(np.float32) for f in fields(cls)[1:]}
        except Exception as error:
            raise ModelError(
                f"{FAMILIARITY_FILE} of the model cannot be used ({error}); train it again"
            ) from None
        found = cls(names, **arrays)
        own = (len(names),)
        shapes = (found.centre.shape, found.scale.shape, found.prototypes.shape[1:])
        whole = all(np.isfinite(array).all() for array in arrays.values())
        rising = (
            found.distances.ndim == 1 and len(found.distances) > 1 and (np.diff(found.distances) >= 0).all()
        )
        if any(shape != own for shape in shapes) or not whole or not rising or not (found.scale > 0).all():
            raise ModelError(f"{FAMILIARITY_FILE} of the model is damaged; train it again")
        return found


def standardised(X: np.ndarray, centre: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Standard scores limited to +-3, 0 where missing, float32 (n_windows, n_features)."""
    z = (np.asarray(X, np.float32) - centre) / scale
    np.clip(z, -_CLIP_SD, _CLIP_SD, out=z)
    if np.isnan(z.sum()):
        z[np.isnan(z)] = 0
    return z


def familiarity_of(
    X: np.ndarray, person: np.ndarray, feature_names: Sequence[str], *, seed: int = 0
) -> tuple[Familiarity, np.ndarray]:
    """The familiarity that a classifier of training windows serves with, and that of these windows themselves by
    other people, float32 (n_windows,).

    X : float32 (n_windows, n_features), NaN where missing; person : (n_windows,), at least two people
    """
    far = np.zeros(len(X), np.float32)
    for learn, test in person_folds(person, _FOLDS):
        far[test] = _fitted(X[learn], seed).distance(X[test])
    _, code, count = np.unique(person, return_inverse=True, return_counts=True)
    order = np.argsort(far, kind="stable")
    # each person weighs the same, as for the conformal quantile
    reached = np.cumsum(1.0 / count[code[order]]) / len(count)
    distances = np.interp(np.linspace(0, 1, _GRID), reached, far[order])
    draft = _fitted(X, seed)
    found = Familiarity(
        tuple(feature_names), draft.centre, draft.scale, draft.prototypes, distances.astype(np.float32)
    )
    held_out = np.interp(far, found.distances, np.linspace(1, 0, _GRID)).astype(np.float32)
    return found, held_out


def _fitted(X: np.ndarray, seed: int) -> Familiarity:
    """Prototypes of training windows, without distances."""
    there = np.isfinite(X)
    count = np.maximum(there.sum(0), 1)
    filled = np.where(there, X, 0).astype(np.float64)
    centre = filled.sum(0) / count
    sd = np.sqrt(np.where(there, np.square(filled - centre), 0).sum(0) / count)
    scale = np.where(sd > 1e-12, sd, 1.0)
    centre, scale = centre.astype(np.float32), scale.astype(np.float32)
    chosen = np.sort(np.random.default_rng(seed).permutation(len(X))[:_MOST_WINDOWS])
    z = standardised(X[chosen], centre, scale)
    clusters = KMeans(
        min(_PROTOTYPES, max(1, len(z) // _WINDOWS_EACH)),
        init="random",
        n_init=1,
        max_iter=_ROUNDS,
        random_state=seed,
    ).fit(z)
    windows = np.bincount(clusters.labels_, minlength=len(clusters.cluster_centers_))
    enough = windows >= min(_LEAST_WINDOWS, windows.max())
    prototypes = clusters.cluster_centers_[enough].astype(np.float16).astype(np.float32)
    return Familiarity((), centre, scale, prototypes, np.empty(0, np.float32))


def write_familiarity(folder: Path, familiarity: Familiarity | None) -> None:
    """Put it beside its model."""
    if familiarity is not None:
        (folder / FAMILIARITY_FILE).write_bytes(familiarity.to_bytes())
