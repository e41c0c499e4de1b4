"""What other checks say of a specimen: the rules people use to test a softmax or its derivative.

Each peer is a function of a specimen and its libraries that returns "accepts", "refuses" or
"" where it does not apply. Candidates can crash, so `ask` runs in a worker process.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tests.mutants.direct import callable_of, formula, inputs_of, storage, takes_scale
from tests.mutants.specimen import Specimen

__all__ = ["PEERS", "ask"]

Array = np.ndarray[Any, np.dtype[Any]]
Call = Callable[..., Array]

SHAPES = ((2, 16), (2, 512))
"""Ordinary test sizes; the logits are N(0, 1), as in most people's tests."""
MATRIX_SHAPES = ((2, 16), (2, 64))
"""The same for explicit Jacobians."""
ROUNDOFF = 2.0**-23


def _cases(specimen: Specimen) -> list[dict[str, Array]]:
    """Random inputs of the ordinary sizes that a specimen's preconditions allow."""
    random = np.random.default_rng(0)
    found = []
    for rows, n in MATRIX_SHAPES if specimen.op.endswith("jacobian") else SHAPES:
        if not specimen.allows(n, rows):
            continue
        x = random.normal(0, 1, (rows, n)).astype(storage(specimen.dtype))
        forward = "log_softmax" if specimen.op.startswith("log") else "softmax"
        t = random.normal(0, 1, (rows, n)).astype(x.dtype)
        roles = {"x": x, "y": formula(forward, x=x).astype(x.dtype), "dy": t, "x_dot": t}
        found.append({role: roles[role] for role in inputs_of(specimen)})
    return found


def _compare(specimen: Specimen, call: Call, close: Callable[[Array, Array], bool]) -> str:
    """Whether the results on random inputs are close to the formula in float64."""
    cases = _cases(specimen)
    for inputs in cases:
        scale = 0.5 if takes_scale(specimen) else 1.0
        got = np.asarray(call(scale, **inputs)).astype(np.float64)
        want = formula(specimen.op, scale, **inputs)
        if got.shape != want.shape or not close(got, want):
            return "refuses"
    return "accepts" if cases else ""


def allclose_5(specimen: Specimen, call: Call) -> str:
    """numpy.allclose with rtol = atol = 1e-5."""
    return _compare(specimen, call, lambda a, b: bool(np.allclose(a, b, rtol=1e-5, atol=1e-5)))


def allclose_3(specimen: Specimen, call: Call) -> str:
    """numpy.allclose with rtol = atol = 1e-3."""
    return _compare(specimen, call, lambda a, b: bool(np.allclose(a, b, rtol=1e-3, atol=1e-3)))


def benchdnn(specimen: Specimen, call: Call) -> str:
    """The rule of oneDNN for float32: relative where |expected| > 1e-5, else absolute."""
    if specimen.dtype != "float32" or specimen.op.endswith(("jacobian", "jvp")):
        return ""  # it has neither of these two
    limit = ROUNDOFF * (10 if specimen.op.endswith("softmax") else 40)

    def close(got: Array, want: Array) -> bool:
        error = np.abs(got - want) / np.where(np.abs(want) > 1e-5, np.abs(want), 1)
        return bool((error <= limit).all())

    return _compare(specimen, call, close)


def check_grads(specimen: Specimen, call: Call) -> str:
    """jax.test_util.check_grads as it comes, on jax.nn's softmax with the specimen's rule."""
    kind = specimen.op.split("_")[-1]
    if kind not in ("vjp", "jvp") or storage(specimen.dtype).itemsize == 2:
        return ""
    if specimen.options.get("array") == "torch":
        return ""
    import jax
    from jax.test_util import check_grads as check

    mode = {"vjp": "rev", "jvp": "fwd"}[kind]
    with jax.enable_x64(specimen.dtype == "float64"):
        function = _jax_function(specimen, call)
        for inputs in _cases(specimen):
            x = _logits(inputs)
            try:
                check(function, (jax.numpy.asarray(x),), order=1, modes=[mode])
            except AssertionError:
                return "refuses"
    return "accepts"


def _logits(inputs: dict[str, Array]) -> Array:
    """The logits of a case; log-probabilities and logarithms of probabilities serve too."""
    if "x" in inputs:
        return inputs["x"]
    y = inputs["y"]
    return np.log(y) if (y > 0).all() else y


def _jax_function(specimen: Specimen, call: Call) -> Any:
    """jax.nn's function with the specimen as its derivative rule."""
    import jax

    base = jax.nn.log_softmax if specimen.op.startswith("log") else jax.nn.softmax
    if specimen.options.get("autodiff"):
        keywords = {"scale": 0.5} if takes_scale(specimen) else {}
        return partial(_module_function(specimen), **keywords)
    roles = inputs_of(specimen)

    def product(x: Any, y: Any, t: Any) -> Any:
        def host(x: Any, y: Any, t: Any) -> Array:
            known = {"x": x, "y": y, "dy": t, "x_dot": t}
            arrays = {role: np.asarray(known[role], storage(specimen.dtype)) for role in roles}
            return np.asarray(call(1.0, **arrays)).astype(t.dtype)

        return jax.pure_callback(host, jax.ShapeDtypeStruct(t.shape, t.dtype), x, y, t)

    if specimen.op.endswith("vjp"):
        reverse = jax.custom_vjp(lambda x: base(x))
        reverse.defvjp(lambda x: (base(x), (x, base(x))), lambda kept, dy: (product(*kept, dy),))
        return reverse
    forward = jax.custom_jvp(lambda x: base(x))
    forward.defjvp(lambda p, t: (base(p[0]), product(p[0], base(p[0]), t[0])))
    return forward


def _module_function(specimen: Specimen) -> Any:
    """The differentiable function itself."""
    import importlib.util

    spec = importlib.util.spec_from_file_location(specimen.name, specimen.source)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, specimen.name)


def gradcheck(specimen: Specimen, call: Call, *, fast: bool = False) -> str:
    """torch.autograd.gradcheck as it comes, in float64, with the specimen's rule."""
    kind = specimen.op.split("_")[-1]
    if kind not in ("vjp", "jvp") or storage(specimen.dtype).itemsize == 2:
        return ""
    if specimen.options.get("array") == "jax":
        return ""
    import torch

    function = _torch_function(specimen, call)
    for inputs in _cases(specimen):
        x = torch.tensor(_logits(inputs), dtype=torch.float64, requires_grad=True)
        try:
            torch.autograd.gradcheck(
                function,
                (x,),
                fast_mode=fast,
                check_forward_ad=kind == "jvp",
                check_backward_ad=kind == "vjp",
            )
        except RuntimeError:  # GradcheckError is one
            return "refuses"
    return "accepts"


def gradcheck_fast(specimen: Specimen, call: Call) -> str:
    """torch.autograd.gradcheck with fast_mode=True."""
    return gradcheck(specimen, call, fast=True)


def _torch_function(specimen: Specimen, call: Call) -> Any:
    """The function of PyTorch with the specimen as its derivative rule."""
    import torch

    if specimen.options.get("autodiff"):
        return _module_function(specimen)
    base = torch.log_softmax if specimen.op.startswith("log") else torch.softmax
    roles = inputs_of(specimen)

    def product(x: Any, y: Any, t: Any) -> Any:
        known = {"x": x, "y": y, "dy": t, "x_dot": t}
        arrays = {
            role: known[role].detach().numpy().astype(storage(specimen.dtype)) for role in roles
        }
        return torch.from_numpy(np.asarray(call(1.0, **arrays)).astype(np.float64))

    class Function(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            y = base(x, dim=-1)
            ctx.save_for_backward(x, y)
            ctx.save_for_forward(x, y)
            return y

        @staticmethod
        def backward(ctx: Any, dy: Any) -> Any:
            return product(*ctx.saved_tensors, dy)

        @staticmethod
        def jvp(ctx: Any, x_dot: Any) -> Any:
            return product(*ctx.saved_tensors, x_dot)

    return Function.apply


def numguard(specimen: Specimen, call: Call) -> str:
    """`numguard check --ref` on a Python function, a row at a time, beside the formula."""
    if specimen.kind != "py" or specimen.options.get("autodiff") or takes_scale(specimen):
        return ""
    roles = inputs_of(specimen)
    names = {role: name for name, role in specimen.options.get("roles", {}).items()}
    parameters = ", ".join(roles)
    rows = ", ".join(f"{names.get(role, role)}={role}[None]" for role in roles)
    plain = ", ".join(f"{role}=np.asarray({role})[None]" for role in roles)
    with tempfile.TemporaryDirectory() as folder:
        code = (
            "import numpy as np\n"
            "from tests.mutants.direct import formula\n"
            f"import {specimen.source.stem} as module\n"
            f"def candidate({parameters}):\n"
            f"    return module.{specimen.name}({rows})[0]\n"
            f"def reference({parameters}):\n"
            f"    got = formula({specimen.op!r}, {plain})[0]\n"
            f"    return got.astype(np.asarray({roles[0]}).dtype)\n"
        )
        Path(folder, "beside.py").write_text(code)
        command = [
            Path(sys.executable).parent / "numguard", "check", "beside:candidate",
            "--ref", "beside:reference", "--dtype", specimen.dtype,
            "--backend", specimen.options.get("array", "numpy"), "--json",
        ]  # fmt: skip
        path = f"{folder}:{specimen.source.parent}:{specimen.source.parents[2]}"
        done = subprocess.run(
            [str(part) for part in command],
            env={"PYTHONPATH": path, "PATH": "/usr/bin:/bin", "HOME": folder},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    if done.returncode not in (0, 1):
        return ""
    return "refuses" if done.returncode else "accepts"


PEERS: dict[str, Callable[[Specimen, Call], str]] = {
    "check_grads": check_grads,
    "gradcheck": gradcheck,
    "gradcheck fast": gradcheck_fast,
    "allclose 1e-5": allclose_5,
    "allclose 1e-3": allclose_3,
    "benchdnn": benchdnn,
    "numguard": numguard,
}


def ask(peer: str, specimen: Specimen, libraries: dict[Path, Path]) -> str:
    """What one peer says; an exception it lets through is a refusal, as in anybody's test run."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return PEERS[peer](specimen, callable_of(specimen, libraries))
        except ImportError:
            return ""
        except Exception:
            return "refuses"


def worker() -> None:
    """Reads {"peer", "name", "libraries"} a line, answers a line each; the parent restarts it."""
    from tests.mutants.registry import HONEST, MUTANTS

    by_name = {specimen.name: specimen for specimen in [*MUTANTS, *HONEST]}
    for line in sys.stdin:
        question = json.loads(line)
        libraries = {Path(k): Path(v) for k, v in question["libraries"].items()}
        print(json.dumps(ask(question["peer"], by_name[question["name"]], libraries)), flush=True)


if __name__ == "__main__":
    worker()
