"""What the oracle knows of an op: its roles, its formula, its bound and its known mistakes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from softjac.oracle.judging.bounds import Bound
from softjac.oracle.judging.sample import Sample

__all__ = ["Mistake", "Op"]

Array = np.ndarray[Any, np.dtype[Any]]


def _always(sample: Sample) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Mistake:
    """A formula people write by mistake: what it gives on a sample.

    A prediction may be masked where rounding decides: where it is a finite number under the mask,
    any finite number may come of it; else anything. applies says where the prediction means
    anything (a lost scale needs a scale); layout, that the mistake mixes up the rows of a call;
    words, what is computed, where the id is "unknown": a formula without a name of its own.
    """

    id: str
    predict: Callable[[Sample], Array]
    applies: Callable[[Sample], bool] = _always
    layout: bool = False
    words: str = ""

    @property
    def everywhere(self) -> bool:
        """Whether it means something on every sample."""
        return self.applies is _always


@dataclass(frozen=True)
class Op:
    """An op as the oracle sees it.

    name:           as on the command line.
    summary:        one line for `softjac ops`.
    forward:        the forward op whose derivative this is, or itself.
    output:         role of what it computes.
    vector:         role of the cotangent or tangent it takes, if any.
    formula:        the textbook formula in float64.
    bound:          how far an honest candidate may be from the exact answer.
    condition:      the translation-free condition number C, componentwise.
    wrong_formulas: makes those that people write instead.
    """

    name: str
    summary: str
    forward: str
    output: str
    vector: str | None
    formula: Callable[[Sample], Array]
    bound: Callable[[Sample, Array], Bound]
    condition: Callable[[Sample, Array], Array]
    wrong_formulas: Callable[[], tuple[Mistake, ...]]

    @cached_property
    def mistakes(self) -> tuple[Mistake, ...]:
        """The wrong formulas: hundreds, which only a diagnosis needs."""
        return self.wrong_formulas()

    @property
    def logarithmic(self) -> bool:
        """Whether its result, and the `y` it takes, are log-probabilities."""
        return self.forward == "log_softmax"

    @property
    def takes(self) -> tuple[tuple[str, ...], ...]:
        """The input roles a candidate may name: from logits, or from the result."""
        if self.output == "y":
            return (("x",),)
        tail = () if self.vector is None else (self.vector,)
        return (("y", *tail), ("x", *tail))

    def shape(self, rows: int, n: int) -> tuple[int, ...]:
        """That of its result."""
        return (rows, n, n) if self.output == "jac" else (rows, n)
