"""softjac.toml and [tool.softjac]: what they may say, and what is said of mistakes in them."""

from __future__ import annotations

from pathlib import Path

import pytest

from softjac import ArgumentError
from softjac.oracle import config


def written(folder: Path, content: str, name: str = "softjac.toml") -> Path:
    """A configuration file with this content."""
    path = folder / name
    path.write_text(content)
    return path


def test_candidates_become_options_of_verify(tmp_path: Path) -> None:
    """Keys are the command's options; the values arrive as `softjac.verify` takes them."""
    path = written(
        tmp_path,
        """
        effort = "quick"
        timeout = 3

        [[candidate]]
        target = "build/lib.so:f"
        op = "softmax_vjp"
        roles = {probs = "y"}
        assume = "n % 8 == 0"
        in-place = ["dx=dy"]
        not-reentrant = true
        header = "mine.h"

        [[candidate]]
        name = "the forward one"
        target = "package.module:softmax"
        op = "softmax"
        effort = "thorough"
        """,
    )
    first, second = config.read(path)
    assert first.target == f"{tmp_path}/build/lib.so:f"
    assert first.options == {
        "op": "softmax_vjp",
        "effort": "quick",
        "timeout": 3.0,
        "roles": {"probs": "y"},
        "assume": ("n % 8 == 0",),
        "in_place": ("dx=dy",),
        "not_reentrant": True,
        "header": f"{tmp_path}/mine.h",
    }
    assert (second.name, second.target) == ("the forward one", "package.module:softmax")
    assert second.options["effort"] == "thorough"


def test_an_entry_can_be_typed_as_a_command(tmp_path: Path) -> None:
    """An entry knows the command line that judges it alone."""
    table = {
        "target": "f.c:f",
        "op": "softmax",
        "assume": ["n >= 1", "n % 8 == 0"],
        "roles": {"in": "x"},
        "accumulates": False,
        "autodiff": True,
        "effort": "quick",
    }
    entry = config.entry_from(table, "here")
    assert entry.command == (
        "f.c:f --op softmax --assume 'n >= 1' --assume 'n % 8 == 0' --roles in=x --autodiff"
    )


def test_targets_are_relative_to_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Below the working folder targets stay short; absolute ones stay as they are."""
    (tmp_path / "sub").mkdir()
    text = '[[candidate]]\ntarget = "a.py:f"\nop = "softmax"\n[[candidate]]\ntarget = "/x/a.c:f"\n'
    path = written(tmp_path / "sub", text + 'op = "softmax"\n')
    monkeypatch.chdir(tmp_path)
    assert [entry.target for entry in config.read(path)] == ["sub/a.py:f", "/x/a.c:f"]


@pytest.mark.parametrize("file", ["a.cxx", "lib/liba.so.1", "liba.dylib", "a.cc"])
def test_every_kind_of_file_is_relative_to_the_configuration(tmp_path: Path, file: str) -> None:
    """What is a file for `softjac.verify` is one in the configuration, too."""
    path = written(tmp_path, f'[[candidate]]\ntarget = "{file}:f"\nop = "softmax"\n')
    assert [entry.target for entry in config.read(path)] == [f"{tmp_path}/{file}:f"]


@pytest.mark.parametrize("content", ["tool = 3", "[tool]\nsoftjac = 3"])
def test_a_table_that_is_none_is_named(tmp_path: Path, content: str) -> None:
    """`tool` without tables holds nothing of softjac's; `tool.softjac` must be a table."""
    path = written(tmp_path, content, "pyproject.toml")
    if "softjac" not in content:
        assert config.find(tmp_path) is None
        return
    with pytest.raises(ArgumentError, match=r"tool\.softjac must be a table"):
        config.read(path)


@pytest.mark.parametrize(
    "content, message",
    [
        ('prototipe = "x"', "unknown key prototipe; known: "),
        ('efort = "quick"', "unknown key efort; did you mean effort?"),
        ("[[candidates]]", "unknown key candidates; did you mean candidate?"),
        ('[[candidate]]\ntarget = "a:f"\nop = "softmax"\nnot_reentrant = true', "not-reentrant?"),
        ('[[candidate]]\ntarget = "a:f"\nop = 3', "'op' must be a string, not 3"),
        ('[[candidate]]\ntarget = "a:f"\nop = "softmax"\nassume = [1]', "a list of strings"),
        ('[[candidate]]\ntarget = "a:f"\nop = "softmax"\nroles = {a = 1}', "a table of strings"),
        ('[[candidate]]\ntarget = "a:f"\nop = "softmax"\nseed = true', "an integer, not True"),
        ("seed = -1", r"'seed' must be from 0 to 2\*\*32 - 1, not -1"),
        ("seed = 4294967296", r"'seed' must be from 0 to 2\*\*32 - 1"),
        ('[[candidate]]\nop = "softmax"', "'target' is missing"),
        ('[[candidate]]\ntarget = "a:f"', "'op' is missing"),
        ('[[candidate]]\ntarget = "a:f"\nop = "softmax"\n' * 2, "is taken"),
        ("candidate = 3", r"written as \[\[candidate\]\] tables"),
        ("effort = ", "cannot be read as TOML"),
        ("", r"no \[\[candidate\]\] in it"),
    ],
)  # fmt: skip
def test_mistakes_are_named(tmp_path: Path, content: str, message: str) -> None:
    """A mistake in the file is an error that says where it is and what was expected."""
    path = written(tmp_path, content)
    with pytest.raises(ArgumentError, match=message) as caught:
        config.read(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_nearest_configuration_holds(tmp_path: Path) -> None:
    """Folders are searched upwards; a pyproject.toml without [tool.softjac] is passed over."""
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    assert config.find(inner) is None
    candidate = '[[tool.softjac.candidate]]\ntarget = "m:f"\nop = "softmax"\n'
    outer = written(tmp_path, candidate, "pyproject.toml")
    written(tmp_path / "a", "[project]\n", "pyproject.toml")
    assert config.find(inner) == outer
    assert [entry.name for entry in config.read(outer)] == ["m:f softmax"]
    near = written(tmp_path / "a", "")
    assert config.find(inner) == near
