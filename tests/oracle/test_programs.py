"""Compiled reference programs are kept between runs, and what cannot be read is made again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from softjac.oracle.judging import programs


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, of a release of JAX that speaks of nothing."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(programs.cache, "is_quiet", lambda: True)
    return tmp_path / "softjac" / "reference"


class Compiler:
    """Compiles one program, and counts how often."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> Any:
        """A program of two arguments."""
        self.calls += 1
        return jax.jit(lambda x, c: c * jax.nn.softmax(x)).lower(np.zeros(3), 1.0).compile()


def run(name: str, compiler: Compiler) -> bytes:
    """What the program gives, and it gives the same bits wherever it comes from."""
    with jax.enable_x64(True):
        return np.asarray(programs.kept(name, compiler)(np.array([1.0, 2.0, 4.0]), 3.0)).tobytes()


def test_a_program_is_compiled_once(home: Path) -> None:
    """The second time it comes from a file; another name is another program."""
    compiler = Compiler()
    first = run("one", compiler)
    assert run("one", compiler) == first
    assert compiler.calls == 1
    run("another", compiler)
    assert compiler.calls == 2
    assert len(list(home.iterdir())) == 2


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b[:100] + b"\0" + b[101:]])
def test_a_damaged_file_is_made_again(home: Path, damage: Any) -> None:
    """Nothing that has not the digest it was written with is loaded."""
    compiler = Compiler()
    want = run("one", compiler)
    (file,) = home.iterdir()
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    assert run("one", compiler) == want
    assert compiler.calls == 2
    assert run("one", compiler) == want
    assert compiler.calls == 2


def test_settings_are_part_of_the_name(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another setting of JAX, another flag of XLA, another processor: another program."""
    names = {programs._key("one")}
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_enable_fast_math=false")
    names.add(programs._key("one"))
    monkeypatch.setattr(programs.cache, "processor", lambda: "another")
    names.add(programs._key("one"))
    jax.config.update("jax_threefry_partitionable", not jax.config.jax_threefry_partitionable)
    try:
        names.add(programs._key("one"))
    finally:
        jax.config.update("jax_threefry_partitionable", not jax.config.jax_threefry_partitionable)
    assert len(names) == 4
    assert programs._key("two") not in names


def test_a_program_that_cannot_be_written_is_used(home: Path) -> None:
    """What JAX cannot serialize is compiled each time."""

    class Unwritable:
        def __call__(self, *arguments: Any) -> int:
            """What the program gives."""
            return 7

    assert programs.kept("one", Unwritable)(1) == 7
    assert not list(home.iterdir())


def test_old_releases_keep_nothing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their XLA would print two lines for every program that was kept."""
    monkeypatch.setattr(programs.cache, "is_quiet", lambda: False)
    compiler = Compiler()
    assert run("one", compiler) == run("one", compiler)
    assert compiler.calls == 2
    assert not home.exists()
