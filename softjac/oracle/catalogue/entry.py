"""The form of an entry of the catalogue."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Entry"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One known mistake.

    title:       one sentence that names the mistake.
    explanation: what is wrong, with the wrong and the right formula, and what reveals it.
    fix:         what to change.
    seen_in:     public places where it was shipped or published, as project#issue.
    """

    title: str
    explanation: str
    fix: str
    seen_in: tuple[str, ...] = ()
