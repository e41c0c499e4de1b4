"""The record as a page of Markdown and a picture."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from record_others import SPECIAL, special
from record_peers import PEERS, SHAPES

from tests.mutants.judge_all import Judgement
from tests.mutants.specimen import Mutant, Specimen

__all__ = ["page", "picture"]

Opinions = dict[str, dict[str, str]]
MARKS = {"accepts": "accepts", "refuses": "✗", "crashes": "✗ crash", "hangs": "✗ hang", "": "–"}
SPECIAL_WORDS = (
    "Here libraries differ, and none is wrong: softjac reports it, and judges it only with "
    "`--nonfinite strict`. In float32, the row (or the shape of an empty array) in the first line."
)
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
    drawn: str,
) -> str:
    """The whole page; `drawn` says how the specimens were drawn, if they are a sample."""
    by_name = {judgement.name: judgement for judgement in judgements}
    mutants = [s for s in specimens if isinstance(s, Mutant)]
    right = [s for s in specimens if not isinstance(s, Mutant)]
    parts = [
        "# The record",
        _opening(mutants, right, by_name, said, others),
        *([drawn] if drawn else []),
        _summary(mutants, right, by_name, said),
        "![Share of the wrong kernels that each check accepts](record.svg)",
        _names([by_name[m.name] for m in mutants]),
        f"Made by `make record` with {_versions()}, at effort `{effort}`.",
    ]
    if missing:
        parts.append(f"Left out, their library is not installed: {', '.join(missing)}.")
    parts += ["## How the others are asked", _method()]
    parts += ["## Implementations nobody here wrote", _others_table(others)]
    parts += ["### NaN, infinities and empty input", SPECIAL_WORDS, _special_table()]
    parts += ["## Right implementations", _right_table(right, by_name, said)]
    parts += ["## Wrong kernels", _mutant_table(mutants, by_name, said)]
    return "\n\n".join(parts) + "\n"


def _opening(
    mutants: Sequence[Specimen],
    right: Sequence[Specimen],
    by_name: dict[str, Judgement],
    said: Opinions,
    others: Sequence[dict[str, Any]],
) -> str:
    """What was judged, and what came of it, in a paragraph."""
    missed = sum(not by_name[m.name].right for m in mutants)
    refused = sum(not by_name[s.name].right for s in right)
    shares = {peer: _counts(mutants, said, peer) for peer in PEERS}
    asked = {peer: counts for peer, counts in shares.items() if counts[0]}
    best = max(asked, key=lambda peer: asked[peer][1] / asked[peer][0])
    honest, wrong = _counts(right, said, best)
    judged = [other for other in others if "error" not in other]
    alarms = sum(other["verdict"] == "refuted" for other in judged)
    return (
        f"Of {len(mutants)} wrong kernels (`tests/mutants/`: C, C++ and Python, most of them bugs "
        f"that were shipped or published) softjac accepts **{missed}**; of {len(right)} right ones "
        f"(`tests/honest/`) it refuses **{refused}**. The best of the checks that people use "
        f"today, {best}, accepts {asked[best][0] - asked[best][1]} of the {asked[best][0]} wrong "
        f"ones it can be asked about, and refuses {wrong} of {honest} right ones. Of {len(judged)} "
        "candidates that are functions of other libraries, in float32 and float64, softjac "
        f"refuses **{alarms}**."
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
    """A row a check: the wrong ones it accepts, and the right ones it refuses."""
    lines = [
        "| check | wrong ones accepted | of those it can judge | share | right ones refused | of |",
        "|---|---|---|---|---|---|",
    ]
    missed = sum(not by_name[m.name].right for m in mutants)
    false = sum(not by_name[s.name].right for s in right)
    share = f"{100 * missed / len(mutants):.0f} %"
    lines.append(
        f"| **softjac** | **{missed}** | {len(mutants)} | {share} | **{false}** | {len(right)} |"
    )
    for peer in PEERS:
        asked, refused = _counts(mutants, said, peer)
        honest, alarms = _counts(right, said, peer)
        share = f"{100 * (asked - refused) / asked:.0f} %" if asked else "–"
        lines.append(f"| {peer} | {asked - refused} | {asked} | {share} | {alarms} | {honest} |")
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


def _special_table() -> str:
    """What the forward functions of other libraries give for rows that are no ordinary numbers."""
    lines = [
        f"| implementation | {' | '.join(f'`{case}`' for case in SPECIAL)} |",
        "|---" * (1 + len(SPECIAL)) + "|",
    ]
    for shown, answers in special():
        lines.append(f"| {shown} | {' | '.join(answers)} |")
    return "\n".join(lines)


def picture(
    specimens: Sequence[Specimen],
    judgements: Sequence[Judgement],
    said: Opinions,
    file: Path,
) -> None:
    """A bar a check: of the wrong kernels it can be asked about, the share it accepts."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    mutants = [s for s in specimens if isinstance(s, Mutant)]
    caught = sum(j.right for j in judgements if j.checks)
    counts = {"softjac": (len(mutants), caught)}
    counts |= {peer: _counts(mutants, said, peer) for peer in PEERS}
    counts = {name: both for name, both in counts.items() if both[0]}
    accepted = [100 * (asked - refused) / asked for asked, refused in counts.values()]
    figure, axes = plt.subplots(figsize=(7, 3.4), layout="constrained")
    drawn = axes.barh(list(counts), accepted, color=["#1b7f4b", *["#b3402e"] * (len(counts) - 1)])
    words = [f"{asked - refused} of {asked}" for asked, refused in counts.values()]
    axes.bar_label(drawn, words, padding=3)
    axes.set(
        xlim=(0, 100), xlabel="wrong kernels accepted, % of those the check can be asked about"
    )
    axes.invert_yaxis()
    axes.spines[["top", "right"]].set_visible(False)
    mpl.rcParams["svg.hashsalt"] = "record"  # the same bits for the same numbers
    figure.savefig(file, metadata={"Date": None})
    plt.close(figure)
