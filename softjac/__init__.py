"""softjac: the oracle for softmax and its derivatives, with the reference and the kernels."""

from __future__ import annotations

__version__ = "0.1.0"
