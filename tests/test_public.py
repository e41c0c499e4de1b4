"""The public face: what is exported, that it is documented, and what importing it costs."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import subprocess
import sys
from typing import Any

import pytest

import softjac

MODULES = ["softjac", "softjac.layers", "softjac.sharded", "softjac.native", "softjac.lineax"]
OPTIONAL = {"softjac.lineax": "lineax"}  # the package without which a module cannot be imported
SECTIONS = ["Args:", "Returns:"]
REFERENCE = ("softjac._", "softjac.layers", "softjac.sharded", "softjac.lineax")


def public(module: str) -> list[Any]:
    """The names that a module exports with what they stand for, as a test's parameters."""
    needed = OPTIONAL.get(module)
    if needed and importlib.util.find_spec(needed) is None:
        skip = pytest.mark.skip(reason=f"{needed} is not installed")
        return [pytest.param(module, None, id=module, marks=skip)]
    loaded = importlib.import_module(module)
    return [
        pytest.param(f"{module}.{name}", getattr(loaded, name), id=f"{module}.{name}")
        for name in loaded.__all__
    ]


def test_importing_loads_neither_jax_nor_numpy() -> None:
    """`import softjac` alone is light: the command starts at once, a child may be forked."""
    program = "import sys, softjac; print(*{'jax', 'numpy', 'flint'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ""


def test_names_are_listed_and_found() -> None:
    """Every exported name exists, is listed by dir, and an unknown one is an AttributeError."""
    assert set(softjac.__all__) <= set(dir(softjac))
    for name in softjac.__all__:
        assert getattr(softjac, name) is not None
    with pytest.raises(AttributeError, match="no_such_name"):
        softjac.no_such_name  # noqa: B018 - the access is the test


def test_the_static_listing_agrees() -> None:
    """What type checkers are told is what is found at run time."""
    source = inspect.getsource(softjac)
    static = source.partition("if TYPE_CHECKING:")[2].partition("__all__")[0]
    for name in softjac.__all__:
        assert name in static, name


@pytest.mark.parametrize(("name", "value"), [found for m in MODULES for found in public(m)])
def test_everything_public_is_documented(name: str, value: Any) -> None:
    """A public name has a docstring; one of the reference all that a user asks."""
    documentation = inspect.getdoc(value) or ""
    assert documentation, f"{name} has no docstring"
    computes = inspect.isfunction(value) or hasattr(value, "mv")  # a function, or an operator
    if computes and value.__module__.startswith(REFERENCE):
        sections = SECTIONS if inspect.signature(value).parameters else SECTIONS[1:]
        for section in [*sections, "Numerics:", "Example:", "References:"]:
            assert section in documentation, f"{name}: no section {section}"
