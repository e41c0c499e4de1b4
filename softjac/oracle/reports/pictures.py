"""The pictures of the HTML report, as inline SVG that reads without colour."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from softjac.oracle.findings import Point
from softjac.oracle.reports.numbers import short

__all__ = ["LANES", "exp_curve", "matrix", "ratio_by_lane", "ratio_by_length"]

# The float32 lanes of an AVX-512 register; shorter vectors divide it.
LANES = 16
# A matrix is shown up to this size: beyond it the squares are too small to read.
LARGEST = 32
# Ratios are drawn between these; what lies outside sits on the edge, infinities included.
LEAST, MOST = 1e-3, 1e9
WIDTH, HEIGHT = 420, 220
LEFT, RIGHT, TOP, BOTTOM = 56, 12, 12, 40


def svg(width: float, height: float, label: str, body: Sequence[str]) -> Markup:
    """A picture that scales with the page and has a name for those who cannot see it."""
    name = Markup.escape(label)
    return Markup(
        f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{name}">'
        f"<title>{name}</title>{''.join(body)}</svg>"
    )


def text(x: float, y: float, content: str, anchor: str = "middle") -> str:
    """A label."""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{Markup.escape(content)}</text>'


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    """A straight line of a CSS class."""
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


def matrix(values: Any, largest: float, label: str) -> Markup:
    """A matrix as squares: area is size, filled is positive, hollow is negative, a dot is zero.

    Args:
        values: the matrix; only its first 32 rows and columns are shown.
        largest: the absolute value drawn as a whole cell.
        label: what the picture shows, for those who cannot see it.

    Returns:
        An SVG element. A value that is not finite is a cross.
    """
    shown = np.asarray(values, dtype=np.float64)[:LARGEST, :LARGEST]
    cell = 240 / max(1, *shown.shape)
    body = []
    for (i, j), value in np.ndenumerate(shown):
        x, y = (j + 0.5) * cell, (i + 0.5) * cell
        tip = f"<title>{i}, {j}: {value:.6g}</title>"
        if not math.isfinite(value):
            r = 0.35 * cell
            body.append(
                f'<path d="M{x - r:.2f} {y - r:.2f}l{2 * r:.2f} {2 * r:.2f}m0 {-2 * r:.2f}'
                f'l{-2 * r:.2f} {2 * r:.2f}" class="bad">{tip}</path>'
            )
            continue
        share = min(1.0, abs(value) / largest) if largest > 0 else 0.0
        side = 0.9 * cell * math.sqrt(share)
        if side < 0.08 * cell:
            body.append(f'<circle cx="{x:.2f}" cy="{y:.2f}" r="{0.04 * cell:.2f}">{tip}</circle>')
            continue
        line_width = min(2.0, side / 4) if value < 0 else 0.0
        size = side - line_width
        body.append(
            f'<rect x="{x - size / 2:.2f}" y="{y - size / 2:.2f}" width="{size:.2f}" '
            f'height="{size:.2f}" class="{"minus" if value < 0 else "plus"}" '
            f'stroke-width="{line_width:.2f}">{tip}</rect>'
        )
    frame = f'<rect x="0" y="0" width="{cell * shown.shape[1]:.1f}" height="240" class="frame"/>'
    return svg(240, 240, label, [frame, *body])


def clipped(ratio: float) -> float:
    """A ratio within what is drawn; NaN counts as beyond every bound."""
    return MOST if math.isnan(ratio) else min(MOST, max(LEAST, ratio))


def ratio_axis(top: float) -> tuple[Callable[[float], float], list[str]]:
    """The logarithmic axis of error over bound, with its marks and the bound itself as a line."""
    low, high = math.log10(LEAST), max(1.0, math.ceil(math.log10(top)))

    def y(ratio: float) -> float:
        share = (math.log10(clipped(ratio)) - low) / (high - low)
        return HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - TOP)

    body = []
    step = 1 if high - low <= 6 else 2
    for power in range(int(low), int(high) + 1):
        if power % step == 0:  # 0 among them: the bound
            body.append(line(LEFT, y(10.0**power), WIDTH - RIGHT, y(10.0**power), "grid"))
            label = short(10.0**power) if power else "bound"
            body.append(text(LEFT - 6, y(10.0**power) + 4, label, "end"))
    body.append(line(LEFT, y(1.0), WIDTH - RIGHT, y(1.0), "bound"))
    return y, body


def mark(x: float, y: float, ratio: float, where: str) -> str:
    """A point: a disc within the bound, a cross beyond it."""
    tip = f"<title>{where}: {short(ratio)}</title>"
    if ratio <= 1.0:
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" class="good">{tip}</circle>'
    return f'<path d="M{x - 3:.1f} {y - 3:.1f}l6 6m0 -6l-6 6" class="bad">{tip}</path>'


def ratio_by_length(points: Sequence[Point]) -> Markup:
    """The worst error over its bound against n, on logarithmic axes."""
    worst: dict[int, float] = {}
    for point in points:
        key = point.n if point.n < 64 else round(2 ** (round(16 * math.log2(point.n)) / 16))
        worst[key] = max(worst.get(key, 0.0), clipped(point.ratio))
    y, body = ratio_axis(max(worst.values(), default=1.0))
    last = math.log2(max(2, *worst)) if worst else 1.0

    def x(n: int) -> float:
        return LEFT + math.log2(max(1, n)) / last * (WIDTH - RIGHT - LEFT - 6)

    step = max(1, math.ceil(last / 6))
    for power in range(0, math.floor(last) + 1, step):
        body.append(text(x(2**power), HEIGHT - BOTTOM + 16, f"{2**power:,}"))
    body.append(text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, "n"))
    body += [mark(x(n), y(ratio), ratio, f"n = {n}") for n, ratio in sorted(worst.items())]
    return svg(WIDTH, HEIGHT, "worst error over bound against n", body)


def ratio_by_lane(points: Sequence[Point]) -> Markup:
    """The worst error over its bound against the position modulo the vector length."""
    worst: dict[int, float] = {}
    for point in points:
        lane = point.position % LANES
        worst[lane] = max(worst.get(lane, 0.0), clipped(point.ratio))
    y, body = ratio_axis(max(worst.values(), default=1.0))
    step = (WIDTH - LEFT - RIGHT) / LANES
    for lane in range(LANES):
        x = LEFT + (lane + 0.5) * step
        body.append(text(x, HEIGHT - BOTTOM + 16, str(lane)))
        if lane in worst:
            body.append(line(x, y(LEAST), x, y(worst[lane]), "stem"))
            body.append(mark(x, y(worst[lane]), worst[lane], f"lane {lane}"))
    body.append(text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, f"position modulo {LANES}"))
    return svg(WIDTH, HEIGHT, f"worst error over bound against position modulo {LANES}", body)


def exp_curve(errors: Sequence[tuple[float, float]]) -> Markup:
    """The error of exp in ulp against x - max."""
    finite = sorted((a, abs(e)) for a, e in errors if math.isfinite(a) and math.isfinite(e))
    top = max((e for _, e in finite), default=1.0) or 1.0
    first = min((a for a, _ in finite), default=-1.0) or -1.0

    def x(argument: float) -> float:
        return LEFT + (argument - first) / -first * (WIDTH - RIGHT - LEFT)

    def y(error: float) -> float:
        return HEIGHT - BOTTOM - error / top * (HEIGHT - BOTTOM - TOP)

    body = []
    for share in (0.0, 0.5, 1.0):
        body.append(line(LEFT, y(share * top), WIDTH - RIGHT, y(share * top), "grid"))
        body.append(text(LEFT - 6, y(share * top) + 4, short(share * top), "end"))
        body.append(
            text(x(share * first), HEIGHT - BOTTOM + 16, f"{share * first + 0.0:.0f}", "middle")
        )
    body.append(text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, "x - max"))
    path = " ".join(f"{x(a):.1f},{y(e):.1f}" for a, e in finite)
    body.append(f'<polyline points="{path}" class="curve"/>')
    return svg(WIDTH, HEIGHT, "error of exp in ulp against x - max", body)
