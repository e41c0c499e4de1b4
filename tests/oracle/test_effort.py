"""What a wrong candidate costs: no more compiling than is needed."""

from __future__ import annotations

from typing import Any

import pytest

from softjac.oracle.candidate import load, open_sandbox
from softjac.oracle.planning.plan import EFFORTS
from softjac.oracle.planning.probe import probe
from softjac.oracle.trial import Trial


@pytest.mark.parametrize("ending", ["wrong shape", "exception"])
def test_a_compiler_is_noticed_at_work_for_wrong_answers(ending: str) -> None:
    """JAX compiles for every shape, also where an array of another shape comes back, or none."""
    import jax

    jax.clear_caches()

    def wrong(x: Any) -> Any:
        turned = jax.nn.softmax(x, axis=0).T
        if ending == "exception":
            raise ValueError(str(turned.shape))
        return turned

    candidate = load(wrong, op="softmax", array="jax")
    with open_sandbox(candidate) as sandbox:
        trial = Trial(candidate, sandbox, EFFORTS["quick"], 0, 10.0, lambda *told: None)
        probe(trial)
        assert trial.compiles
