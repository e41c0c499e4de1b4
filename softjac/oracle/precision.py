"""What describes a dtype to the judge: unit roundoff, smallest normal, largest finite."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["PRECISIONS", "Precision"]


@dataclass(frozen=True, slots=True)
class Precision:
    """A storage dtype and the arithmetic an honest candidate does on it.

    u:       unit roundoff of the arithmetic (float32's for 16-bit storage).
    u_out:   rounding of the stored result; 0 where storage and arithmetic are one.
    tiny:    F of the bounds: flushing below it is always allowed. For float16 it is the smallest
             subnormal, 2^-24: its smallest normal, 2^-14, would excuse an all-zero softmax.
    largest: largest finite number of the storage.
    """

    name: str
    bits: int
    u: float
    u_out: float
    tiny: float
    largest: float


PRECISIONS = {
    "float32": Precision("float32", 32, 2.0**-24, 0.0, 2.0**-126, (2 - 2.0**-23) * 2.0**127),
    "float64": Precision("float64", 64, 2.0**-53, 0.0, 2.0**-1022, (2 - 2.0**-52) * 2.0**1023),
    "bfloat16": Precision("bfloat16", 16, 2.0**-24, 2.0**-8, 2.0**-126, (2 - 2.0**-7) * 2.0**127),
    "float16": Precision("float16", 16, 2.0**-24, 2.0**-11, 2.0**-24, 65504.0),
}
