"""Inputs that reveal mistakes, and a generous measure of the error, both without the oracle."""

from __future__ import annotations

import ml_dtypes
import numpy as np

from tests.mutants.direct import formula, inputs_of, storage
from tests.mutants.specimen import Specimen

__all__ = ["SIZES", "excess", "plain", "revealing"]

SIZES = (1, 2, 3, 7, 9, 17, 33, 40, 64, 100, 127, 300, 1024, 1500, 2049, 4500, 9000, 70000, 110000)


def plain(specimen: Specimen, rows: int, n: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Ordinary inputs: logits of spread 2, their probabilities, cotangents of spread 1."""
    random = np.random.default_rng(seed)
    x = random.normal(0, 2, (rows, n)).astype(storage(specimen.dtype))
    result = formula("log_softmax" if specimen.op.startswith("log") else "softmax", x=x)
    t = random.normal(0, 1, (rows, n))
    roles = {"x": x, "y": result, "dy": t, "x_dot": t}
    return {role: roles[role].astype(x.dtype) for role in inputs_of(specimen)}


def revealing(specimen: Specimen, n: int) -> list[dict[str, np.ndarray]]:
    """Inputs that show the mistakes of the catalogue, at one length."""
    dtype = storage(specimen.dtype)
    random = np.random.default_rng(n)
    rows = 3 if n > 3000 else 5
    base = random.normal(0, 3, (rows, n))
    offsets = np.array([0, 300, -400, 90, -90])[:rows, None]
    shapes = [base, base + offsets, base + 2e4, base - 2e4, base - 1e6, base * 100]
    shapes += [base * 0, base * 0 - 200, base * 0 - 2e4, base / 30 + offsets]
    if n > 1:
        spikes = {0, n - 1, n // 2, *random.integers(0, n, 12), *range(max(n - 8, 0), n)}
        if n < 70000:
            spikes |= set(range(min(n, 32)))
        for at in sorted(spikes):
            spiked = base.copy()
            spiked[:, at] += 300
            shapes.append(spiked)
        masked = base.copy()
        masked[:, : n // 2] = -np.inf
        gentle = base.copy()
        gentle[:, 1:] -= 40
        far = base.copy()
        far[:, 0] = -1e30
        shapes += [masked, gentle, far, -(np.abs(far) ** 0.2) * 20]
    found = []
    log = specimen.op.startswith("log")
    for x in shapes:
        x = x.astype(dtype)
        if dtype.itemsize == 2 and not np.isfinite(x[~np.isneginf(x)].astype(float)).all():
            continue
        y = formula("log_softmax" if log else "softmax", x=x).astype(dtype)
        offset = 1000 if dtype.itemsize > 2 else 0
        one_hot = np.zeros((rows, n))
        one_hot[:, n // 3] = 1
        spike = random.normal(0, 1, (rows, n))
        spike[np.arange(rows), x.astype(np.float64).argmax(axis=1)] = 1e4
        for t in (random.normal(0, 1, (rows, n)), one_hot, one_hot + offset, spike):
            arrays = {"x": x, "y": y, "dy": t.astype(dtype), "x_dot": t.astype(dtype)}
            found.append({role: arrays[role] for role in inputs_of(specimen)})
            if not {"dy", "x_dot"} & set(found[-1]):
                break
    return found


def excess(
    specimen: Specimen, inputs: dict[str, np.ndarray], scale: float, got: np.ndarray
) -> float:
    """The largest error in units of twelve roundings and three of each distance from the top.

    Generous for every honest order of summation on the inputs above, and no proof: it serves to
    see that a mutant is no equivalent of the right code.
    """
    want = formula(specimen.op, scale, **inputs)
    size, distance = _scale_of_rounding(specimen.op, inputs, scale, want)
    limits = ml_dtypes.finfo(storage(specimen.dtype))
    smallest = limits.smallest_subnormal if specimen.dtype == "float16" else limits.tiny
    stored = float(limits.eps) / 2
    unit = min(stored, 2.0**-24)  # 16-bit storage: computed in float32, rounded once
    with np.errstate(invalid="ignore"):
        allowed = size * (12 + 3 * distance) * unit + 4 * float(smallest)
        allowed += np.abs(want) * stored * (stored > unit)
        error = np.abs(got.astype(np.float64) - want)
        error[got.astype(np.float64) == want] = 0
        ratio = np.where(np.isnan(error), np.inf, error / allowed)
    ratio[np.isnan(want)] = 0
    return float(ratio.max(initial=0))


def _scale_of_rounding(
    op: str, inputs: dict[str, np.ndarray], scale: float, want: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The size of the terms that each element is rounded from, and its distance from the top."""
    wide = {role: a.astype(np.float64) for role, a in inputs.items()}
    distance = np.zeros((len(want), 1))
    if "x" in wide:
        away = np.abs(scale * (wide["x"] - wide["x"].max(axis=1, keepdims=True)))
        distance = np.where(np.isfinite(away), away, 0)
    if op == "softmax":
        return np.abs(want), distance
    if op == "log_softmax":
        return np.abs(want) + 1, distance
    distance = distance.max(axis=1, keepdims=True)
    if op.endswith("jacobian"):
        return np.abs(want), distance[:, :, None]
    t = np.abs(wide["dy"] if "dy" in wide else wide["x_dot"])
    if op.startswith("log"):
        return scale * (t + t.sum(axis=1, keepdims=True)), distance
    y = wide["y"] if "y" in wide else formula("softmax", scale, x=inputs["x"])
    return scale * y * (t + (y * t).sum(axis=1, keepdims=True)), distance
