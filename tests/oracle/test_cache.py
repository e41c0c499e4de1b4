"""Compiled programs are kept between runs, and change nothing but the time."""

from __future__ import annotations

from pathlib import Path

import jax
import pytest

from softjac import verify
from softjac.oracle import cache

JAX = """
import jax
import jax.numpy as jnp

@jax.jit
def softmax(x):
    e = jnp.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    return tmp_path / "home" / "softjac" / "xla"


@pytest.mark.skipif(
    jax.__version_info__ < (0, 10, 2), reason="before jax 0.10.2 XLA reports each cached program"
)
def test_a_jax_candidate_is_compiled_once(home: Path, tmp_path: Path) -> None:
    """A second run takes every program from the cache, and tries the same shapes."""
    file = tmp_path / "mine.py"
    file.write_text(JAX)
    first = verify(f"{file}:softmax", op="softmax", effort="quick")
    kept = sorted(home.glob("*/jit_softmax*-cache"))
    again = verify(f"{file}:softmax", op="softmax", effort="quick")
    assert first.verdict == again.verdict == "verified"
    assert len(kept) > 20
    assert sorted(home.glob("*/jit_softmax*-cache")) == kept
    assert first.limits[0].startswith("n up to")
    assert first.limits[0] == again.limits[0]


def test_a_cache_of_ones_own_is_left_alone(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has told JAX where to keep programs is not overruled."""
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "/elsewhere")
    assert cache.xla() == {}
    assert not home.exists()


def test_old_releases_keep_nothing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their XLA prints two lines for every program it takes from the cache."""
    for told, kept in (("0.9.1", False), ("0.10.2.dev20260101", True), ("1.0", True)):
        monkeypatch.setattr(cache, "version", lambda name, told=told: told)
        assert bool(cache.xla()) == kept


def test_each_kind_of_processor_has_programs_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a home is shared, no program for a wider instruction set is run."""
    here = cache.processor()
    assert cache.processor() == here
    monkeypatch.setattr(cache.platform, "machine", lambda: "another")
    assert cache.processor() != here
