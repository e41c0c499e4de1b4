"""What is tried, in which order: lengths, rows and layouts, a function of effort and seed alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from softjac.oracle.calls.call import Layout
from softjac.oracle.inputs import LOGITS, NONFINITE, VECTORS, Row

__all__ = [
    "EDGED",
    "EFFORTS",
    "MANY_ROWS",
    "Effort",
    "Task",
    "crowd",
    "edges",
    "lengths",
    "tasks",
]

LOGIT_KINDS = tuple(LOGITS)
VECTOR_KINDS = tuple(VECTORS)
SPIKES = (
    ("normal", "one-hot"),
    ("spike", "normal"),
    ("equal-0", "spike"),
    ("deep", "positive"),
    ("low-spike", "one-hot"),
    ("saturated", "integers"),
)
# Numbers of tokens that code is specialised for: BERT, Llama, GPT-2, the same padded, and Llama 3.
VOCABULARIES = (30_522, 32_000, 50_257, 50_304, 128_256)
PLAIN = ("normal", "normal")
SLOW = (("subnormal", "normal"), ("half-far", "normal"))
# Float32 numbers: powers of two, one, and such whose products are rounded; below and above one, as
# 1/√d and temperatures are, and none but three an integer.
SCALES = (
    *(0.125, 0.699999988079071044921875, 1.0, 3.0),
    *(0.088388346135616302490234375, 2.5, 0.00999999977648258209228515625, 100.0),
)
MASKS = ("masked-start", "masked-end", "masked-but-one", "masked-some")
SIMPLE = (
    ("equal-0", "one-hot"),
    ("ties", "integers"),
    ("ties", "one-hot"),
    ("equal-200", "integers"),
    ("offset+1e2", "integers"),
    ("normal", "normal"),
    ("saturated", "one-hot"),
    ("negative", "positive"),
    ("spike", "integers"),
    ("masked-some", "normal"),
)


# Lengths of which `quick` looks at the edges and few other rows: powers of two, and others that
# leave all kinds of rests. Of one of them each lane is an edge, where there is more time.
LANED = 20_005
EDGED = (512, 2048, 8192, 16_388, LANED, 24_598, 32_768, 40_003, 65_536)

# And lengths past 64 that leave what the others of `quick` do not of a step of 16.
LEFTOVER = (70, 71, 73, 74, 75, 76, 77, 78)

# More classes than an array of some megabytes on the stack holds, one row of them at `standard`.
MILLION = 1_048_577

# From here on a single row is worth the work of several threads, or blocks.
LONG = 8192

# Rows that a counter of 8 bits does not hold, three left over of a step of four.
MANY_ROWS = 259

# How many edges of one length are looked at: rows of so many elements together.
EDGES = 400_000

# Up to which length how many rows are many.
CROWDS = ((16, 67), (260, 35), (2100, 17), (5000, 9))

# Values are judged where a small access outside an array does no harm: `memory` looks for those.
ROOMY = Layout(side="end", offset=64)


@dataclass(frozen=True, slots=True)
class Task:
    """One batch of rows, rebuilt from these few values wherever it is needed.

    family: "kinds" (every kind of logits), "spikes" (a spike at every position), "edges" (one class
            alone, at a row's end or beside a power of two), "random" (kinds drawn at random),
            "masks" (-inf), "simple" (rows a person can check), "plain" (random numbers near 0),
            "slow" (products that underflow) or a name in `NONFINITE` (every third row is of that
            kind, the others are simple).
    pick:   one row of the batch alone, or all of them.
    """

    family: str
    n: int
    rows: int
    seed: int = 0
    pick: int | None = None
    scale: float = 1.0
    layout: Layout = ROOMY

    @property
    def size(self) -> int:
        """How many rows there are."""
        return self.rows if self.pick is None else 1

    def specs(self) -> tuple[Row, ...]:
        """The rows of this batch."""
        chosen = range(self.rows) if self.pick is None else [self.pick]
        return tuple(self._spec(index) for index in chosen)

    def _spec(self, index: int) -> Row:
        """Row `index` of the batch."""
        n, key = max(self.n, 1), (self.seed << 24) + (self.n << 40) + index
        if self.family == "kinds":
            kind = index if self.rows >= len(LOGIT_KINDS) else index * 4 + self.seed
            logits = LOGIT_KINDS[kind % len(LOGIT_KINDS)]
            vector = VECTOR_KINDS[(index * 5 + self.n + self.seed) % len(VECTOR_KINDS)]
            return Row(logits, vector, (index * 7 + self.n // 2) % n, key)
        if self.family == "spikes":
            logits, vector = SPIKES[(index + self.seed) % len(SPIKES)]
            return Row(logits, vector, self._position(index), key)
        if self.family == "edges":
            places = edges(n)
            return Row("lone", "one-hot", places[index % len(places)], key)
        if self.family == "masks":
            place = (index * 5 + 1) % n
            place = n - 1 - place if index // len(MASKS) % 2 else place  # near either end
            return Row(MASKS[index % len(MASKS)], "normal", place, key)
        if self.family in NONFINITE and index % 3 == 0:
            return Row(self.family, "normal", 0, key)
        if self.family == "simple" or self.family in NONFINITE:
            logits, vector = SIMPLE[index % len(SIMPLE)]
            return Row(logits, vector, index // len(SIMPLE) % n, key)
        if self.family in ("plain", "slow"):
            logits, vector = PLAIN if self.family == "plain" else SLOW[index % len(SLOW)]
            return Row(logits, vector, 0, key)
        if self.family != "random":
            raise ValueError(f"no such family of rows: {self.family}")
        mixed = (key * 0x9E3779B97F4A7C15) % 2**64
        mixed = ((mixed ^ (mixed >> 29)) * 0xBF58476D1CE4E5B9) % 2**64
        logits = LOGIT_KINDS[(mixed >> 20) % len(LOGIT_KINDS)]
        vector = VECTOR_KINDS[(mixed >> 34) % len(VECTOR_KINDS)]
        return Row(logits, vector, (mixed >> 44) % n, key)

    def _position(self, index: int) -> int:
        """Every position while rows suffice, else all residues modulo 64: first, last, anywhere."""
        if self.rows >= self.n:
            return index % max(self.n, 1)
        residue, last = index % 64, max(self.n - 64, 0)
        choice = (index + self.n + index // 64) % 4
        if choice == 0:
            return min(last + residue, self.n - 1)
        mixed = (index + self.n + self.seed) * 0x9E3779B97F4A7C15 % 2**64 >> 20
        block = 0 if choice == 1 else mixed % (last + 1) // 64 * 64
        return min(block + residue, self.n - 1)

    def single(self, index: int) -> Task:
        """The batch's row `index` alone."""
        return replace(self, pick=index if self.pick is None else self.pick)


def edges(n: int) -> list[int]:
    """The places of a row that loops in steps and chunks lose: its last, those at 2^k, a lane's."""
    powers = [2**k for k in range((n - 1).bit_length() - 1, 5, -1)]
    last = range(n - 1, max(n - 7, -1), -1)
    lanes = range(n // 128 * 64, min(n // 128 * 64 + 64, n))  # of a step in the middle
    return list(dict.fromkeys((*last, *(p - 1 for p in powers), *powers, *lanes)))


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is tried: seconds for `values`, random rows a length, lengths, the longest row."""

    name: str
    seconds: float
    random_rows: int
    dense: int
    longest: int
    soak: int


EFFORTS = {
    "quick": Effort("quick", 1.75, 24, 20, 65537, 300),
    "standard": Effort("standard", 9.0, 700, 130, 131075, 10_000),
    "thorough": Effort("thorough", 75.0, 3000, 200, 1048577, 10_000),
}


def lengths(effort: Effort) -> tuple[int, ...]:
    """The lengths tried: densely at first, then around powers of two and between them, then far."""
    near = {1, 2, 3, *range(1, effort.dense)}
    for power in (5, 6, 7, 8) if effort.name == "quick" else range(5, 13):
        near |= {2**power - 1, 2**power, 2**power + 1}
    # Kernels that choose a path by size have one for whole octaves, or parts of them; what is left
    # over of a step of 64 is different each time.
    for power in range(7, 14):
        parts = (6,) if effort.name == "quick" else (5, 6, 7)
        near |= {2**power * part // 4 + (13 * power + 7 * part) % 64 for part in parts}
    near |= {24, 40, 48, 96}  # whole vectors of 8 and 16, of which one is left over of a longer one
    near |= {100, 707, 1000, 1024, 2747, 4097, 9001}
    far = {16384, 24_593, 65535, 65536, 65537, 100_003, 131_075, MILLION}
    if effort.name == "quick":
        near |= {*LEFTOVER}
        far = {65537}
    far |= {*VOCABULARIES, *EDGED}
    once = {MILLION} if effort.name == "standard" else set()
    return tuple(sorted(near | {n for n in far if n <= effort.longest} | once))


def tasks(
    n: int, effort: Effort, seed: int, *, scaled: bool, several_rows: bool
) -> Iterator[list[Task]]:
    """The batches of one length, in layers, the most telling first.

    scaled: whether the candidate takes a scale; several_rows: whether it takes many rows a call.
    """
    scale = _scale(n) if scaled else 1.0
    kinds = len(LOGIT_KINDS)
    if n in VOCABULARIES or n > effort.longest:
        yield [Task("plain", n, 2 if n in VOCABULARIES else 1, seed + n % 4, scale=scale)]
        return
    ends = Task("edges", n, _ends(n, effort), seed, scale=scale)
    alone = [replace(ends, rows=1)] if several_rows and n >= LONG else []
    if n in EDGED + LEFTOVER and effort.name == "quick":
        simple = Task("simple", n, len(SIMPLE), seed, scale=scale)
        plain = Task("plain", n, 1, seed, scale=scale)
        yield [replace(ends, rows=min(ends.rows, 7)), *alone, simple if n <= 8192 else plain]
        return
    yield [Task("kinds", n, kinds if n <= 4097 else 8, seed + n % 4, scale=scale)]
    share = effort.random_rows if n <= 130 else max(4, effort.random_rows * 130 // n)
    several = []
    for number, rows in enumerate((1, 2, 3, 5, 63, 64, 65)):
        if rows <= share:
            several.append(Task("random", n, rows, seed + 1 + number, scale=scale))
            share -= rows
    if share > 0:
        several.append(Task("random", n, share, seed + 10, scale=scale))
    if effort.name != "quick" and n in (96, 100):
        several.append(Task("random", n, 701, seed + 11, scale=scale))
    if several_rows and n == 100:  # enough for threads of its own, and three rows left over
        several.append(Task("random", n, 1003, seed + 16, scale=scale))
    if several_rows and n == 129:  # so large a matrix that it goes through blocks of rows
        several.append(Task("random", n, MANY_ROWS, seed + 17, scale=scale))
    # a row counter of 8 or 16 bits; more rows on the stack than it holds
    if several_rows and n <= 8:
        several.append(Task("random", n, 300 + n, seed + 12, scale=scale))
    if several_rows and effort.name != "quick" and n == 2:
        several.append(Task("random", n, 65_541, seed + 13, scale=scale))
    if several_rows and effort.name != "quick" and n == 1000:
        several.append(Task("random", n, 2203, seed + 14, scale=scale))
    masked = Task("masks", n, 2 * len(MASKS), seed + 18, scale=scale)
    yield several if n <= 4097 else [Task("plain", n, 4, seed + 15, scale=scale), masked]
    spikes = Task("spikes", n, _spikes(n, effort), seed, scale=scale)
    yield [spikes, ends, *alone] if n > 130 else [spikes]


def crowd(n: int) -> int:
    """More rows than kernels take at once, as many as their length allows, some left over."""
    return next((rows for longest, rows in CROWDS if n <= longest), 2)


def _scale(n: int) -> float:
    """The scale of a length, by the sum of its octal digits: no step meets one scale alone."""
    return SCALES[sum(map(int, f"{n:o}")) % len(SCALES)]


def _ends(n: int, effort: Effort) -> int:
    """How many edges are looked at: all of them up to where that is too much, fewer at `quick`."""
    most = EDGES if effort.name == "quick" else 4 * EDGES if n == LANED else 2 * EDGES
    rows = max(1, min(len(edges(n)), most // n))
    return min(rows, 40) if effort.name == "quick" and n > 2000 else rows


def _spikes(n: int, effort: Effort) -> int:
    """How many positions get a spike: all of them up to where that is too much."""
    every = {"quick": 130, "standard": 1024, "thorough": 4096}[effort.name]
    if n <= every and (n <= 130 or n in (256, 1000, 1024, 4096)):
        return n
    if effort.name == "quick":  # of long rows the edges, and a lane of each kind, are tried besides
        return min(n, 192 if n in (257, 1025) else 48 if n <= 2000 else 24 if n < 20_000 else 6)
    return min(n, 192 if n in (257, 1025, 4097) else 64 if n < 20_000 else 16)
