"""What each diagnosis means: one entry for every identifier the oracle can name.

The entries are grouped by family: derivative formulas, forward formulas and precision, the
layout of vector code and arrays, and behaviour (memory, state, liveness). A new diagnosis is a
new entry in one of the family modules; nothing else here changes.
"""

from __future__ import annotations

from softjac.oracle.catalogue.behaviour import BEHAVIOUR
from softjac.oracle.catalogue.derivative import DERIVATIVE
from softjac.oracle.catalogue.entry import Entry
from softjac.oracle.catalogue.forward import FORWARD
from softjac.oracle.catalogue.layout import LAYOUT

__all__ = ["CATALOGUE", "Entry"]

CATALOGUE: dict[str, Entry] = {**DERIVATIVE, **FORWARD, **LAYOUT, **BEHAVIOUR}
