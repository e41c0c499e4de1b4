"""The ops, one file each: adding an op adds a file here and changes no other."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from softjac.oracle.op import Op

__all__ = ["OPS"]

OPS: dict[str, Op] = {
    module.name: import_module(f"{__name__}.{module.name}").OP for module in iter_modules(__path__)
}
