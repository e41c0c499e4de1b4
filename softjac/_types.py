"""Array aliases and the dtypes softjac supports."""

from __future__ import annotations
