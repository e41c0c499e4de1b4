"""A candidate on trial: runs batches in its sandbox, judges what came back, keeps the failures."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from softjac.oracle.calls.call import Call, Outcome
from softjac.oracle.candidate import Candidate, open_sandbox
from softjac.oracle.failure import Batch, Failure
from softjac.oracle.incidents import fits, incidents_of
from softjac.oracle.inputs import make
from softjac.oracle.judging import judge_process
from softjac.oracle.judging.awaited import Awaited
from softjac.oracle.judging.fit import Judged
from softjac.oracle.judging.kept import LARGE, keep
from softjac.oracle.judging.rows import judge_rows
from softjac.oracle.judging.sample import Sample
from softjac.oracle.op import Op
from softjac.oracle.ops import OPS
from softjac.oracle.planning.pace import Pace
from softjac.oracle.planning.plan import Effort, Task
from softjac.oracle.planning.series import outcomes_of
from softjac.oracle.planning.shapes import Shapes
from softjac.oracle.precision import PRECISIONS, Precision
from softjac.oracle.storage import storage

__all__ = ["Trial"]

Array = np.ndarray[Any, np.dtype[Any]]
Poison = Literal["nan", "finite"]

# No row's output is longer: a float64 array of it takes 17 MB, and judging takes a dozen of them.
LONGEST = 2_100_000

# How much longer than `values` another check may take by what is predicted, and what is said then.
LONGEST_CHECK = 4.0
SLOW = "a call takes so long that checks left out some"

# Elements whose judgement may be awaited while other calls run.
AWAITED = 6_000_000

# The shapes of a candidate that is compiled for each of them (0.1 to 1 s).
FEW_LENGTHS = (0, 1, 2, 3, 8, 10, 15, 16, 33, 64, 100, 129, 257, 1000, 1024, 2747, 8192, 65_537)
FEW_ROWS, CROWDED = 67, 8  # of that length as many rows as of any other candidate


@dataclass(slots=True)
class Trial:
    """The candidate, where it runs, and all that was found so far."""

    candidate: Candidate
    sandbox: Any
    effort: Effort
    seed: int
    timeout: float
    progress: Callable[..., None]
    calls: int = 0
    rows: int = 0
    seconds: float = 0.0
    own_sums: bool = True
    pace: Pace = field(default_factory=Pace)
    failures: list[Failure] = field(default_factory=list)
    passed: list[Batch] = field(default_factory=list)
    limits: list[str] = field(default_factory=list)
    worst: dict[str, float] = field(default_factory=dict)
    sound: dict[str, float] = field(default_factory=dict)
    collected: set[str] = field(default_factory=set)
    incidents: list[Failure] = field(default_factory=list)
    compiles: bool = False
    lengths: Counter[int] = field(default_factory=Counter)  # and how many rows of each
    wrong_lengths: set[int] = field(default_factory=set)
    most_rows: int = 0
    most_elements: int = 0
    awaited: deque[Awaited] = field(default_factory=deque)

    op: Op = field(init=False)
    precision: Precision = field(init=False)
    dtype: np.dtype[Any] = field(init=False)
    shapes: Shapes = field(init=False)

    def __post_init__(self) -> None:
        self.shapes = Shapes(self.candidate)
        self.op = OPS[self.candidate.op]
        self.precision = PRECISIONS[self.candidate.dtype]
        self.dtype = storage(self.candidate.dtype)

    @property
    def library_derivative(self) -> bool:
        """Whether a library may have taken the derivative, through the row's maximum too."""
        derivative = self.op.name != self.op.forward and "x" in self.candidate.inputs
        return derivative and self.candidate.kind == "python" and self.sandbox.traits.is_derived

    def elements(self, n: int) -> int:
        """Elements in one row's output."""
        return n * n if self.op.output == "jac" else n

    def allows(self, task: Task) -> bool:
        """Whether the candidate's preconditions, and what its compiler costs, admit this task."""
        return self.shapes.suits(task) and not (self.compiles and task.n not in FEW_LENGTHS)

    def possible(self, tasks: Iterable[Task]) -> Iterator[Task]:
        """Tasks as the preconditions, the memory and the time admit them, each once.

        Where the preconditions exclude one, another near it takes its place.
        """
        seen = set()
        seconds = 0.0
        for task in tasks:
            if not self.affordable(task.n):
                continue
            moved = self.shapes.moved(self.trimmed(task))
            if moved is None or moved in seen or not self.allows(moved):
                continue
            seen.add(moved)
            if not self.affordable(moved.n):
                continue
            cost = moved.size * self.pace.predicted(moved.n)
            if seconds + cost > LONGEST_CHECK * self.effort.seconds:
                if SLOW not in self.limits:
                    self.limits.append(SLOW)
                continue  # shorter rows may come
            seconds += cost
            yield moved

    def calls_of(self, task: Task, poison: Poison = "nan") -> tuple[dict[str, Array], list[Call]]:
        """The inputs of a task, and the calls that take them."""
        roles = self.candidate.inputs
        inputs = make(task.specs(), task.n, self.op, roles, self.precision, task.scale)
        return inputs, self.call(task, inputs, poison)

    def call(self, task: Task, inputs: dict[str, Array], poison: Poison) -> list[Call]:
        """The calls that take these inputs: one, or one a row."""
        common: Any = {"n": task.n, "scale": task.scale, "layout": task.layout, "poison": poison}
        rows = next(iter(inputs.values())).shape[0]
        if self.candidate.takes_rows:
            return [Call(inputs=inputs, rows=rows, **common)]
        parts = ({role: a[i : i + 1] for role, a in inputs.items()} for i in range(rows))
        return [Call(inputs=part, rows=1, **common) for part in parts]

    def run(self, tasks: Iterable[Task], poison: Poison = "nan") -> list[Batch]:
        """Runs tasks, in order, and gathers each one's outputs."""
        wanted = list(tasks)
        made = self._inputs_of(wanted)
        calls = {task: self.call(task, inputs, poison) for task, inputs in made.items()}
        return self._run([(task, made[task], calls[task]) for task in wanted])

    def _inputs_of(self, tasks: Iterable[Task]) -> dict[Task, dict[str, Array]]:
        """The inputs of tasks, made at once for those of one length and scale."""
        alike: dict[tuple[int, float], list[Task]] = {}
        for task in dict.fromkeys(tasks):
            alike.setdefault((task.n, task.scale), []).append(task)
        made: dict[Task, dict[str, Array]] = {}
        for (n, scale), several in alike.items():
            specs = [spec for task in several for spec in task.specs()]
            whole = make(specs, n, self.op, self.candidate.inputs, self.precision, scale)
            start = 0
            for task in several:
                part = slice(start, start + task.size)
                made[task] = {role: array[part] for role, array in whole.items()}
                start += task.size
        return made

    def run_aside(self, tasks: Iterable[Task]) -> list[Batch]:
        """Like `run`, but incidents are discarded, except changes to the process environment."""
        with self.aside():
            return self.run(tasks)

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Of calls made meanwhile no other check is told but what they did to the process."""
        before = len(self.incidents)
        try:
            yield
        finally:
            left = [one for one in self.incidents[before:] if one.kind == "environment"]
            self.incidents[before:] = left

    @contextmanager
    def anew(self) -> Iterator[None]:
        """Calls go to a new process while this lasts."""
        old = self.sandbox
        with open_sandbox(self.candidate, timeout=self.timeout) as self.sandbox:
            try:
                yield
            finally:
                self.sandbox = old

    def run_inputs(self, task: Task, inputs: dict[str, Array]) -> Batch:
        """Runs one task with inputs made from its own."""
        return self._run([(task, inputs, self.call(task, inputs, "nan"))])[0]

    def again(self, batch: Batch, times: int) -> list[Batch]:
        """Makes the calls of a batch so often again."""
        calls = self.call(batch.task, batch.inputs, "nan")
        return self._run([(batch.task, batch.inputs, calls)] * times)

    def _run(self, prepared: list[tuple[Task, dict[str, Array], list[Call]]]) -> list[Batch]:
        """Runs prepared calls, and gathers them by task."""
        calls = [call for _, _, some in prepared for call in some]
        outcomes = outcomes_of(calls, self.sandbox, self.shapes, self.timeout)
        self.calls += sum(outcome.status != "retired" for outcome in outcomes)
        for call, outcome in zip(calls, outcomes, strict=True):
            if not (self.compiles and self.shapes.is_new(call.n, call.rows)):  # its compiler's time
                self.seconds += outcome.seconds
        batches, start = [], 0
        for task, inputs, some in prepared:
            batches.append(self.gather(task, inputs, outcomes[start : start + len(some)]))
            start += len(some)
        return batches

    def gather(self, task: Task, inputs: dict[str, Array], outcomes: list[Outcome]) -> Batch:
        """One batch from the outcomes of its calls."""
        rows = next(iter(inputs.values())).shape[0]
        width = self.elements(task.n)
        got = np.full((rows, width), np.nan)
        ok = np.zeros(rows, bool)
        step = rows if len(outcomes) == 1 else 1
        shape = self.op.shape(step, task.n)
        for number, outcome in enumerate(outcomes):
            part = slice(number * step, (number + 1) * step)
            if outcome.status == "ok" and fits(outcome, shape):
                assert outcome.output is not None
                with np.errstate(invalid="ignore"):  # memory that nobody wrote may signal
                    got[part] = outcome.output.reshape(step, width)
                ok[part] = True
        seconds = sum(outcome.seconds for outcome in outcomes)
        processor = sum(outcome.processor for outcome in outcomes)
        batch = Batch(task, inputs, [], got, ok, seconds, processor)
        for number, outcome in enumerate(outcomes):
            self.shapes.note(task.n, outcome, self.timeout)
            if happened := list(incidents_of(outcome, shape, self.dtype)):
                bare = replace(outcome, output=None) if got.size else outcome
                batch.outcomes.append(bare)
                for kind, detail in happened:
                    self.incidents.append(Failure("", kind, batch, number * step, detail, bare))
        return batch

    def harvest(
        self, check: str, *kinds: str, which: Callable[[Failure], bool] = lambda failure: True
    ) -> list[Failure]:
        """Takes the incidents of these kinds so far, as failures of a check."""
        found: list[Failure] = []
        left: list[Failure] = []
        for incident in self.incidents:
            (found if incident.kind in kinds and which(incident) else left).append(incident)
        for incident in found:
            incident.check = check
        self.incidents = left
        return found

    def sample(self, inputs: dict[str, Array], scale: float) -> Sample:
        """Inputs as bounds and mistakes see them."""
        return Sample(
            inputs, scale=scale, precision=self.precision, logarithmic=self.op.logarithmic
        )

    def judge(self, batches: Sequence[Batch]) -> None:
        """Judges batches against the reference within the bound, those of one length at once."""
        self.judge_later(batches, lambda batch: None)
        self.settle()

    def judge_later(self, batches: Sequence[Batch], take: Callable[[Batch], object]) -> None:
        """Begins to judge batches, beside other work; `take` is given each when it is judged."""
        alike: dict[tuple[int, float], list[Batch]] = {}
        for batch in batches:
            self._note(batch)
            if batch.got.size:
                alike.setdefault((batch.task.n, batch.task.scale), []).append(batch)
        groups = [(group, self._judgement(group)) for group in alike.values()]
        self.awaited.append(Awaited(batches, groups, take))
        self.settle(wait=False)
        while sum(one.size for one in self.awaited) > AWAITED:
            self._take_in()

    def settle(self, *, wait: bool = True) -> bool:
        """Takes in the verdicts, in the order they were asked for: all, or those that are there.

        It says whether none is awaited any more.
        """
        while self.awaited and (wait or self.awaited[0].is_done):
            self._take_in()
        return not self.awaited

    def _take_in(self) -> None:
        """Waits for the verdicts that were asked for first."""
        oldest = self.awaited.popleft()
        oldest.finish()
        for batch in oldest.batches:
            self.rows += batch.rows
            keep(self.passed, batch)
        for batch in oldest.batches:
            oldest.take(batch)

    def _note(self, batch: Batch) -> None:
        """What a batch shows of shapes and time before it is judged."""
        if not batch.ok.any():
            return
        self.shapes.tried.add((batch.task.n, batch.rows))
        if self.pace.predicted(batch.task.n) == 0.0:  # its preconditions left nothing to time
            self.pace.note(batch.task.n, batch.seconds / batch.rows, plain=False)

    def _judgement(self, batches: list[Batch]) -> Future[tuple[Array | None, Judged]]:
        """Begins to judge batches of one length and scale, joined; large ones are not kept."""
        joined = {
            role: np.concatenate([batch.inputs[role] for batch in batches])
            for role in batches[0].inputs
        }
        got = np.concatenate([batch.got for batch in batches])
        kept = any(batch.got.size <= LARGE for batch in batches)
        return self.judged(joined, batches[0].task.scale, got, answered=kept)

    def judged(
        self, inputs: dict[str, Array], scale: float, got: Array, *, answered: bool = True
    ) -> Future[tuple[Array | None, Judged]]:
        """Begins to judge each row of `got`, as this candidate is judged: answer and verdict.

        Unless it is to be answered, there is no answer where all rows pass.
        """
        return judge_process.submit(
            judge_rows,
            self.op,
            self.sample(inputs, scale),
            got,
            own_sums=self.own_sums,
            differentiated=self.library_derivative,
            answered=answered,
        )

    def collect(self, check: str, batch: Batch) -> None:
        """Keeps the failures of a judged batch, and how long and how many its rows were."""
        self.collected.add(check)
        if batch.ok.any():
            self.lengths[batch.task.n] += batch.rows
            rows = batch.rows if self.candidate.takes_rows else 1
            self.most_rows = max(self.most_rows, rows)
            self.most_elements = max(self.most_elements, rows * batch.task.n)
        if batch.judged is not None and batch.ok.any():
            ratio = batch.judged.ratio[batch.ok]
            self.worst[check] = max(self.worst.get(check, 0.0), float(ratio.max()))
            right = float(ratio[ratio <= 1.0].max(initial=0.0))
            self.sound[check] = max(self.sound.get(check, 0.0), right)
        wrong = np.flatnonzero(batch.failed())
        if wrong.size and check != "threads":
            self.wrong_lengths.add(batch.task.n)
        if wrong.size and batch.got.size > LARGE and self.fails(check):
            wrong = wrong[:0]  # enough is known, and large batches fill the memory
        self.failures += [Failure(check, "value", batch, int(row)) for row in wrong]

    def fails(self, check: str) -> bool:
        """Whether a check has failed."""
        return any(failure.check == check for failure in self.failures)

    def affordable(self, n: int, rows: int = 1, *, plain: bool = False) -> bool:
        """Whether a row fits in memory, and so many, plain or slow, in a twentieth of the limit."""
        seconds = rows * self.pace.predicted(n, plain=plain)
        return self.elements(n) <= LONGEST and seconds <= self.timeout / 20.0

    def trimmed(self, task: Task) -> Task:
        """A task with fewer rows where its output, or its time, would be too much.

        A candidate compiled for every shape gets one number of rows a length, of one length two.
        """
        if self.compiles and task.rows > 1 and (task.n != CROWDED or task.rows < 4 * FEW_ROWS):
            task = replace(task, rows=FEW_ROWS if task.n <= 4097 else 8)
        seconds = self.pace.predicted(task.n)
        most = 400_000 if self.op.output == "jac" else 4_000_000
        share = min(1.0, self.effort.seconds / 10.0)
        fit = min(most // max(self.elements(task.n), 1), int(share / max(seconds, 1e-9)))
        return task if task.rows <= max(fit, 1) else replace(task, rows=max(fit, 1))

    def chunks(self, tasks: Sequence[Task]) -> Iterator[list[Task]]:
        """Tasks in portions small enough for progress to be seen."""
        portion: list[Task] = []
        size, seconds = 0, 0.0
        for task in tasks:
            portion.append(task)
            size += task.rows * self.elements(task.n)
            seconds += task.rows * self.pace.predicted(task.n)
            if size > 300_000 or len(portion) >= 40 or seconds > 0.2:
                yield portion
                portion, size, seconds = [], 0, 0.0
        if portion:
            yield portion
