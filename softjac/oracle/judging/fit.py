"""Does one number a row explain the differences? Decides it, and gives error over bound."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from softjac.oracle.judging.bounds import Bound

__all__ = ["EXACT_ROWS", "Judged", "judge"]

Array = np.ndarray[Any, np.dtype[Any]]

# What float64 resolves of the free numbers' part of an element: a few roundings.
RESOLUTION = 2.0**-50

# Rows with two free numbers that the quick tests leave open go to an exact linear program; past
# this many refuted ones the rest of a batch is refused by the quick tests' word.
EXACT_ROWS = 8


@dataclass(slots=True)
class Judged:
    """Per row: error over bound, the element that is worst, and whether it is merely unlikely.

    numbers are the free numbers that explain the row best, each over its window.
    """

    ratio: Array
    index: Array
    suspect: Array
    numbers: Array

    @classmethod
    def joined(cls, parts: Sequence[Judged]) -> Judged:
        """The rows of several, one after the other."""
        fields = ("ratio", "index", "suspect", "numbers")
        return cls(*(np.concatenate([getattr(one, name) for one in parts]) for name in fields))

    def take(self, rows: slice) -> Judged:
        """These rows only."""
        return Judged(self.ratio[rows], self.index[rows], self.suspect[rows], self.numbers[rows])

    def replace(self, rows: Array, other: Judged) -> None:
        """Takes another judgement of these rows."""
        self.ratio[rows], self.index[rows] = other.ratio, other.index


def judge(
    residual: Array, bound: Bound, *, own_sums: bool = False, exactly: int = EXACT_ROWS
) -> Judged:
    """Judges `residual` = got - exact, `(rows, elements)`; rows with ratio > 1 are refuted.

    own_sums is for candidates that may sum afresh for every element: each element then has the
    whole window, and no common number is looked for. exactly is after how many refuted rows with
    two free numbers the quick tests have the last word.

    Subtracting δ_k d_ki here is itself rounded, by a few 2^-53 of it: `RESOLUTION` times the
    window is added to each tolerance, which matters where an element may not be off at all.
    """
    rows, elements = residual.shape
    if elements == 0:
        zero = np.zeros(rows)
        return Judged(zero, np.zeros(rows, np.intp), zero > 1, np.zeros((rows, 0)))
    broken = ~np.isfinite(residual)
    clean = np.where(broken, 0.0, residual) if broken.any() else residual
    if own_sums or not bound.directions:
        scaled = np.abs(clean) / (bound.own() + bound.afresh)
        numbers = np.zeros((rows, 0))
        ratio = scaled.max(axis=1)
        suspect = np.zeros(rows, bool)
    else:
        tolerance = bound.tolerance + RESOLUTION * bound.moved()
        weighted = clean / tolerance
        slopes = [direction / tolerance for direction in bound.directions]
        if len(slopes) == 1:
            numbers, ratio, least = _one_number(weighted, slopes, bound)
        else:
            numbers, ratio, least = _two_numbers(weighted, slopes, bound, exactly)
        scaled = np.abs(weighted - sum(numbers[:, [k]] * s for k, s in enumerate(slopes)))
        windows = np.stack(bound.windows, axis=1)
        numbers = numbers / windows
        suspect = (ratio <= 1.0) & (least > bound.likely[0])
    index = np.where(broken.any(axis=1), broken.argmax(axis=1), scaled.argmax(axis=1))
    ratio = np.where(broken.any(axis=1), np.inf, ratio)
    return Judged(ratio, index, suspect, numbers)


def _one_number(weighted: Array, slopes: list[Array], bound: Bound) -> tuple[Array, Array, Array]:
    """The best δ of each row, its ratio, and the least |δ| that leaves every element in bound."""
    slope, window = slopes[0], bound.windows[0]
    best = np.clip(_least_squares(weighted, slopes)[:, 0], -window, window)
    ratio = np.abs(weighted - best[:, None] * slope).max(axis=1)
    still = np.abs(weighted).max(axis=1)
    best = np.where(still <= ratio, 0.0, best)
    ratio = np.minimum(ratio, still)
    least = np.abs(best)
    undecided = np.flatnonzero((ratio > 1.0) | (least > bound.likely[0]))
    if undecided.size:
        low, high = _interval(weighted[undecided], slope[undecided])
        near = np.where((low <= 0.0) & (high >= 0.0), 0.0, np.minimum(np.abs(low), np.abs(high)))
        least[undecided] = near
        honest = (low <= high) & (near <= window[undecided])
        middle = np.clip(0.5 * (low + high), -window[undecided], window[undecided])
        middle = np.where(honest & np.isfinite(middle), middle, best[undecided])
        left = np.abs(weighted[undecided] - middle[:, None] * slope[undecided]).max(axis=1)
        open_ratio = np.minimum(ratio[undecided], left)
        best[undecided] = np.where(left < ratio[undecided], middle, best[undecided])
        ratio[undecided] = np.where(
            honest, np.minimum(open_ratio, 1.0), np.maximum(open_ratio, np.nextafter(1.0, 2.0))
        )
    with np.errstate(divide="ignore", invalid="ignore"):
        reach = np.where(least == 0.0, 0.0, least / window)
    return best[:, None], np.maximum(ratio, np.minimum(reach, 1.0)), least


def _interval(weighted: Array, slope: Array) -> tuple[Array, Array]:
    """The δ that leave every element of a row in bound: none where low > high."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        ends = (weighted - 1.0) / slope, (weighted + 1.0) / slope  # infinite for tiny slopes
    flat = slope == 0.0
    low = np.where(flat, -np.inf, np.minimum(*ends)).max(axis=1)
    high = np.where(flat, np.inf, np.maximum(*ends)).min(axis=1)
    hopeless = (flat & (np.abs(weighted) > 1.0)).any(axis=1)
    return np.where(hopeless, np.inf, low), np.where(hopeless, -np.inf, high)


def _two_numbers(
    weighted: Array, slopes: list[Array], bound: Bound, exactly: int
) -> tuple[Array, Array, Array]:
    """The same for two free numbers: least squares, reweighted towards the minimax.

    A row with an element that is too far off for any two numbers is refuted by that alone.
    """
    windows = np.stack(bound.windows, axis=1)
    best = np.zeros_like(windows)
    error = np.abs(weighted).max(axis=1)
    rows = np.arange(len(weighted))
    weights = np.ones_like(weighted)
    moved = sum(np.abs(slope) * windows[:, [k]] for k, slope in enumerate(slopes))
    refuted = (np.abs(weighted) > 1.0 + (1.0 + RESOLUTION) * moved).any(axis=1)
    for _ in range(30):
        part = [slope[rows] for slope in slopes]
        trial = np.clip(
            _least_squares(weighted[rows], part, weights), -windows[rows], windows[rows]
        )
        left = np.abs(weighted[rows] - sum(trial[:, [k]] * s for k, s in enumerate(part)))
        trial_error = left.max(axis=1)
        better = trial_error < error[rows]
        best[rows[better]] = trial[better]
        error[rows] = np.minimum(error[rows], trial_error)
        weights = weights * (left + 1e-12)
        weights /= weights.max(axis=1, keepdims=True)
        still = (error[rows] > 0.5) & ~refuted[rows]
        if not still.any():
            break
        rows, weights = rows[still], weights[still]
    for row in np.flatnonzero((error > 1.0) & ~refuted):
        if exactly <= 0:
            break
        exact = _linear_program(weighted[row], [s[row] for s in slopes], windows[row])
        if exact is not None:
            error[row], best[row] = exact
        exactly -= int(error[row] > 1.0)
    return best, error, _least_likely(weighted, slopes, bound, best, error)


def _least_likely(
    weighted: Array, slopes: list[Array], bound: Bound, best: Array, error: Array
) -> Array:
    """|δ| of the first number, or what is likely of it where that leaves every element in bound.

    The best fit follows the rounding of the results, which in 16 bits is far above that of a sum.
    """
    least, likely = np.abs(best[:, 0]), bound.likely[0]
    rows = np.flatnonzero((least > likely) & (error <= 1.0))
    first = np.clip(best[rows, 0], -likely[rows], likely[rows])
    rest, window = weighted[rows] - first[:, None] * slopes[0][rows], bound.windows[1][rows]
    second = np.clip(_least_squares(rest, [slopes[1][rows]])[:, 0], -window, window)
    for number in (best[rows, 1], second, 0.0 * second):
        within = (np.abs(rest - number[:, None] * slopes[1][rows]) <= 1.0).all(axis=1)
        least[rows[within]] = np.minimum(least[rows[within]], np.abs(first[within]))
    return least


def _least_squares(weighted: Array, slopes: list[Array], weights: Array | None = None) -> Array:
    """Weighted least squares for one or two coefficients a row, `(rows, coefficients)`."""
    scale = [np.abs(s).max(axis=1, keepdims=True) for s in slopes]
    columns = [s / np.where(m > 0.0, m, 1.0) for s, m in zip(slopes, scale, strict=True)]
    w = 1.0 if weights is None else weights
    first = (w * columns[0] * columns[0]).sum(axis=1)
    right = (w * columns[0] * weighted).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        if len(columns) == 1:
            solution = np.where(first > 0.0, right / first, 0.0)[:, None]
        else:
            cross = (w * columns[0] * columns[1]).sum(axis=1)
            second = (w * columns[1] * columns[1]).sum(axis=1)
            right_2 = (w * columns[1] * weighted).sum(axis=1)
            determinant = first * second - cross * cross
            regular = determinant > 1e-12 * first * second
            one = np.where(regular, (second * right - cross * right_2) / determinant, right / first)
            two = np.where(regular, (first * right_2 - cross * right) / determinant, 0.0)
            solution = np.stack([one, two], axis=1)
    solution = np.where(np.isfinite(solution), solution, 0.0)
    return np.asarray(solution / np.concatenate([np.where(m > 0, m, 1.0) for m in scale], axis=1))


def _linear_program(
    weighted: Array, slopes: list[Array], windows: Array
) -> tuple[float, Array] | None:
    """Minimises max_i |weighted_i - Σ δ_k slope_ki| over the windows, growing the active set."""
    from scipy.optimize import linprog  # type: ignore[import-untyped] # it has no stubs

    matrix = np.stack(slopes, axis=1) * windows  # unknowns in units of their windows
    if not (np.isfinite(weighted).all() and np.isfinite(matrix).all()):
        return None  # an error beyond every number: the row stays refuted
    active = np.argsort(-np.abs(weighted))[:200]
    solution = np.zeros(len(slopes))
    for _ in range(20):
        rows = matrix[active]
        ones = np.ones((len(active), 1))
        answer = linprog(
            [*([0.0] * len(slopes)), 1.0],
            A_ub=np.block([[rows, -ones], [-rows, -ones]]),
            b_ub=np.concatenate([weighted[active], -weighted[active]]),
            bounds=[(-1.0, 1.0)] * len(slopes) + [(0.0, None)],
        )
        if answer.status != 0:
            return None
        solution, level = answer.x[:-1], answer.x[-1]
        left = np.abs(weighted - matrix @ solution)
        violated = np.flatnonzero(left > level * (1 + 1e-9) + 1e-12)
        if violated.size == 0 or level > 1.0:
            return float(max(level, left.max() if level <= 1.0 else level)), solution * windows
        active = np.union1d(active, violated[np.argsort(-left[violated])[:200]])
    return None
