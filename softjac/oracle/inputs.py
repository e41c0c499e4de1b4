"""Named, seeded, adversarial rows: every element of each of them matters to the answer.

A uniform random row hides most bugs: outputs shrink as 1/n, and a constant cotangent gives 0
whatever the code does. A row here is named by four numbers (`Row`), and a row of any batch can be
made again alone, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from softjac.oracle.op import Op
from softjac.oracle.precision import Precision
from softjac.oracle.storage import storage

__all__ = ["LOGITS", "LONE", "NONFINITE", "VECTORS", "Row", "make"]

Array = np.ndarray[Any, np.dtype[Any]]

# Elements of a batch up to which numbers are made for all of its rows at once.
TOGETHER = 20_000


# What the places of two streams next to each other are apart; 64 streams an element.
_STEP = 0xD1B54A32D192ED03


@dataclass(frozen=True, slots=True)
class Row:
    """One row: the kind of its logits, of its cotangent or tangent, a position, and a seed."""

    logits: str
    vector: str
    at: int
    key: int


@dataclass(slots=True)
class _Noise:
    """Random numbers of a batch of rows, a function of (key, index) alone; made once a stream."""

    keys: Array
    n: int
    at: Array
    precision: Precision
    scale: float
    made: dict[tuple[str, int], Array] = field(default_factory=dict)
    parent: _Noise | None = None
    chosen: Any = None

    def take(self, chosen: list[int]) -> _Noise:
        """The numbers of some of the rows."""
        keys, at = self.keys[chosen], self.at[chosen]
        return _Noise(keys, self.n, at, self.precision, self.scale, parent=self, chosen=chosen)

    def uniform(self, stream: int) -> Array:
        """Uniform numbers in [0, 1), `(rows, n)`."""
        return self._once("_uniform", stream)

    def bell(self, stream: int) -> Array:
        """Sums of three uniform numbers: mean 0, variance 1, nothing beyond 3."""
        return self._once("_bell", stream)

    def by_row(self, stream: int) -> Array:
        """A uniform number a row, `(rows, 1)`: that of its first element."""
        return _portion(self._words(stream, 1))

    def _once(self, kind: str, stream: int) -> Array:
        """The numbers of a stream; some rows of a small batch take them from the whole's."""
        if (kind, stream) not in self.made:
            if self.parent is not None and self.parent.keys.size * self.n < TOGETHER:
                return np.asarray(self.parent._once(kind, stream)[self.chosen])
            self.made[kind, stream] = getattr(self, kind)(stream)
        return self.made[kind, stream]

    def _uniform(self, stream: int) -> Array:
        return _portion(self._words(stream, self.n))

    def _bell(self, stream: int) -> Array:
        """Three numbers of one word: its leading 53 bits, the 21 bits at its end, the 21 before.

        The leading 22 bits of the first are its own; below them it has the bits of the others.
        """
        word = self._words(stream, self.n)
        leading = np.uint64((1 << 53) - (1 << 32))
        total = word >> np.uint64(11)
        total += (word << np.uint64(32)) & leading
        word <<= np.uint64(11)
        word &= leading
        total += word
        return np.asarray(total * 2.0**-52 - 3.0)

    def _words(self, stream: int, n: int) -> Array:
        """64 random bits an element, `(rows, n)`: the mixer of splitmix64."""
        first = self.keys * np.uint64(0x9E3779B97F4A7C15) + np.uint64((stream + 1) * _STEP % 2**64)
        word = first[:, None] + _places(n)
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            word ^= word >> np.uint64(shift)
            word *= np.uint64(factor)
        word ^= word >> np.uint64(31)
        return word

    @property
    def here(self) -> Array:
        """Whether an element is at the row's position, `(rows, n)`."""
        return np.asarray(np.arange(self.n)[None, :] == self.at[:, None])

    @property
    def depth(self) -> float:
        """How far below the maximum a logit's exponential is 0 in this dtype."""
        return {"float64": 745.0, "float16": 17.5}.get(self.precision.name, 104.0)

    @property
    def reach(self) -> float:
        """The largest logit used: with a spread more, a quarter of the largest number.

        Of float64 less, for the bounds, which are computed in it, to stay finite.
        """
        part = 16.0 if self.precision.name == "float64" else 4.0
        return self.precision.largest / part - 16.0


@lru_cache(maxsize=4)
def _places(n: int) -> Array:
    """How far from the first element's word, before it is mixed, those of a row begin."""
    return np.arange(n, dtype=np.uint64) * np.uint64(64 * _STEP % 2**64)


def _portion(word: Array) -> Array:
    """64 random bits as a number in [0, 1)."""
    return np.asarray((word >> np.uint64(11)) * 2.0**-53)


def _offset(size: float) -> Callable[[_Noise], Array]:
    """Logits far from 0."""
    return lambda z: 2.0 * z.bell(0) + np.clip(size, -z.reach, z.reach)


def _equal(value: float) -> Callable[[_Noise], Array]:
    """Logits all alike."""
    return lambda z: np.full((len(z.keys), z.n), max(value, -z.reach))


def _sorted(descending: bool) -> Callable[[_Noise], Array]:
    """Logits in order."""
    return lambda z: np.sort(5.0 * z.bell(0), axis=1)[:, :: -1 if descending else 1]


def _masked(where: Callable[[_Noise], Array]) -> Callable[[_Noise], Array]:
    """Some logits -inf, never all of them; in half of the rows the others are far below 0.

    -1e4 or -1e9 in place of -inf is as good as any number until the logits lie below it.
    """

    def made(z: _Noise) -> Array:
        mask = where(z)
        mask &= ~(mask.all(axis=1, keepdims=True) & z.here)
        chance = z.by_row(9)
        depth = np.where(chance < 0.5, 0.0, 10.0 ** (20.0 * chance - 8.0))  # 0, or 1e2 to 1e12
        return np.where(mask, -np.inf, 3.0 * z.bell(0) - np.minimum(depth, z.reach))

    return made


def _first_power(z: _Noise) -> Array:
    """Which elements lie past the largest power of two in n."""
    past = np.arange(z.n)[None, :] >= 2 ** (z.n.bit_length() - 1)
    return np.asarray(past | np.zeros((len(z.keys), 1), bool))


LOGITS: dict[str, Callable[[_Noise], Array]] = {
    "normal": lambda z: 3.0 * z.bell(0),
    "spike": lambda z: z.bell(0) + 20.0 * z.here,
    "low-spike": lambda z: z.bell(0) - 15.0 * z.here,
    "saturated": lambda z: np.where(z.here, np.minimum(40.0, 0.4 * z.depth), 0.0),
    "deep": lambda z: np.where(z.here, 0.0, -0.77 * z.depth + z.bell(0)),
    "subnormal": lambda z: np.where(z.here, 0.0, -z.depth * (0.83 + 0.17 * z.uniform(0))),
    "grid": lambda z: np.where(
        z.here, 0.0, -z.depth * (np.arange(z.n)[None, :] + z.by_row(0)) / max(z.n, 1)
    ),
    "narrow": lambda z: 1e-3 * z.bell(0),
    "wide": lambda z: min(30.0, 0.3 * z.depth) * z.bell(0),
    "far": lambda z: np.minimum(3000.0, z.reach / 4.0) * z.bell(0),
    "half-far": lambda z: 2.0 * z.bell(0) - 0.92 * z.depth * (z.uniform(7) < 0.5) * ~z.here,
    "negative": lambda z: (  # in half of the rows so far apart that their order matters
        -5.0 - np.where(z.by_row(9) < 0.5, 3.0, 0.6 * z.depth) * np.abs(z.bell(0))
    ),
    "ties": lambda z: np.floor(4.0 * z.uniform(0)) - 2.0,
    "ascending": _sorted(False),
    "descending": _sorted(True),
    "stacked": lambda z: (
        3.0 * z.bell(0) + 300.0 * ((z.keys[:, None] % np.uint64(7)).astype(np.float64) - 3.0)
    ),
    "offset+1e2": _offset(1e2),
    "offset-1e2": _offset(-1e2),
    "offset+2e4": _offset(2e4),
    "offset-2e4": _offset(-2e4),
    "offset+1e6": _offset(1e6),
    "offset-1e6": _offset(-1e6),
    "equal-0": _equal(0.0),
    "equal-200": _equal(-200.0),
    "equal-2e4": _equal(-2e4),
    "equal-1e6": _equal(-1e6),
    "lowest": _equal(-np.inf),
    "largest": lambda z: z.reach * np.where(z.here, 1.0, np.sign(z.uniform(0) - 0.5)),
    "enormous": lambda z: (
        np.minimum(2.0**33, z.reach / 4.0)
        * (1.0 + z.by_row(0))
        * np.where(z.here | (z.uniform(3) < 0.3), 1.0, 1.0 - 2.0**-6)
    ),
    "scales": lambda z: np.where(z.here, 0.0, -(z.reach ** z.uniform(0))),
    "dyadic": lambda z: np.where(_first_power(z), -np.inf, 0.0),
    "masked-start": _masked(lambda z: np.arange(z.n)[None, :] < z.at[:, None] + 1),
    "masked-end": _masked(lambda z: np.arange(z.n)[None, :] >= z.at[:, None]),
    "masked-but-one": _masked(lambda z: ~z.here),
    "masked-some": _masked(lambda z: z.uniform(5) < 0.5),
}


def _holding(place: Callable[[int], slice], value: float) -> Callable[[_Noise], Array]:
    """Logits with such a value in one place."""

    def made(z: _Noise) -> Array:
        logits = 3.0 * z.bell(0)
        logits[:, place(z.n)] = value
        return logits

    return made


# One class alone: it is lost from the maximum, or from the sum, and nothing is right.
LONE: dict[str, Callable[[_Noise], Array]] = {
    "lone": lambda z: np.where(z.here, 0.0, -2.0 * z.depth + z.bell(0)),
}

# Logits whose result is JAX's policy: NaN.
NONFINITE: dict[str, Callable[[_Noise], Array]] = {
    "NaN first": _holding(lambda n: slice(1), np.nan),
    "NaN in the middle": _holding(lambda n: slice(n // 2, n // 2 + 1), np.nan),
    "NaN last": _holding(lambda n: slice(-1, None), np.nan),
    "+inf": _holding(lambda n: slice(n // 3, n // 3 + 1), np.inf),
    "all -inf": _holding(lambda n: slice(None), -np.inf),
}


def _huge(z: _Noise) -> float:
    """A number that few intermediate results overflow with."""
    return float(z.precision.largest ** (0.8 if z.n < 4096 else 0.6))


def _largest(z: _Noise) -> float:
    """A number so large that n of it, times three and the scale, are just finite."""
    return float(z.precision.largest / (max(128.0, 4.0 * z.scale) * z.n))


VECTORS: dict[str, Callable[[_Noise], Array]] = {
    "normal": lambda z: z.bell(20),
    "one-hot": lambda z: z.here * 1.0,
    "spike": lambda z: z.bell(20) + 1e3 * z.here,
    "constant": lambda z: np.full((len(z.keys), z.n), 1.0),
    "constant-3.7": lambda z: np.full((len(z.keys), z.n), -3.7),
    "integers": lambda z: np.floor(17.0 * z.uniform(20)) - 8.0,
    "alternating": lambda z: (1.0 - 2.0 * (np.arange(z.n)[None, :] % 2)) * (1 + 0.01 * z.bell(20)),
    "offset": lambda z: z.bell(20) + 1e3,
    "positive": lambda z: z.uniform(20) + 0.5,
    "huge": lambda z: z.bell(20) * np.where(z.by_row(9) < 0.5, _huge(z), _largest(z)),
    "tiny": lambda z: z.bell(20) * (1e-3 if z.precision.name == "float16" else 1e-20),
    "like-y": lambda z: np.full((len(z.keys), z.n), np.nan),  # replaced by the probabilities
}


def make(
    rows: Sequence[Row], n: int, op: Op, roles: Sequence[str], precision: Precision, scale: float
) -> dict[str, Array]:
    """The inputs of these rows in the storage dtype, role by role, each `(rows, n)`.

    `y` is what softmax or log_softmax of the scaled logits gives, rounded to the dtype: exact
    numbers from there on.
    """
    dtype = storage(precision.name)
    keys = np.array([row.key for row in rows], np.uint64)
    at = np.array([row.at % max(n, 1) for row in rows], np.int64)
    noise = _Noise(keys, n, at, precision, scale)
    logits = _fill(noise, LOGITS | LONE | NONFINITE, [row.logits for row in rows])
    with np.errstate(over="ignore", invalid="ignore"):
        if scale != 1.0:  # so large a logit that scaling it is no news stays finite
            largest = precision.largest / 2.0
            logits = np.where(np.isinf(logits), logits, np.clip(logits / scale, -largest, largest))
        logits = logits.astype(dtype)
    made: dict[str, Array] = {}
    for role in roles:
        if role == "x":
            made[role] = logits
        elif role == "y":
            result = _result(logits, scale, logarithmic=op.logarithmic)
            with np.errstate(under="ignore", over="ignore"):
                made[role] = result.astype(dtype)
        else:
            vector = _fill(noise, VECTORS, [row.vector for row in rows])
            if any(row.vector == "like-y" for row in rows):
                like = _result(logits, scale, logarithmic=False)
                vector = np.where(np.isnan(vector), like, vector)
            with np.errstate(under="ignore"):
                made[role] = vector.astype(dtype)
    return made


def _result(logits: Array, scale: float, *, logarithmic: bool) -> Array:
    """Softmax or log_softmax of scaled logits, `(rows, n)`, in plain float64."""
    shifted = np.multiply(logits, scale, dtype=np.float64)
    if not shifted.size:
        return shifted
    with np.errstate(invalid="ignore", divide="ignore", under="ignore"):
        shifted -= shifted.max(axis=1, keepdims=True)
        weights = np.exp(shifted)
        total = weights.sum(axis=1, keepdims=True)
        if logarithmic:
            shifted -= np.log(total)
            return shifted
        weights /= total
    return weights


def _fill(noise: _Noise, kinds: dict[str, Callable[[_Noise], Array]], names: list[str]) -> Array:
    """Rows of several kinds, each kind made for all of its rows at once."""
    places: dict[str, list[int]] = {}
    for index, name in enumerate(names):
        places.setdefault(name, []).append(index)
    if len(places) == 1:
        return kinds[names[0]](noise)
    filled = np.zeros((len(names), noise.n))
    for kind, chosen in places.items():
        filled[chosen] = kinds[kind](noise.take(chosen))
    return filled
