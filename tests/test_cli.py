"""The command line: what it takes, prints and returns, and how fast it starts."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from softjac.cli import main
from softjac.cli.commands import cli
from softjac.oracle import run
from softjac.oracle.catalogue import CATALOGUE
from softjac.oracle.findings import CheckResult, Report
from softjac.oracle.reports import info

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    """Run the command in this process: exit status, output, errors."""

    def run_it(*words: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(words)
        shown = capsys.readouterr()
        return int(ended.value.code or 0), shown.out, shown.err

    return run_it


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Take the judge's place: note what it is asked, and answer as the target's name says."""
    noted: dict[str, Any] = {}

    def verify(target: str, progress: Callable[..., None], **options: Any) -> Report:
        noted.update(options, target=target)
        progress("values", 1, 2)
        check = CheckResult("values", "pass", 2, 0.5)
        progress(check)
        verdict: Any = target.rpartition(":")[2]
        return Report(target, options["op"], "float32", verdict, checks=[check])

    monkeypatch.setattr(run, "verify", verify)
    return noted


def test_version_is_there_at_once() -> None:
    """`softjac --version` takes less than 0.2 s of the processor: nothing heavy is imported."""
    spent = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        found = subprocess.run(
            [sys.executable, "-m", "softjac", "--version"], capture_output=True, text=True
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        assert found.stdout.startswith("softjac, version ")
    assert min(spent) < 0.2


def test_the_command_does_not_load_jax() -> None:
    """Help and version need neither JAX, NumPy nor rich."""
    code = "import sys, softjac.cli; print({'jax', 'numpy', 'rich', 'jinja2'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert found.stdout.strip() == "set()"


@pytest.mark.parametrize(
    "verdict, status", [("verified", 0), ("refuted", 1), ("error", 2), ("inconclusive", 3)]
)
def test_exit_status_is_the_verdict(
    command: Command, asked: dict[str, Any], verdict: str, status: int
) -> None:
    """0 verified, 1 refuted, 2 cannot run, 3 inconclusive."""
    assert command("verify", f"m:{verdict}", "--op", "softmax")[0] == status
    assert asked["target"] == f"m:{verdict}"


@pytest.mark.parametrize(
    "verdicts, status",
    [
        (("verified", "verified"), 0),
        (("inconclusive", "verified"), 3),
        (("inconclusive", "refuted", "verified"), 1),
        (("refuted", "error", "inconclusive"), 2),
    ],
)
def test_all_ends_with_the_worst(
    command: Command,
    asked: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    verdicts: tuple[str, ...],
    status: int,
) -> None:
    """`--all` judges every candidate and ends with the worst: 2, then 1, then 3, then 0."""
    monkeypatch.chdir(tmp_path)
    tables = [
        f'[[candidate]]\nname = "{i}"\ntarget = "m:{v}"\nop = "softmax"\n'
        for i, v in enumerate(verdicts)
    ]
    Path("softjac.toml").write_text("".join(tables))
    ended, output, _ = command("verify", "--all", "--effort", "quick", "--json", "out/a.json")
    assert ended == status
    assert f"\n{len(verdicts)} candidates: " in output
    assert f"{verdicts.count(min(verdicts))} {min(verdicts)}" in output
    assert asked["effort"] == "quick"
    written = json.loads(Path("out/a.json").read_text())
    assert [report["verdict"] for report in written["reports"]] == list(verdicts)


def test_options_arrive_as_verify_takes_them(command: Command, asked: dict[str, Any]) -> None:
    """Every option of the contract reaches the judge under its name; absent ones do not."""
    words = (
        "verify m:verified --op softmax_vjp --dtype float64 --roles p=y,g=dy --not-reentrant "
        "--in-place dx=dy --align 32 --accumulates --nonfinite strict --over-read 28 --autodiff "
        "--effort thorough --seed 7 --timeout 2.5 --array jax --header f.h --cflags=-O3"
    )
    status, _, errors = command(
        *words.split(), "--assume", "n % 8 == 0", "--assume", "n >= 1", "--prototype", "void f()"
    )
    assert (status, errors) == (0, "")
    assert asked == {
        "target": "m:verified",
        "op": "softmax_vjp",
        "dtype": "float64",
        "roles": {"p": "y", "g": "dy"},
        "not_reentrant": True,
        "in_place": ("dx=dy",),
        "align": 32,
        "accumulates": True,
        "nonfinite": "strict",
        "over_read": 28,
        "autodiff": True,
        "effort": "thorough",
        "seed": 7,
        "timeout": 2.5,
        "array": "jax",
        "header": "f.h",
        "cflags": ("-O3",),
        "assume": ("n % 8 == 0", "n >= 1"),
        "prototype": "void f()",
    }
    asked.clear()
    command("verify", "m:verified", "--op", "softmax", "--seed", "0", "--over-read", "0")
    assert asked == {"target": "m:verified", "op": "softmax", "seed": 0, "over_read": 0}
    asked.clear()
    command("verify", "m:verified", "--op", "softmax")
    assert asked == {"target": "m:verified", "op": "softmax"}


def test_reports_are_written(command: Command, asked: dict[str, Any], tmp_path: Path) -> None:
    """Each report that was asked for is a file; folders are made."""
    files = {kind: tmp_path / "deep" / kind for kind in ("json", "junit-xml", "html", "markdown")}
    words = [word for kind, file in files.items() for word in (f"--{kind}", str(file))]
    assert command("verify", "m:refuted", "--op", "softmax", *words)[0] == 1
    starts = {"json": '{\n "schema": 1', "junit-xml": "<?xml", "html": "<!DOCTYPE", "markdown": "#"}
    for kind, file in files.items():
        assert file.read_text().startswith(starts[kind])


def test_a_log_has_a_line_a_check_and_no_bar(command: Command, asked: dict[str, Any]) -> None:
    """Without a terminal there are no colours and no progress bar."""
    _, output, _ = command("verify", "m:verified", "--op", "softmax")
    lines = output.splitlines()
    assert lines[0] == "m:verified: softmax"
    assert lines[1].split() == ["values", "pass", "2", "calls", "error/bound", "0.5"]
    assert lines[2].startswith("VERIFIED  m:verified: softmax, float32")
    assert "\x1b" not in output


def test_quiet_says_only_the_verdict(command: Command, asked: dict[str, Any]) -> None:
    """--quiet leaves one line a candidate."""
    _, output, _ = command("verify", "m:refuted", "--op", "softmax", "--quiet")
    assert output == "REFUTED m:refuted: softmax, float32\n"


def test_github_gets_annotations(
    command: Command, asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a GitHub workflow a refuted candidate is annotated."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    _, output, _ = command("verify", "m:refuted", "--op", "softmax")
    assert output.splitlines()[-1].startswith("::error title=softjac%3A refuted::REFUTED")


@pytest.mark.parametrize(
    "words, message",
    [
        ("verify", "TARGET is missing"),
        ("verify m:f", "--op is missing"),
        ("verify m:f --op softmaxx", "did you mean softmax? See softjac verify --help"),
        ("verify m:f --op softmax --json .", "File '.' is a directory"),
        ("verify --all m:f", "leave TARGET out"),
        ("verify --all --assume n>=1", "leave --assume out"),
        ("verify m:f --op softmax --roles a", "expected name=role,..., got 'a'"),
        ("verify m:f --op softmax --unknown", "No such option"),
        ("verfy", "No such command 'verfy'"),
        ("show one", "'one' is not a valid float"),
        ("diagnoses diagonal", "did you mean diagonal-only?"),
        ("replay STRING m:f", "--op is missing"),
        ("verify m:f --op softmax --seed -1", "-1 is not in the range"),
        ("verify m:f --op softmax --seed 4294967296", "is not in the range"),
        ("verify m:f --op softmax --json /dev/null/x", "cannot write /dev/null/x"),
    ],
)
def test_errors_are_one_line_and_status_2(
    command: Command, asked: dict[str, Any], words: str, message: str
) -> None:
    """What cannot run ends with 2 and one line that says what to do, before anything is judged."""
    status, _, errors = command(*words.split())
    assert (status, asked) == (2, {})
    assert errors.startswith("softjac: ")
    assert message in errors
    assert errors.count("\n") == 1


def test_looking_whether_a_report_can_be_written_leaves_no_file(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that is cut off leaves neither an empty report nor half of an old one."""

    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "verify", interrupted)
    (tmp_path / "old.json").write_text("old")
    for name in ("old", "new"):
        file = str(tmp_path / f"{name}.json")
        assert command("verify", "m:f", "--op", "softmax", "--json", file)[0] == 130
    assert [file.name for file in tmp_path.iterdir()] == ["old.json"]
    assert (tmp_path / "old.json").read_text() == "old"


@pytest.mark.parametrize(
    "words", ["--help", "ops", "diagnoses", "show 1 2", "verify absent.c:f --op softmax", "verfy"]
)
def test_a_reader_that_has_gone_is_no_refutation(words: str) -> None:
    """Where the pipe is closed the status is 141, as for any command, and nothing is said."""
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "softjac", *words.split()]
    try:
        done = subprocess.run(command, stdout=writer, stderr=subprocess.STDOUT)
    finally:
        os.close(writer)
    assert done.returncode == 141


def test_all_without_a_file_says_how_to_write_one(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`verify --all` where nothing is configured is an error that names `softjac init`."""
    monkeypatch.chdir(tmp_path)
    status, _, errors = command("verify", "--all")
    assert status == 2
    assert "`softjac init HEADER`" in errors


def test_a_fault_of_softjac_is_not_a_verdict(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unexpected exception ends with 2, never with 1, and asks for a report."""

    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("inside")

    monkeypatch.setattr(info, "info_lines", broken)
    status, _, errors = command("info")
    assert status == 2
    assert "RuntimeError: inside" in errors
    assert errors.splitlines()[-1].startswith("softjac: this is a fault of softjac itself")


def test_a_fault_of_softjac_loses_no_other_report(
    command: Command, asked: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One candidate's unexpected exception is its error; the others are judged and written."""
    stand_in = run.verify

    def broken(target: str, **options: Any) -> Report:
        if target == "m:broken":
            raise RuntimeError("inside")
        return stand_in(target, **options)

    monkeypatch.setattr(run, "verify", broken)
    monkeypatch.chdir(tmp_path)
    names = ("verified", "broken", "refuted")
    tables = [f'[[candidate]]\ntarget = "m:{name}"\nop = "softmax"\n' for name in names]
    Path("softjac.toml").write_text("".join(tables))
    status, output, errors = command("verify", "--all", "--json", "a.json")
    assert status == 2
    assert "RuntimeError: inside" in errors  # with the way there, for who mends it
    assert "this is a fault of softjac itself" in output
    reports = json.loads(Path("a.json").read_text())["reports"]
    assert [report["verdict"] for report in reports] == ["verified", "error", "refuted"]
    assert reports[1]["error"].startswith("RuntimeError: inside; this is a fault of softjac")


def test_show_prints_softmax_jacobian_and_vjp(command: Command) -> None:
    """`softjac show 1 2` prints 0.26894142, 0.73105858 and a Jacobian of ±0.19661193."""
    status, output, _ = command("show", "1", "2")
    assert status == 0
    lines = [line.split() for line in output.splitlines()]
    assert lines[1] == ["y", "0.26894142", "0.73105858"]
    assert lines[4:6] == [["0.19661193", "-0.19661193"], ["-0.19661193", "0.19661193"]]
    assert ["dx", "0.19661193", "-0.19661193"] in lines


def test_show_keeps_the_tails_and_takes_negative_logits(command: Command) -> None:
    """At [40, 0] the small component is there; a negative logit is not taken for an option."""
    assert "4.24835426e-18 -4.24835426e-18" in command("show", "40", "0")[1]
    status, output, _ = command("show", "-1", "-inf", "3")
    assert status == 0
    assert output.splitlines()[1].split() == ["y", "0.01798621", "0.00000000", "0.98201379"]


def test_ops_lists_every_op_with_its_roles(command: Command) -> None:
    """All eight ops, each with what it takes and gives."""
    _, output, _ = command("ops")
    assert len([line for line in output.splitlines() if not line.startswith(" ")]) == 8
    assert "takes y, dy or x, dy; gives dx" in output


def test_diagnoses_lists_and_explains_every_bug(command: Command) -> None:
    """Without an identifier all are listed; with one it is explained, with its fix."""
    listed = command("diagnoses")[1]
    for name, entry in CATALOGUE.items():
        assert f"  {name} " in listed
        page = command("diagnoses", name)[1]
        assert " ".join(page.split()).startswith(f"{name}: {entry.title}")
        assert "Fix: " in page


def test_info_says_what_is_in_use(command: Command) -> None:
    """Versions, the CPU's features and the kernels' instruction set."""
    facts = dict(line.split(maxsplit=1) for line in command("info")[1].splitlines())
    assert {"softjac", "python", "jax", "numpy", "machine", "cpu", "kernels"} <= facts.keys()


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_every_help_text_has_an_example(command: Command, name: str) -> None:
    """Help teaches: each command shows at least one line to type."""
    status, output, _ = command(name, "--help")
    assert status == 0
    assert f"\n    softjac {name}" in output
    assert "\\b" not in output
    assert all(len(line) <= 100 for line in output.splitlines())


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_in_the_shell(shell: str) -> None:
    """The shells get their completion script, and the names of ops complete."""
    environment = {**os.environ, "_SOFTJAC_COMPLETE": f"{shell}_source"}
    words = [str(Path(sys.executable).with_name("softjac"))]
    if shell == "bash" and not Path("/bin/bash").exists():
        pytest.skip("no bash here, whose version the script asks for")
    found = subprocess.run(words, env=environment, capture_output=True, text=True)
    assert "_SOFTJAC_COMPLETE" in found.stdout


@pytest.mark.parametrize(
    "words, last, offered",
    [
        ("softjac verify --op softmax_v", 3, ["plain,softmax_vjp"]),
        ("softjac diagnoses pointer", 2, ["plain,pointer-not-advanced"]),
        ("softjac verify ker", 2, ["file,ker"]),
    ],
    ids=["op", "diagnosis", "target"],
)
def test_words_are_completed(words: str, last: int, offered: list[str]) -> None:
    """Names of ops and of bugs complete, and a target as a file does."""
    environment = {
        **os.environ,
        "_SOFTJAC_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(last),
    }
    command = [str(Path(sys.executable).with_name("softjac"))]
    found = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert found.stdout.split() == offered
