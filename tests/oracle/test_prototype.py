"""Prototypes are read as C, their parameter names as roles, and mistakes are explained."""

from __future__ import annotations

import pytest

from softjac._errors import CandidateError
from softjac.oracle.description.declaration import find
from softjac.oracle.description.prototype import Parameter, Prototype, parse


def by_role(prototype: Prototype) -> dict[str, Parameter]:
    """The parameters by what they stand for."""
    return {p.role: p for p in prototype.parameters}


@pytest.mark.parametrize(
    "text",
    [
        "void f(const float *y, const float *dy, float *dx, size_t rows, size_t n)",
        "void f(float const *y, const float *const dy, float *dx, int rows, int n);",
        (
            "void f(const float *restrict y, const float *__restrict dy, float *__restrict__ dx, "
            "long long rows, unsigned short n)"
        ),
        (
            "extern void f(const float y[], const float dy[restrict], float dx[static 1], "
            "int64_t rows, uint8_t n);"
        ),
        'extern "C" void f(const float *y, const float *dy, float *dx, ptrdiff_t rows, char n)',
        (
            "__attribute__((noinline, nonnull(1, 2))) void f(const float *y, /* the cotangent */ "
            "const float *dy, float *dx, // out\n unsigned rows, enum size n)"
        ),
        (
            "[[nodiscard]] void f(const float *y, const float *dy, float *dx, std::size_t rows, "
            "bool n) noexcept;"
        ),
        (
            "static inline void f(int rows, int n, const float y[rows][n], float dy[rows][n], "
            "float dx[rows][n])"
        ),
    ],
)
def test_every_spelling_of_one_prototype(text: str) -> None:
    """Qualifiers, attributes, comments, array parameters and integer types all may be there."""
    prototype = parse(text, symbol="f")
    roles = by_role(prototype)
    assert prototype.returned == 0
    assert roles.keys() == {"y", "dy", "dx", "rows", "n"}
    assert all(roles[r].element == "float32" for r in ("y", "dy", "dx"))
    assert all(roles[r].kind == "integer" for r in ("rows", "n"))
    assert prototype.dtype(None) == "float32"


@pytest.mark.parametrize(
    ("type_name", "size", "largest"),
    [
        ("char", 1, 127),
        ("unsigned char", 1, 255),
        ("short", 2, 32767),
        ("uint16_t", 2, 65535),
        ("int", 4, 2**31 - 1),
        ("unsigned", 4, 2**32 - 1),
        ("int_fast16_t", 8, 2**63 - 1),
        ("long int", 8, 2**63 - 1),
        ("size_t", 8, 2**64 - 1),
        ("_Bool", 1, 255),
    ],
)
def test_integers_of_any_type(type_name: str, size: int, largest: int) -> None:
    """The width of an integer parameter is known, and the largest value that fits."""
    n = by_role(parse(f"{type_name} f(const float *x, float *y, {type_name} n)"))["n"]
    assert (n.bytes, n.largest) == (size, largest)
    assert parse(f"{type_name} f(const float *x, float *y, {type_name} n)").returned == size


@pytest.mark.parametrize(
    ("type_name", "given", "dtype"),
    [
        ("float", None, "float32"),
        ("float", "float32", "float32"),
        ("double", None, "float64"),
        ("float64_t", None, "float64"),
        ("_Float16", None, "float16"),
        ("__fp16", None, "float16"),
        ("__bf16", "bfloat16", "bfloat16"),
        ("uint16_t", "bfloat16", "bfloat16"),
        ("unsigned short", "float16", "float16"),
        ("void", "float64", "float64"),
    ],
)
def test_the_dtype_follows_from_the_pointers(type_name: str, given: str | None, dtype: str) -> None:
    """Where the type leaves it open, the option says it."""
    assert parse(f"void f(const {type_name} *x, {type_name} *y, int n)").dtype(given) == dtype


@pytest.mark.parametrize(
    ("arrays", "given", "reason"),
    [
        ("const float *x, float *y", "float64", "can be float32; --dtype says float64"),
        ("const uint16_t *x, uint16_t *y", None, "bfloat16 or float16; --dtype must say which"),
        ("const uint16_t *x, uint16_t *y", "float32", "--dtype says float32"),
        ("const void *x, void *y", None, "--dtype must say which"),
        ("const float *x, double *y", None, "x is float * and y is double *: all arrays must be"),
        ("const uint16_t *x, _Float16 *y", "float16", "all arrays must be of one type"),
    ],
)
def test_a_dtype_that_does_not_fit_is_an_error(arrays: str, given: str | None, reason: str) -> None:
    """A conflict, or a type that leaves the dtype open, is told."""
    with pytest.raises(CandidateError) as error:
        parse(f"void f({arrays}, int n)").dtype(given)
    assert reason in str(error.value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "expected one C function prototype"),
        ("hello", "unknown type hello"),
        ("int x", "expected one C function prototype"),
        ("void f(float *x, float *y, int n", "not a C prototype"),
        ("void f(const flot *x, float *y, int n)", "unknown type flot; did you mean float?"),
        ("void g(const float *x, float *y, int n)", "declares g, the target names f"),
        ("void f(int n); void f(float *x, int n)", "expected one C function prototype"),
        ("void f(const float *, float *, int)", "parameter 1 has no name"),
        ("void f(const float *x, float *y, int n, ...)", "variable arguments"),
        ("float f(const float *x, float *y, int n)", "expected void or an integer status"),
        ("int *f(const float *x, float *y, int n)", "expected void or an integer status"),
        ("void f(const float *logits, float *y, int n)", "did you mean x? Rename it, or say --rol"),
        ("void f(const float *x, float *y, int nn)", "parameter nn is no role; did you mean n?"),
        ("void f(const float *x, float *y, int banana)", "the roles are x, y, dy"),
        ("void f(const float **x, float *y, int n)", "passed as one pointer"),
        ("void f(float x, float *y, int n)", "has the role x, an array"),
        ("void f(const float *x, float *y, const int *n)", "passed by value"),
        ("void f(const float *x, float *y, float n)", "n is an integer"),
        ("void f(const float *x, float *y, int n, int scale)", "expected float or double"),
        ("void f(const float *x, float *y, int n, float *scale)", "passed by value"),
        ("void f(const int *x, int *y, int n)", "expected float *, double *, or a 16-bit type"),
        ("void f(const long double *x, long double *y, int n)", "which cannot be passed"),
        ("void f(struct s *x, float *y, int n)", "expected a number or a pointer to numbers"),
        ("void f(const float *x, float *x, int n)", ""),
    ],
)  # fmt: skip
def test_mistakes_are_explained_in_one_line(text: str, reason: str) -> None:
    """Each message says what was expected, what came, and what to do."""
    with pytest.raises(CandidateError) as error:
        parse(text, symbol="f")
    assert reason in str(error.value)
    assert "\n" not in str(error.value)


def test_roles_by_option() -> None:
    """Parameters with other names get their roles from the option."""
    roles = {"probs": "y", "g": "dy", "out": "dx", "len": "n"}
    text = "void f(const float *probs, const float *g, float *out, int len)"
    prototype = parse(text, roles=roles)
    assert [p.role for p in prototype.parameters] == ["y", "dy", "dx", "n"]
    assert [p.name for p in prototype.parameters] == ["probs", "g", "out", "len"]


@pytest.mark.parametrize(
    ("roles", "reason"),
    [
        ({"prob": "y"}, ("--roles names prob, which is no parameter of f(probs, g, out, len); "
                        "did you mean probs?")),
        ({"probs": "yy"}, "there is no role yy; did you mean"),
        ({"probs": "y", "g": "y"}, "probs and g both have the role y"),
        ({"probs": "y"}, "parameter g is no role; did you mean dy?"),
    ],
)  # fmt: skip
def test_roles_that_do_not_fit_are_errors(roles: dict[str, str], reason: str) -> None:
    """Unknown parameters, unknown roles and roles given twice are told."""
    with pytest.raises(CandidateError) as error:
        parse("void f(const float *probs, const float *g, float *out, int len)", roles=roles)
    assert reason in str(error.value)


HEADER = """
/* void f(int comment); */
#include <stddef.h>
#define API __attribute__((visibility("default")))
typedef float real;
typedef long index_t; typedef index_t count;
typedef enum { FINE, BROKEN } status;
struct other { int f; };
static int uses_f(void) { return f(1, 2); }
extern "C" {
API status f(const real *x, real *y, count n);
}
real g(real x);
"""


def test_a_prototype_is_found_in_a_header() -> None:
    """The declaration is found among others, and the header's own types are spelled out."""
    prototype = parse(find(HEADER.replace("API status", "status"), "f"), symbol="f")
    roles = by_role(prototype)
    assert prototype.returned == 4
    assert prototype.dtype(None) == "float32"
    assert roles["n"].bytes == 8


def test_a_header_without_it_is_an_error() -> None:
    """A symbol that is only called, or only part of a name, is not declared."""
    for symbol in ("uses", "FINE", "h"):
        with pytest.raises(CandidateError, match=f"declares no function {symbol}"):
            find(HEADER, symbol)
