"""All mutants and all right implementations, read once from their source files."""

from __future__ import annotations

from pathlib import Path

from tests.mutants.specimen import Honest, Mutant, honest, mutants

__all__ = ["HONEST", "HONEST_FOLDER", "MUTANTS", "MUTANTS_FOLDER"]

MUTANTS_FOLDER = Path(__file__).parent
HONEST_FOLDER = MUTANTS_FOLDER.parent / "honest"
MUTANTS: list[Mutant] = mutants(MUTANTS_FOLDER)
HONEST: list[Honest] = honest(HONEST_FOLDER)
