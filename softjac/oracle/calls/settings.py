"""Settings of the Python process that outlive a call: whoever changes them must put them back."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["put_back", "settings"]

# What JAX takes for true in the variable that it reads when it is imported.
_TRUE = ("y", "yes", "t", "true", "on", "1")
_STARTS_WIDE = os.environ.get("JAX_ENABLE_X64", "").lower() in _TRUE


def _folder() -> str:
    try:
        return str(Path.cwd())
    except OSError:  # it was removed
        return ""


def _go_back(folder: str) -> None:
    with contextlib.suppress(OSError):
        os.chdir(folder)


def _wide() -> bool:
    """JAX's mode; before JAX is imported, the mode that it will start in."""
    jax = sys.modules.get("jax")
    return _STARTS_WIDE if jax is None else bool(jax.config.jax_enable_x64)


def _set_wide(wide: bool) -> None:
    sys.modules["jax"].config.update("jax_enable_x64", wide)


# How each is read, and set. Nothing that importing a library changes is among them, such as random
# generators, filters of warnings and environment variables: candidates may import at leisure.
_SETTINGS: Mapping[str, tuple[Callable[[], Any], Callable[[Any], object]]] = {
    "NumPy's error handling": (np.geterr, lambda errors: np.seterr(**errors)),
    "garbage collection": (gc.isenabled, lambda on: gc.enable() if on else gc.disable()),
    "current folder": (_folder, _go_back),
    "JAX's 64-bit mode": (_wide, _set_wide),
}


def settings() -> Mapping[str, Any]:
    """What they are now, by their names for reports."""
    return {name: read() for name, (read, _) in _SETTINGS.items()}


def put_back(before: Mapping[str, Any]) -> tuple[str, ...]:
    """Make the settings what they were before, and name those that were something else."""
    changed = tuple(name for name, value in settings().items() if value != before[name])
    for name in changed:
        _SETTINGS[name][1](before[name])
    return changed
