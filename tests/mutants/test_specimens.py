"""Called directly, without the oracle, right implementations are right and mutants are wrong."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from tests.mutants.direct import callable_of, formula, takes_scale
from tests.mutants.registry import HONEST, MUTANTS
from tests.mutants.revealing import SIZES, excess, plain, revealing
from tests.mutants.specimen import Mutant, Specimen

# What cannot be called in this process, or shows itself only in what the oracle watches.
DANGEROUS = {
    "crash", "exits", "hang", "raises", "crash-on-empty", "out-of-bounds-read",
    "out-of-bounds-write", "unaligned-access", "fp-environment-changed",
}  # fmt: skip


def skip_without_library(specimen: Specimen) -> None:
    """Skips, visibly, what needs a library that is not installed."""
    library = specimen.options.get("array", "numpy")
    if library != "numpy" and importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed")


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("specimen", HONEST, ids=lambda specimen: specimen.name)
def test_right_implementations_follow_the_formula(specimen, libraries) -> None:
    """A right implementation agrees with the textbook formula to about its storage's precision."""
    skip_without_library(specimen)
    rough = {"bfloat16": 1e-2, "float16": 2e-3}.get(specimen.dtype, 1e-4)
    if specimen.dtype == "float64" and specimen.options.get("array") == "jax":
        pytest.skip("JAX computes in float32 unless told otherwise")
    call = callable_of(specimen, libraries)
    few = specimen.kind == "py"  # JAX compiles for each shape
    for rows, n in [(3, 40), (2, 1)] if few else [(1, 1), (1, 8), (3, 40), (5, 64), (2, 500)]:
        if not specimen.allows(n, rows):
            continue
        inputs = plain(specimen, rows, n)
        scale = 1.7 if takes_scale(specimen) else 1.0
        want = formula(specimen.op, scale, **inputs)
        got = call(scale, **inputs).astype(np.float64)
        np.testing.assert_allclose(got, want, rtol=rough, atol=rough * np.abs(want).max())


def in_process(mutant: Mutant) -> bool:
    """Whether a mutant is wrong in its numbers and harmless to call here."""
    return (
        mutant.prototype is not None
        and mutant.checks[0] == "values"
        and not DANGEROUS & set(mutant.diagnoses)
        and mutant.verdict == "refuted"
        and mutant.effort == "quick"
        and "index-overflow" not in mutant.diagnoses
        and "row-stride" not in mutant.diagnoses  # wrong only where a row has a gap
    )


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(
    "mutant", [m for m in MUTANTS if in_process(m)], ids=lambda mutant: mutant.name
)
def test_mutants_are_wrong(mutant, libraries) -> None:
    """A mutant of the numbers is far from the formula on some ordinary or revealing input."""
    call = callable_of(mutant, libraries)
    for n in SIZES:
        limit = 100 if mutant.op.endswith("jacobian") else 10**6
        if n > limit or not mutant.allows(n, 1):
            continue
        for inputs in revealing(mutant, n):
            for scale in (1.0, 1.7) if takes_scale(mutant) else (1.0,):
                got = call(scale, **inputs)
                if excess(mutant, inputs, scale, got) > 1:
                    return
    pytest.fail("no input shows that this mutant is wrong")
