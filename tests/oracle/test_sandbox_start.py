"""The sandbox for C: how it starts, and that nothing of it stays behind."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from hostile import call, hostile, opened

from softjac._errors import CandidateError, SandboxError
from softjac.oracle import sandbox as sandboxes
from softjac.oracle.calls import native_sandbox
from softjac.oracle.candidate import load


def test_no_process_outlives_the_sandbox() -> None:
    """Copies that a candidate leaves behind are ended with the sandbox."""
    with opened("forks_and_lingers") as sandbox:
        sandbox.run([call(5)] * 3)
        child = sandbox._child  # type: ignore[attr-defined]
        group = child._process.pid
        assert len(members(group)) == 4
    deadline = time.monotonic() + 5
    while members(group) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert members(group) == []


def members(group: int) -> list[int]:
    """The processes of a group that are still running."""
    listing = subprocess.run(
        ["ps", "-eo", "pid=,pgid=,stat="], capture_output=True, text=True, check=True
    )
    lines = [line.split() for line in listing.stdout.splitlines()]
    return [int(pid) for pid, owner, state in lines if int(owner) == group and "Z" not in state]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("_exit(9);", "exit status 9"),
        ("static int *volatile p; *p = 1;", "SIGSEGV"),
        ("for (;;);", "does not end"),
    ],
)
def test_a_library_that_misbehaves_when_loaded_is_an_error(
    body: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a library does when it is opened happens to the child, and is said in one line."""
    monkeypatch.setattr(native_sandbox, "_START_SECONDS", 1.0)
    source = tmp_path / "loaded.c"
    source.write_text(
        "#include <unistd.h>\n__attribute__((constructor)) static void begin(void) "
        f"{{ {body} }}\nvoid f(const float *x, float *y, int n) {{}}\n"
    )
    given = load(f"{source}:f", op="softmax", prototype="void f(const float *x, float *y, int n)")
    with pytest.raises(CandidateError, match=reason), sandboxes.open_sandbox(given):
        pass


def test_a_missing_library_says_how_to_build_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the compiled guard there is no sandbox, and the message says what to do."""
    monkeypatch.setattr(sandboxes._library, "path", lambda: Path("nowhere/libsoftjac.so"))
    with pytest.raises(SandboxError, match="make lib"), opened("honest"):
        pass


def test_a_library_of_another_version_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A library without the guard, or with another one, is no sandbox."""
    other = hostile("honest").plan.library  # type: ignore[union-attr]
    monkeypatch.setattr(sandboxes._library, "path", lambda: Path(other))
    with pytest.raises(SandboxError, match="of another version: rebuild it"), opened("honest"):
        pass


def test_the_child_for_c_loads_neither_numpy_nor_jax() -> None:
    """The worker's module needs the standard library alone."""
    code = (
        "import sys, softjac.oracle.calls.native_worker; "
        "sys.exit(bool({'numpy', 'jax', 'ml_dtypes'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_nothing_is_left_open() -> None:
    """A sandbox gives back every descriptor it opened."""

    def descriptors() -> int:
        return len(list(Path("/dev/fd").iterdir()))

    with opened("exits", timeout=1) as sandbox:
        sandbox.run([call(5)])
    before = descriptors()
    for _ in range(3):
        with opened("exits", timeout=1) as sandbox:
            sandbox.run([call(4), call(5)])
            sandbox.run_threads([call(4), call(6)])
    assert descriptors() == before


def test_data_is_no_function(tmp_path: Path) -> None:
    """A symbol of a variable is told as what it is, before anything is called."""
    source = tmp_path / "data.c"
    source.write_text("int f = 3;\n")
    given = load(f"{source}:f", op="softmax", prototype="void f(const float *x, float *y, int n)")
    with pytest.raises(CandidateError, match="f is data"), sandboxes.open_sandbox(given):
        pass
