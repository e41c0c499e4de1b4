"""What the tests of the specimens share; the specimens themselves are read, not collected."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mutants.registry import HONEST_FOLDER, MUTANTS_FOLDER
from tests.mutants.specimen import build

collect_ignore_glob = ["*_forward.py", "*_derivatives.py", "*_behaviour.py", "autodiff_*.py"]


@pytest.fixture(scope="session")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, Path]:
    """The shared library built from each C and C++ file of the specimens."""
    into = tmp_path_factory.mktemp("libraries")
    return build(MUTANTS_FOLDER, into) | build(HONEST_FOLDER, into)
