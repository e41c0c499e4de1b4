"""`softjac init`: a first configuration from headers, sources and libraries."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from softjac import ArgumentError
from softjac.oracle import config
from softjac.oracle.init import draft

HEADER = """
#include <stddef.h>
/* void commented(const float *y, const float *dy, float *dx, size_t n); */
void softmax(const float *x, float *y, size_t rows, size_t n);
int log_softmax_back(const double *y, const double *dy, double *dx, size_t rows, size_t n);
void tangent(const float *y, const float *x_dot, float *y_dot, size_t n);
void jacobian(const float *probs, float *jac, size_t n);
void unrelated(int a, char *b);
float sum(const float *x, size_t n);
"""
SOURCE = """
#include <stddef.h>
static float helper(const float *x, size_t n) { return x[n - 1]; }
void vjp(const float *y, const float *dy,
         float *dx, size_t n)
{
    for (size_t i = 0; i < n; ++i) dx[i] = y[i] * (dy[i] - helper(dy, n));
}
"""


@pytest.fixture
def header(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A header, in the working folder."""
    monkeypatch.chdir(tmp_path)
    Path("mine.h").write_text(HEADER)
    return Path("mine.h")


def drafted(*files: Path) -> list[config.Entry]:
    """The entries of the configuration that is drafted."""
    content, count = draft(files)
    Path("softjac.toml").write_text(content)
    entries = config.read(Path("softjac.toml"))
    assert len(entries) == count
    return entries


def test_a_header_gives_prototypes(header: Path) -> None:
    """Each function whose parameters are roles becomes a candidate with its op."""
    found = {entry.target.rpartition(":")[2]: entry for entry in drafted(header)}
    assert {name: entry.options["op"] for name, entry in found.items()} == {
        "softmax": "softmax",
        "log_softmax_back": "log_softmax_vjp",
        "tangent": "softmax_jvp",
        "jacobian": "softmax_jacobian",
    }
    assert found["jacobian"].options["roles"] == {"probs": "y"}
    assert found["softmax"].options["header"] == "mine.h"


def test_a_library_gives_the_targets(header: Path) -> None:
    """With a library, only what it exports is a candidate; its header may lie beside it."""
    Path("mine.c").write_text("void softmax(void) {}\nvoid other(void) {}\n")
    subprocess.run(["cc", "-shared", "-fPIC", "mine.c", "-o", "libmine.so"], check=True)
    for files in ((header, Path("libmine.so")), (Path("libmine.so"),)):
        (entry,) = drafted(*files)
        assert entry.target == "libmine.so:softmax"


def test_ifuncs_weak_symbols_and_underscores_count(header: Path) -> None:
    """SIMD libraries dispatch by ifunc; a name may begin with an underscore."""
    Path("mine.c").write_text(
        "static void f(void) {}\n"
        "__attribute__((weak)) void softmax(void) {}\n"
        "void _under(void) {}\n"
        "static void (*pick(void))(void) { return f; }\n"
        '__attribute__((ifunc("pick"))) void tangent(void);\n'
    )
    done = subprocess.run(["cc", "-shared", "-fPIC", "mine.c", "-o", "libmine.so"])
    if done.returncode != 0:
        pytest.skip("this platform's compiler has no ifunc")
    header.write_text(HEADER + "void _under(const float *x, float *y, size_t n);\n")
    found = {entry.target.rpartition(":")[2] for entry in drafted(header, Path("libmine.so"))}
    assert found == {"softmax", "tangent", "_under"}


@pytest.mark.parametrize(
    "symbol, op",
    [
        ("softmax_vjp_from_logits", "softmax_vjp"),
        ("logit_grad", "softmax_vjp"),
        ("softmax_by_logsumexp_vjp", "softmax_vjp"),
        ("mine_log_softmax_vjp_f32", "log_softmax_vjp"),
        ("nnLogSoftmaxBackward", "log_softmax_vjp"),
        ("lsm_bwd", "log_softmax_vjp"),
    ],
)
def test_only_a_logarithm_makes_it_the_logarithms_op(header: Path, symbol: str, op: str) -> None:
    """Logits are no logarithm."""
    header.write_text(f"void {symbol}(const float *y, const float *dy, float *dx, size_t n);")
    (entry,) = drafted(header)
    assert entry.options["op"] == op


@pytest.mark.parametrize(
    "symbol, dtype",
    [("softmax_bf16", "bfloat16"), ("softmax_f16", "float16"), ("softmax_half", "float16")],
)
def test_words_of_16_bits_get_their_dtype(header: Path, symbol: str, dtype: str) -> None:
    """uint16_t says nothing of the dtype: the name of the function may."""
    header.write_text(f"void {symbol}(const uint16_t *x, uint16_t *y, size_t n);")
    (entry,) = drafted(header)
    assert entry.options["dtype"] == dtype
    header.write_text("void softmax(const uint16_t *x, uint16_t *y, size_t n);")
    content, _ = draft([header])
    assert "# dtype is missing: softmax: its uint16_t * arrays can" in content


def test_a_source_is_its_own_target(header: Path) -> None:
    """A C source needs no header; its static functions with no output are left out."""
    source = Path("kernels.c")
    source.write_text(SOURCE)
    (entry,) = drafted(source)
    assert entry.target == "kernels.c:vjp"
    assert entry.options["op"] == "softmax_vjp"
    expected = "void vjp(const float *y, const float *dy, float *dx, size_t n)"
    assert entry.options["prototype"] == expected


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("none.h", None, "no such file"),
        ("x.txt", "", "expected a file that ends in one of"),
        ("empty.h", "int f(int a);", "no candidate in empty.h"),
        ("bad.so", "not a library", "cannot list the symbols of bad.so"),
    ],
)
def test_what_gives_no_candidate_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: str | None, message: str
) -> None:
    """A file that is missing, of another kind, or without a candidate says so."""
    monkeypatch.chdir(tmp_path)
    if content is not None:
        Path(name).write_text(content)
    with pytest.raises(ArgumentError, match=message):
        draft([Path(name)])
