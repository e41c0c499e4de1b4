"""Has griffe read a docstring's section "Example:" as its "Examples:": doctests become code."""

from __future__ import annotations

import re
from typing import Any

import griffe


class Example(griffe.Extension):
    """Renames the section while the sources are read."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """One object of the package."""
        if obj.docstring:
            title = re.compile(r"^(\s*)Example:$", re.MULTILINE)
            obj.docstring.value = title.sub(r"\1Examples:", obj.docstring.value)
