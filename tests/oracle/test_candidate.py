"""A candidate is found, compiled and described, or the reason why not is one clear line."""

from __future__ import annotations

import functools
import os
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from softjac._errors import CandidateError, LibraryMissingError
from softjac.native import _library
from softjac.oracle.calls.call import Call
from softjac.oracle.candidate import CFunction, load, open_sandbox
from softjac.oracle.description import compiler
from softjac.oracle.ops import OPS

PROTOTYPE = "void f(const float *y, const float *dy, float *dx, size_t rows, size_t n)"
SOURCE = """
#include <stddef.h>
void f(const float *y, const float *dy, float *dx, size_t rows, size_t n) {
    for (size_t i = 0; i < rows * n; i++)
        dx[i] = y[i] + 10 * dy[i];
}
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A C source with a function f."""
    file = tmp_path / "with space.c"
    file.write_text(SOURCE)
    return file


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A compilation cache of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def output(candidate: Any) -> list[float]:
    """What a candidate makes of y = (1, 2) and dy = (3, 4)."""
    dtype = np.dtype(candidate.dtype)
    y, dy = np.array([[1, 2]], dtype), np.array([[3, 4]], dtype)
    with open_sandbox(candidate) as sandbox:
        outcome = sandbox.run([Call({"y": y, "dy": dy}, 1, 2)])[0]
    assert outcome.status == "ok"
    assert outcome.output is not None
    return list(outcome.output[0].tolist())


def error(target: Any, op: str = "softmax_vjp", **options: Any) -> str:
    """The message of the error that loading and starting it gives, which is one line."""
    with pytest.raises(CandidateError) as caught, open_sandbox(load(target, op=op, **options)):
        pass
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_source_and_its_claims(source: Path) -> None:
    """The record says what the prototype and the options say."""
    candidate = load(
        f"{source}:f",
        op="softmax_vjp",
        prototype=PROTOTYPE.replace("size_t rows", "unsigned char rows"),
        assume=["n % 8 == 0", "rows < 4"],
        not_reentrant=True,
        align=32,
        in_place=["dx=dy", ("dx", "y")],
        accumulates=True,
        nonfinite="strict",
        over_read=16,
    )
    assert candidate.target == f"{source}:f"
    assert (candidate.op, candidate.dtype, candidate.kind) == ("softmax_vjp", "float32", "c")
    assert (candidate.inputs, candidate.output) == (("y", "dy"), "dx")
    assert candidate.takes_rows
    assert not candidate.takes_scale
    assert candidate.strides == frozenset()
    assert candidate.assumptions == ("n % 8 == 0", "rows < 4", "rows <= 255")
    assert (candidate.align, candidate.over_read) == (32, 16)
    assert candidate.in_place == (("dx", "dy"), ("dx", "y"))
    assert candidate.accumulates
    assert not candidate.reentrant
    assert candidate.nonfinite == "strict"
    assert candidate.allows(16, 3)
    assert not candidate.allows(17, 3)
    assert not candidate.allows(16, 4)


def test_every_way_to_name_a_c_function(source: Path, tmp_path: Path) -> None:
    """A source, its library, and a CFunction of either are the same."""
    compiled = compiler.compile_library(source)
    library = tmp_path / "lib.so.1"
    shutil.copy(compiled, library)
    for target in (f"{source}:f", f"{library}:f"):
        assert output(load(target, op="softmax_vjp", prototype=PROTOTYPE)) == [31, 42]
    for file in (source, library):
        assert output(load(CFunction(str(file), "f", PROTOTYPE), op="softmax_vjp")) == [31, 42]


def test_a_prototype_from_a_header_or_the_source(source: Path, tmp_path: Path) -> None:
    """The declaration may be in a header, behind typedefs and macros, or in the source itself."""
    header = tmp_path / "mine.h"
    header.write_text(
        "#include <stdint.h>\n#include <stdlib.h>\n#define IN const real *\ntypedef float real;\n"
        "typedef size_t count;\nextern void f(IN y, IN dy, real *dx, count rows, count n);\n"
    )
    for file in (header, source):
        assert output(load(f"{source}:f", op="softmax_vjp", header=str(file))) == [31, 42]


def test_a_header_without_a_compiler(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is no compiler, a header is searched as text."""
    library = compiler.compile_library(source)
    monkeypatch.setenv("CC", "no-such-compiler")
    header = tmp_path / "mine.h"
    header.write_text(f"#include <stddef.h>\n/* f */\n{PROTOTYPE};\n")
    assert output(load(f"{library}:f", op="softmax_vjp", header=str(header))) == [31, 42]
    message = error(f"{source}:f", prototype=PROTOTYPE)
    assert "no-such-compiler is not there: install one, or name it in CC" in message


def test_a_missing_prototype_is_told_from_the_source(source: Path, tmp_path: Path) -> None:
    """What the source has can be pasted; without it the message shows what one looks like."""
    assert error(f"{source}:f") == (
        f"{source}:f: a C candidate needs --prototype '{PROTOTYPE}' or --header FILE"
    )
    like = "needs --prototype 'void g(const float *y, ...)' or --header FILE"
    assert like in error(f"{source}:g")
    assert like in error(f"{tmp_path / 'missing.c'}:g")


def test_roles_and_order_are_the_prototype_s(tmp_path: Path) -> None:
    """Parameters come in any order, with any names that --roles explains."""
    file = tmp_path / "order.c"
    file.write_text(
        "void g(short classes, double *out, const double *p, long batch, const double *v)"
        "{ for (long i = 0; i < batch * classes; i++) out[i] = p[i] - v[i]; }\n"
    )
    prototype = "void g(short classes, double *out, const double *p, long batch, const double *v)"
    roles = "classes=n, out=dx, p=dy, batch=rows, v=y"
    candidate = load(f"{file}:g", op="softmax_vjp", prototype=prototype, roles=roles)
    assert candidate.dtype == "float64"
    assert candidate.inputs == ("dy", "y")
    assert candidate.assumptions == ("n <= 32767",)
    assert output(candidate) == [2, 2]


@pytest.mark.parametrize("suffix", [".cc", ".cpp"])
def test_c_plus_plus(suffix: str, tmp_path: Path) -> None:
    """C++ sources are compiled as such; a mangled name is explained."""
    file = tmp_path / f"kernel{suffix}"
    body = SOURCE.split("\n", 2)[2]
    file.write_text('#include <cstddef>\nusing std::size_t;\nextern "C" ' + body)
    assert output(load(f"{file}:f", op="softmax_vjp", prototype=PROTOTYPE)) == [31, 42]
    file.write_text("#include <cstddef>\nusing std::size_t;\n" + SOURCE.split("\n", 2)[2])
    assert 'declare the function extern "C"' in error(f"{file}:f", prototype=PROTOTYPE)


def test_compiler_flags_are_used(tmp_path: Path) -> None:
    """Flags of the option reach the compiler, several in one string too."""
    file = tmp_path / "flags.c"
    file.write_text(SOURCE.replace("10", "FACTOR * (UNIT)"))
    flags = ["-DFACTOR=3 -DUNIT=1", "-O0"]
    candidate = load(f"{file}:f", op="softmax_vjp", prototype=PROTOTYPE, cflags=flags)
    assert output(candidate) == [10, 14]


def test_compiling_is_cached_by_content(source: Path, cache: Path) -> None:
    """The same text and flags compile once; other text, headers or flags compile again."""
    header = source.with_name("part.h")
    header.write_text("#define PART 1\n")
    source.write_text('#include "part.h"\n' + SOURCE)
    first = compiler.compile_library(source)
    stamp = first.stat().st_mtime_ns
    assert compiler.compile_library(source) == first
    assert first.stat().st_mtime_ns == stamp
    assert cache in first.parents
    header.write_text("#define PART 2\n")
    assert len({first, compiler.compile_library(source),
                compiler.compile_library(source, ["-O0"])}) == 3  # fmt: skip
    assert not list(cache.rglob("*.part"))


def test_an_unwritable_cache_is_done_without(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the cache's folder cannot be made, a temporary one serves."""
    blocked = tmp_path / "file"
    blocked.touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path / "elsewhere"))
    (tmp_path / "elsewhere").mkdir()
    library = compiler.compile_library(source)
    assert library.is_relative_to(tmp_path / "elsewhere" / f"softjac-{os.getuid()}")


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_project_s_own_kernels(op: str, dtype: str) -> None:
    """`softjac:native` is every op's C kernel, with strides, scale and aliasing claimed."""
    candidate = load("softjac:native", op=op, dtype=dtype)
    roles = {*candidate.inputs, candidate.output}
    assert (candidate.kind, candidate.dtype) == ("c", dtype)
    assert candidate.strides == roles
    assert candidate.takes_rows
    assert candidate.takes_scale
    assert len(candidate.in_place) == (0 if candidate.output == "jac" else len(candidate.inputs))


def test_the_reference_is_a_python_candidate() -> None:
    """`softjac:reference` is the op's JAX function, roles by its parameters' names."""
    candidate = load("softjac:reference", op="softmax_vjp", dtype="float64")
    assert (candidate.kind, candidate.inputs, candidate.output) == ("python", ("y", "dy"), "dx")
    assert not candidate.takes_scale


def test_roles_of_python_callables() -> None:
    """Names, defaults, positional-only parameters and callables without a signature."""

    def plain(dy: Any, y: Any, axis: int = -1) -> Any:
        return y + 10 * dy

    def other(g: Any, /, p: Any, *, scale: float = 2.0, rows: int = 0) -> Any:
        return (p + 10 * g) * scale

    def anything(*arrays: Any) -> Any:
        return arrays[0] + 10 * arrays[1]

    assert load(plain, op="softmax_vjp").inputs == ("dy", "y")
    assert output(load(plain, op="softmax_vjp")) == [31, 42]
    candidate = load(other, op="softmax_vjp", roles={"g": "dy", "p": "y"})
    assert candidate.takes_scale
    assert output(candidate) == [31, 42]
    assert output(load(anything, op="softmax_vjp")) == [31, 42]
    assert output(load(functools.partial(plain, axis=0), op="softmax_vjp")) == [31, 42]
    assert load(np.exp, op="softmax").inputs == ("x",)
    named = load(plain, op="softmax_vjp", assume="n > 3")
    assert named.target.endswith("test_roles_of_python_callables.<locals>.plain")
    assert named.takes_rows
    assert not named.allows(3, 1)
    with pytest.raises(CandidateError, match="; --autodiff judges the derivative of a JAX"):
        load(lambda x: x, op="softmax_vjp")


def test_arguments_are_passed_by_position_where_they_can_be() -> None:
    """A wrapper that takes positional arguments alone may show a signature with names."""

    def vjp(dy: Any, y: Any) -> Any:
        return y + 10 * dy

    @functools.wraps(vjp)
    def wrapper(*arrays: Any) -> Any:
        return vjp(*arrays)

    def between(y: Any, axis: int = -1, dy: Any = None) -> Any:
        return axis * (y + 10 * dy)

    assert load(wrapper, op="softmax_vjp").inputs == ("dy", "y")
    assert output(load(wrapper, op="softmax_vjp")) == [31, 42]
    assert output(load(functools.singledispatch(vjp), op="softmax_vjp")) == [31, 42]
    assert output(load(between, op="softmax_vjp")) == [-31, -42]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"op": ""}, "op is missing: say what is computed (one of "),
        ({"op": "softmax_vpj"}, "unknown op softmax_vpj; did you mean softmax_vjp? (known: "),
        ({"header": "none.h", "prototype": None}, "--header none.h: there is no such file"),
        ({"op": "softmax"}, "softmax has the arrays x and y; the parameters name y, dy, dx"),
        ({"op": "softmax_jvp"}, "y and x_dot and y_dot or x and x_dot and y_dot; the parameters"),
        ({"prototype": PROTOTYPE.replace(", size_t n", "")}, "the prototype has no n"),
        ({"prototype": PROTOTYPE[:-1] + ", int ldx)"}, "ldx is the row stride of x, which is no"),
        ({"dtype": "float16"}, "can be float32; --dtype says float16"),
        ({"dtype": "int8"}, "--dtype int8: expected one of float32, float64, bfloat16, float16"),
        ({"assume": "n % 8"}, "is a number, not a condition"),
        ({"assume": "ldx == n"}, "there is no ldx; known are n, rows"),
        ({"align": 24}, "--align 24: expected a power of two"),
        ({"over_read": -1}, "--over-read -1: expected 0 or more bytes"),
        ({"in_place": "dx"}, "--in-place 'dx': expected OUTPUT=INPUT"),
        ({"in_place": "dx=x"}, "--in-place dx=x: expected dx=INPUT with an input of y, dy"),
        ({"nonfinite": "maybe"}, "--nonfinite maybe: expected one of strict, report"),
        ({"array": "cupy"}, "--array cupy: expected one of numpy, jax, torch"),
        ({"array": "jax"}, "--autodiff and --array are for Python callables"),
        ({"autodiff": True}, "--autodiff and --array are for Python callables"),
        ({"roles": "y"}, "--roles 'y': expected NAME=ROLE"),
        ({"roles": "z=y"}, "--roles names z, which is no parameter of f(y, dy, dx, rows, n)"),
    ],
)
def test_wrong_options_for_c_are_errors(options: dict[str, Any], reason: str, source: Path) -> None:
    """Each message says what was expected, what came, and what to do."""
    assert reason in error(f"{source}:f", **{"prototype": PROTOTYPE, **options})


def test_targets_that_do_not_exist_are_errors(source: Path, tmp_path: Path) -> None:
    """Missing files, symbols and modules are told, with the nearest name there is."""
    library = compiler.compile_library(source)
    given = {"prototype": PROTOTYPE.replace(" f(", " ff(")}
    assert "no symbol ff" in error(f"{library}:ff", **given)
    assert "there is no such file" in error(f"{tmp_path}/none.so:f", prototype=PROTOTYPE)
    assert "there is no such file" in error(f"{tmp_path}/none.c:f", prototype=PROTOTYPE)
    assert "there is no such file" in error(f"{tmp_path}/none.py:f")
    assert "expected FILE:SYMBOL or MODULE:FUNCTION" in error("softmax")
    assert "expected a module, or a file ending in" in error("my kernel.rs:f")
    assert "`cc -shared -o mine.so build/mine.o` makes a library" in error("build/mine.o:f")
    assert "No module named 'no_such_module'" in error("no_such_module:f")
    assert "is no callable, CFunction or target" in error(3)
    (tmp_path / "text.so").write_text("not a library")
    assert "cannot be loaded" in error(f"{tmp_path}/text.so:f", prototype=PROTOTYPE)


def test_a_source_that_does_not_compile_shows_the_first_errors(tmp_path: Path) -> None:
    """The compiler's own words are in the message."""
    file = tmp_path / "broken.c"
    file.write_text("void f(void) { undeclared = 1; }\n")
    message = error(f"{file}:f", op="softmax", prototype="void f(const float *x, float *y, int n)")
    assert "does not compile" in message
    assert "undeclared" in message


@pytest.mark.parametrize(
    ("function", "options", "reason"),
    [
        (lambda a, b: a, {}, "parameter a is no role"),
        (lambda y, dy, dx: None, {}, "its parameters are y, dy or x, dy"),
        (lambda y, dy, ldy: None, {}, "ldy is a row stride, which arrays carry here"),
        (lambda y: None, {}, "the parameters name y, dx"),
        (lambda y, dy: dy, {"prototype": PROTOTYPE}, "--prototype is for C candidates"),
        (lambda y, dy: dy, {"over_read": 4}, "--over-read is for C candidates"),
        (lambda x: x, {"autodiff": True, "op": "softmax"}, "softmax is none"),
        (lambda x: x, {"autodiff": True, "array": "numpy"}, "not for NumPy"),
        (
            lambda x, w: x,
            {"autodiff": True},
            "a function of the logits, or of them and scale, not of x, w",
        ),
        (lambda y, dy: dy, {"assume": "lddx > 1"}, "there is no lddx"),
        (lambda y, dy: dy, {"in_place": "dx=x"}, "--in-place dx=x"),
    ],
)
def test_wrong_options_for_python_are_errors(
    function: Any, options: dict[str, Any], reason: str
) -> None:
    """A callable's parameters and options are checked before anything is called."""
    assert reason in error(function, **options)


def test_a_missing_symbol_is_missed_in_the_file_that_was_given(source: Path) -> None:
    """Not in the library it was compiled to, which nobody knows."""
    message = error(f"{source}:g", prototype=PROTOTYPE.replace(" f(", " g("))
    assert message.startswith(f"{source} has no symbol g; ")


def test_a_long_list_of_symbols_says_that_it_ends_early(source: Path) -> None:
    """Five of them, and dots."""
    source.write_text(" ".join(f"int {name}(void) {{ return 0; }}" for name in "uvwxyz"))
    message = error(f"{source}:softmax", prototype=PROTOTYPE.replace(" f(", " softmax("))
    assert message.endswith("has no symbol softmax; it has u, v, w, x, y, ...")


def test_a_symbol_hint_needs_no_tool(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the program that lists symbols the message is only shorter."""
    monkeypatch.setattr("shutil.which", lambda name: None)
    message = error(f"{source}:g", prototype=PROTOTYPE.replace(" f(", " g("))
    assert message.endswith("has no symbol g")


def test_loading_a_library_is_quick(source: Path) -> None:
    """A compiled candidate is loaded again in a fraction of a second."""
    load(f"{source}:f", op="softmax_vjp", prototype=PROTOTYPE)
    begin = time.perf_counter()
    load(f"{source}:f", op="softmax_vjp", prototype=PROTOTYPE)
    assert time.perf_counter() - begin < 3


def test_arrays_of_a_library_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """`--array torch` without PyTorch is an error of the command, not of the candidate."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "torch is not installed" in error(lambda y, dy: dy, array="torch")


def test_own_kernels_that_were_not_built(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`softjac:native` without the library says how to build it."""
    _library.load.cache_clear()
    monkeypatch.setattr(_library, "path", lambda: tmp_path / "libsoftjac.so")
    with pytest.raises(LibraryMissingError, match="`make lib`"):
        load("softjac:native", op="softmax")
