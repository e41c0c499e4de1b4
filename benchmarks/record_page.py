"""The record as a page of Markdown and a picture."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from record_peers import PEERS, SHAPES

from tests.mutants.judge_all import Judgement
from tests.mutants.specimen import Mutant, Specimen

__all__ = ["page", "picture"]

Opinions = dict[str, dict[str, str]]
MARKS = {"accepts": "accepts", "refuses": "✗", "crashes": "✗ crash", "hangs": "✗ hang", "": "–"}
DISTRIBUTIONS = (
    "softjac", "jax", "jaxlib", "numpy", "torch", "scipy", "scikit-learn", "onnxruntime",
    "autograd", "numguard-ci",
)  # fmt: skip


def page(
    specimens: Sequence[Specimen],
    judgements: Sequence[Judgement],
    said: Opinions,
    others: Sequence[dict[str, Any]],
    missing: Sequence[str],
    effort: str,
) -> str:
    """The whole record."""
    by_name = {judgement.name: judgement for judgement in judgements}
    mutants = [s for s in specimens if isinstance(s, Mutant)]
    right = [s for s in specimens if not isinstance(s, Mutant)]
    parts = [
        "# The record",
        f"Made by `make record` with {_versions()}, at effort `{effort}`.",
        _subject(len(mutants), len(right)),
        "![Share of mutants that each check refuses](record.svg)",
        _summary(mutants, right, by_name, said),
        _names([by_name[m.name] for m in mutants]),
        _method(),
    ]
    if missing:
        parts.append(f"Left out, their library is not installed: {', '.join(missing)}.")
    parts += ["## Mutants", _mutant_table(mutants, by_name, said)]
    parts += ["## Right implementations", _right_table(right, by_name, said)]
    parts += ["## Implementations nobody here wrote", _others_table(others)]
    parts += ["### NaN, infinities and masked rows", _notes(others)]
    return "\n\n".join(parts) + "\n"


def _subject(mutants: int, right: int) -> str:
    """What was judged, in a sentence."""
    return (
        f"{mutants} mutants (code that is wrong on purpose, `tests/mutants/`) and {right} right "
        "implementations (`tests/honest/`), each judged by the oracle and, in the same run, by the "
        "checks people use today."
    )


def _versions() -> str:
    """Names and versions of what took part."""
    found = [f"Python {platform.python_version()}"]
    for name in DISTRIBUTIONS:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            found.append(f"no {name}")
    return ", ".join(found)


def _counts(specimens: Sequence[Specimen], said: Opinions, peer: str) -> tuple[int, int]:
    """Of how many specimens a peer says anything, and how many it refuses."""
    answers = [said[s.name][peer] for s in specimens if said[s.name][peer]]
    return len(answers), sum(answer != "accepts" for answer in answers)


def _summary(
    mutants: Sequence[Specimen],
    right: Sequence[Specimen],
    by_name: dict[str, Judgement],
    said: Opinions,
) -> str:
    """A row a check: of what it can be asked about, how much it gets right."""
    lines = [
        "| check | mutants it can judge | refused | accepted | right ones it can judge | refused |",
        "|---|---|---|---|---|---|",
    ]
    caught = sum(by_name[m.name].right for m in mutants)
    false = sum(not by_name[s.name].right for s in right)
    lines.append(
        f"| **softjac** | {len(mutants)} | {caught} | {len(mutants) - caught} | {len(right)} "
        f"| {false} |"
    )
    for peer in PEERS:
        asked, refused = _counts(mutants, said, peer)
        honest, alarms = _counts(right, said, peer)
        lines.append(f"| {peer} | {asked} | {refused} | {asked - refused} | {honest} | {alarms} |")
    return "\n".join(lines)


def _names(judgements: Sequence[Judgement]) -> str:
    """How often the first diagnosis is right."""
    names = [judgement.named for judgement in judgements if judgement.named]
    if not names:
        return ""
    right, wrong = names.count("right"), names.count("wrong")
    unknown = names.count("unknown")
    return (
        f"Of {len(names)} refuted mutants the first diagnosis is right for {right} "
        f"({100 * right / len(names):.1f} %), `unknown` where there is a name for {unknown}, and "
        f"wrong for {wrong}."
    )


def _method() -> str:
    """What the peers are and how they are asked."""
    shapes = " and ".join(f"({rows}, {n})" for rows, n in SHAPES)
    lines = [f"- **{peer}**: {(ask.__doc__ or '').splitlines()[0]}" for peer, ask in PEERS.items()]
    return (
        f"The peers are asked the way people ask them: arrays of {shapes}, logits and cotangents "
        "from N(0, 1), every option at its default. A crash or a hang counts as refused. "
        "“–”: the check cannot be asked, as a gradient check about a forward function.\n\n"
        + "\n".join(lines)
    )


def _mutant_table(mutants: Sequence[Mutant], by_name: dict[str, Judgement], said: Opinions) -> str:
    """A row a mutant."""
    lines = [
        f"| mutant | op | what is wrong | softjac | calls | {' | '.join(PEERS)} |",
        "|---" * (5 + len(PEERS)) + "|",
    ]
    for mutant in mutants:
        judgement = by_name[mutant.name]
        first = judgement.diagnoses[0] if judgement.diagnoses else judgement.verdict
        verdict = f"✗ {first}" if judgement.verdict == "refuted" else judgement.verdict
        peers = " | ".join(MARKS[said[mutant.name][peer]] for peer in PEERS)
        text = mutant.text.replace("|", "\\|").replace("*", "\\*")
        lines.append(
            f"| `{mutant.name}` | {mutant.op} | {text} | {verdict} | {judgement.calls} | {peers} |"
        )
    return "\n".join(lines)


def _right_table(right: Sequence[Specimen], by_name: dict[str, Judgement], said: Opinions) -> str:
    """A row a right implementation that somebody refuses, and a count of the rest."""
    lines = [
        f"| implementation | op | dtype | softjac | {' | '.join(PEERS)} |",
        "|---" * (4 + len(PEERS)) + "|",
    ]
    silent = 0
    for specimen in right:
        judgement = by_name[specimen.name]
        if judgement.right and not set(said[specimen.name].values()) - {"accepts", ""}:
            silent += 1
            continue
        peers = " | ".join(MARKS[said[specimen.name][peer]] for peer in PEERS)
        lines.append(
            f"| `{specimen.name}` | {specimen.op} | {specimen.dtype} | {judgement.verdict} "
            f"| {peers} |"
        )
    return "\n".join([*lines, "", f"The other {silent} are accepted by every check."])


def _others_table(others: Sequence[dict[str, Any]]) -> str:
    """A row for each implementation and dtype."""
    lines = [
        "| implementation | op | dtype | verdict | calls | error / bound | tails kept |",
        "|---|---|---|---|---|---|---|",
    ]
    for other in others:
        if "error" in other:
            lines.append(f"| {other['shown']} | {other['op']} | {other['dtype']} | not run | | | |")
            continue
        tails = {True: "yes", False: "no", None: "–"}[other["tails"]]
        verdict = "; ".join([other["verdict"], *other["failed"]])
        lines.append(
            f"| {other['shown']} | {other['op']} | {other['dtype']} | {verdict} "
            f"| {other['calls']} | {other['ratio']:.2f} | {tails} |"
        )
    return "\n".join(lines)


def _notes(others: Sequence[dict[str, Any]]) -> str:
    """What the oracle reports, and does not judge, of rows with NaN, infinities or all masked."""
    lines = ["| implementation | dtype | beside JAX |", "|---|---|---|"]
    for other in others:
        lines.extend(
            f"| {other['shown']} | {other['dtype']} | {note.removeprefix('nonfinite: ')} |"
            for note in other.get("notes", [])
        )
    return "\n".join(lines)


def picture(
    specimens: Sequence[Specimen],
    judgements: Sequence[Judgement],
    said: Opinions,
    file: Path,
) -> None:
    """A bar a check: the share of the mutants that it can judge and refuses."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    mutants = [s for s in specimens if isinstance(s, Mutant)]
    caught = sum(j.right for j in judgements if j.checks)
    bars = {"softjac": (len(mutants), caught)}
    bars |= {peer: _counts(mutants, said, peer) for peer in PEERS}
    figure, axes = plt.subplots(figsize=(7, 3.2), layout="constrained")
    names = [f"{name}  ({asked})" for name, (asked, _) in bars.items()]
    shares = [100 * refused / asked if asked else 0 for asked, refused in bars.values()]
    colors = ["#1b7f4b", *["#9aa5b1"] * len(PEERS)]
    drawn = axes.barh(names, shares, color=colors)
    axes.bar_label(drawn, [f"{share:.0f} %" for share in shares], padding=3)
    axes.set(xlim=(0, 110), xlabel="mutants refused, of those it can be asked about (number)")
    axes.invert_yaxis()
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(file, metadata={"Date": None})
    plt.close(figure)
