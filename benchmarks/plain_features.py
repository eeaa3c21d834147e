"""The features of acceleration written plainly in float64: what the fast ones are held against.

Same names, same order as windows.catalogue. Nothing is shared, padded or chunked: a definition a line, with
np.linalg for eigenvalues and masks for bands, for windows without gaps.
"""

from __future__ import annotations

import numpy as np

BANDS_HZ = (
    (0.05, 0.35),
    (0.35, 0.75),
    (0.75, 1.25),
    (1.25, 1.75),
    (1.75, 2.25),
    (2.25, 2.75),
    (2.75, 3.5),
    (3.5, 4.25),
    (4.25, 5.01),
)


def _columns(values: np.ndarray) -> np.ndarray:
    """(windows,), (windows, channels) or (windows, k, channels) -> (windows, columns), channel by channel."""
    if values.ndim == 3:
        values = values.transpose(0, 2, 1)
    return values.reshape(len(values), -1)


def _gravity_and_stillness(W: np.ndarray, up: np.ndarray, rate: int) -> list[np.ndarray]:
    n, T, _ = W.shape
    out: list[np.ndarray] = []
    # gravity
    G = np.stack([W[:, t : t + rate].mean(1) for t in range(T - rate + 1)], 1)
    cosine = (G * up[:, None]).sum(2) / (np.linalg.norm(G, axis=2) + 1e-9)
    angle = np.sort(np.degrees(np.arccos(np.clip(cosine, -1, 1))), axis=1)
    count = angle.shape[1]
    angles = (angle.mean(1), angle[:, count // 2], angle[:, int(0.9 * (count - 1))], angle[:, -1])
    out += [np.log(a + 0.01) for a in angles]
    out += [np.log(np.linalg.norm(np.diff(G, axis=1), axis=2).sum(1) + 1e-4), np.log(G.std(1) + 1e-5)]
    out += [np.log(np.linalg.norm(G[:, -1] - G[:, 0], axis=1) + 1e-4)]
    # stillness
    blocks = W.reshape(n, T // rate, rate, 3)
    spread = np.sort(np.log(np.sqrt(blocks.var(2).sum(2)) + 1e-4), axis=1)
    last = T // rate - 1
    out += [spread[:, [0, last // 4, last // 2, 3 * last // 4, last]], spread.std(1)]
    out += [(spread < np.log(limit)).mean(1) for limit in (0.05, 0.1, 0.2, 0.5)]
    return out


def _vertical_and_covariance(D: np.ndarray, V: np.ndarray, H: np.ndarray) -> list[np.ndarray]:
    T = D.shape[1]
    out: list[np.ndarray] = []
    # vertical
    sd_up, sd_across = V.std(1) + 1e-6, H.std(1) + 1e-6
    out += [np.log(sd_up), np.log(sd_across), np.log(sd_up) - np.log(np.sqrt((H**2).mean(1)) + 1e-6)]
    positions = [T // 10, T // 4, T // 2, T * 3 // 4, T * 9 // 10, T - 1]
    out += [np.sort(V, axis=1)[:, [0, *positions]], np.sort(H, axis=1)[:, positions]]
    out += [((V / sd_up[:, None]) ** 3).mean(1)]
    # covariance
    C = np.einsum("wtj,wtk->wjk", D, D) / T
    values = np.maximum(np.linalg.eigvalsh(C), 1e-8)
    s = np.sqrt(np.maximum(np.einsum("wjj->wj", C), 1e-12))
    R = C / (s[:, :, None] * s[:, None])
    out += [np.abs(R[:, 0, 1]), np.abs(R[:, 0, 2]), np.abs(R[:, 1, 2])]
    out += [
        np.log(values),
        values / values.sum(1, keepdims=True),
        np.log(s) - np.log(s.sum(1, keepdims=True)),
    ]
    return out


def _spectrum(five: np.ndarray, rate: int) -> list[np.ndarray]:
    T = five.shape[1]
    out: list[np.ndarray] = []
    P = np.abs(np.fft.rfft(five * np.hanning(T)[None, :, None], axis=1)) ** 2 / (T * rate)
    P[:, 0] = 0
    P = np.concatenate([P, P[:, :, :3].sum(2, keepdims=True)], 2)
    f = np.fft.rfftfreq(T, 1 / rate)
    total = P.sum(1) + 1e-9
    bands = np.stack([P[:, (f >= low - 1e-9) & (f < high - 1e-9)].sum(1) for low, high in BANDS_HZ], 1)
    share = P / total[:, None]
    out += [_columns(np.log(bands + 1e-6)), _columns(bands / total[:, None])]
    out += [-(share * np.log(share + 1e-12)).sum(1) / np.log(len(f)), (share * f[None, :, None]).sum(1)]
    start = np.flatnonzero(f >= 0.3 - 1e-9)[0]
    peak = P[:, start:].argmax(1) + start
    width = max(1, round(0.1 * T / rate))

    def around(bins: np.ndarray) -> np.ndarray:
        middle = np.clip(bins, width, len(f) - 1 - width)
        reach = range(-width, width + 1)
        return np.sum([np.take_along_axis(share, (middle + d)[:, None], 1)[:, 0] for d in reach], axis=0)

    out += [f[peak], np.take_along_axis(share, peak[:, None], 1)[:, 0]]
    out += [np.where(peak * k < len(f) - 1, around(peak * k), 0) for k in (1, 2, 3)]
    out += [around(np.round(peak / 2).astype(int))]
    return out


def _autocorrelation(five: np.ndarray, rate: int) -> list[np.ndarray]:
    T = five.shape[1]
    out: list[np.ndarray] = []
    power = np.abs(np.fft.rfft(five, 2 * T, axis=1)) ** 2
    power = np.concatenate([power, power[:, :, :3].sum(2, keepdims=True)], 2)
    A = np.fft.irfft(power, 2 * T, axis=1)[:, :T]
    A = A / (A[:, :1] + 1e-9)
    low, high = (max(1, min(round(seconds * rate), T - 1)) for seconds in (0.3, 2.2))
    B = A[:, low : high + 1]
    peaks = (B[:, 1:-1] > B[:, :-2]) & (B[:, 1:-1] >= B[:, 2:])
    heights = np.where(peaks, B[:, 1:-1], -1.0)
    out += [heights.max(1), np.where(peaks.any(1), (heights.argmax(1) + low + 1) / rate, 0)]
    out += [np.where(peaks.any(1), (peaks.argmax(1) + low + 1) / rate, 0), B.min(1)]
    lags = [max(1, min(round(seconds * rate), T - 1)) for seconds in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0)]
    out += [_columns(A[:, lags][:, :, 3:])]
    return out


def plain_features(acceleration: np.ndarray, rate: int = 10) -> np.ndarray:
    """Acceleration in m/s2, (windows, slots, 3), without gaps -> (windows, 303), float64."""
    W = np.asarray(acceleration, np.float64)
    T = W.shape[1]
    magnitude = np.linalg.norm(W, axis=2)
    mean = W.mean(1)
    size = np.linalg.norm(mean, axis=1) + 1e-9
    up = mean / size[:, None]
    D = W - mean[:, None]
    V = (D * up[:, None]).sum(2)
    H = np.sqrt(np.maximum((D**2).sum(2) - V**2, 0))
    four = np.concatenate([W, magnitude[:, :, None]], 2)
    centred = four - four.mean(1, keepdims=True)
    sd = centred.std(1) + 1e-6
    Z = centred / sd[:, None]
    out: list[np.ndarray] = []

    # statistics
    ordered = np.sort(four, axis=1)
    quantile = {q: ordered[:, round(q * (T - 1))] for q in (0.05, 0.25, 0.5, 0.75, 0.95)}
    out += [np.log(sd), quantile[0.75] - quantile[0.25], np.abs(centred).mean(1)]
    out += [np.minimum((Z**4).mean(1), 50), (np.diff(np.sign(centred), axis=1) != 0).mean(1)]
    out += [magnitude.mean(1), *(q[:, 3] for q in quantile.values()), magnitude.min(1), magnitude.max(1)]
    out += [(Z[:, :, 3] ** 3).mean(1)]
    # direction
    out += [np.abs(mean), np.abs(up), np.hypot(mean[:, 1], mean[:, 2]), size]
    # jerk
    J = np.diff(four, axis=1) * rate
    length = np.sort(np.linalg.norm(J[:, :, :3], axis=2), axis=1)
    out += [np.log(J.std(1) + 1e-6), np.log(length.mean(1) + 1e-4)]
    out += [np.log(length[:, int(q * (T - 2))] + 1e-4) for q in (0.1, 0.25, 0.5, 0.75, 0.9, 1.0)]
    out += [np.log(J.std(1)[:, :3] + 1e-6) - np.log(sd[:, :3])]
    out += _gravity_and_stillness(W, up, rate)
    out += _vertical_and_covariance(D, V, H)
    five = np.concatenate([centred, V[:, :, None]], 2)
    out += _spectrum(five, rate)
    out += _autocorrelation(five, rate)
    return np.concatenate([_columns(columns) for columns in out], axis=1)
