"""The C library as C programs see it: the header, the statuses, the environment."""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from native_isas import available, library

from softjac.native import _library

SOURCE = Path(__file__).resolve().parents[2] / "csrc"
COMPILER = os.environ.get("CC", "cc")
NULL = _library.load()[0].NULL


def address(array: Any) -> Any:
    """An array's address as float *."""
    return _library.load()[0].cast("float *", array.ctypes.data)


def message(status: int) -> str:
    """The library's sentence for a status."""
    ffi, lib = _library.load()
    return str(_library.message(ffi, lib, status))


def test_statuses_name_what_is_wrong() -> None:
    """Each refusal has its status and its sentence, and nothing is touched."""
    lib = library()
    a, out = np.ones(64, np.float32), np.full(64, 7, np.float32)
    x, y = address(a), address(out)
    labels = _library.load()[0].new("int64_t[]", [0, 4])
    huge = 2**62
    calls = {
        "NULL": lib.softjac_softmax_f32(NULL, y, 2, 4),
        "the output overlaps": lib.softjac_softmax_f32(x, x + 1, 2, 4),
        "stride is less": lib.softjac_softmax_strided_f32(x, 4, y, 3, 2, 4, 1.0),
        "address space": lib.softjac_softmax_f32(x, y, huge, 4),
        "a label is not": lib.softjac_cross_entropy_labels_f32(x, labels, y, NULL, 2, 4),
    }
    for text, status in calls.items():
        assert text in message(status), (text, status)
    assert len(set(calls.values())) == len(calls)
    assert lib.softjac_softmax_vjp_f32(x, NULL, y, 2, 4) == calls["NULL"]
    assert lib.softjac_softmax_jacobian_f32(x, y, 2**21, 2**21) == calls["address space"]
    assert np.all(out == 7)
    assert message(99) == "unknown status"


def test_empty_calls_touch_nothing() -> None:
    """No rows or no classes is no error, whatever the pointers."""
    lib = library()
    assert lib.softjac_softmax_f32(NULL, NULL, 0, 5) == 0
    assert lib.softjac_softmax_vjp_f64(NULL, NULL, NULL, 5, 0) == 0
    assert lib.softjac_softmax_jacobian_bf16(NULL, NULL, 3, 0) == 0


@pytest.mark.parametrize("language", ["c", "c++"])
def test_header_stands_alone(language: str, tmp_path: Path) -> None:
    """The header compiles by itself as C11 and C++, without a warning."""
    if language == "c++" and shutil.which("c++") is None:
        pytest.skip("no C++ compiler on this machine")
    standard = "c11" if language == "c" else "c++11"
    file = tmp_path / ("main.c" if language == "c" else "main.cc")
    file.write_text('#include "softjac.h"\nint main(void) { return softjac_abi_version() - 1; }\n')
    driver = COMPILER if language == "c" else "c++"
    flags = [f"-std={standard}", "-Wall", "-Wextra", "-Werror", "-pedantic", f"-I{SOURCE}"]
    subprocess.run([driver, *flags, "-c", file, "-o", tmp_path / "main.o"], check=True)


def test_no_vector_type_is_public() -> None:
    """The public functions take scalars and pointers to scalars only."""
    header = re.sub(r"/\*.*?\*/", "", (SOURCE / "softjac.h").read_text(), flags=re.DOTALL)
    types = set(re.findall(r"[(,]\s*(?:const )?(\w+) \*?\w+(?=[,)])", header))
    plain = {"float", "double", "uint16_t", "int64_t", "size_t", "ptrdiff_t", "int", "void"}
    assert types == plain | {"softjac_status"}


def test_floating_point_environment_is_left_as_found() -> None:
    """Rounding upwards and flushing subnormals change no bit of the result, and stay set."""
    libm = ctypes.CDLL(None)
    upward = {"x86_64": 0x800, "aarch64": 0x400000}.get(os.uname().machine)
    if upward is None:
        pytest.skip("the constant FE_UPWARD of this machine is not known here")
    lib = library()
    x = np.linspace(-90, 3, 400, dtype=np.float32)
    want, got = np.empty_like(x), np.empty_like(x)
    assert lib.softjac_softmax_f32(address(x), address(want), 4, 100) == 0
    before = libm.fegetround()
    pointers = address(x), address(got)
    libm.fesetround(upward)
    try:
        lib.softjac_softmax_f32(*pointers, 4, 100)
        after = libm.fegetround()
    finally:
        libm.fesetround(before)
    assert after == upward
    assert got.tobytes() == want.tobytes()


def test_forcing_an_isa_forces_it() -> None:
    """The library says which ISA runs, and it is the one asked for."""
    ffi = _library.load()[0]
    for isa in ("portable", "avx2", "avx512"):
        lib = library(isa)
        assert lib is None or ffi.string(lib.softjac_isa()).decode() == isa
    assert library("portable") is not None


ISA_FLAGS = {
    "portable": [],
    "avx2": ["-mavx2", "-mfma"],
    "avx512": ["-mavx512f", "-mavx512vl", "-mavx512dq", "-mavx512bw", "-mfma"],
}


@pytest.mark.parametrize("isa", available())
def test_products_of_faint_numbers_are_those_of_the_processor(isa: str, tmp_path: Path) -> None:
    """By double or by integers, a product with a subnormal number has the bits of a plain one."""
    program = tmp_path / "faint"
    flags = ["-std=c11", "-O2", "-ffp-contract=off", f"-I{SOURCE}", f'-DSIMD="simd_{isa}.h"']
    source = Path(__file__).with_name("faint_products.c")
    command = [COMPILER, *flags, *ISA_FLAGS[isa], str(source), "-o", str(program), "-lm"]
    subprocess.run(command, check=True)
    done = subprocess.run([program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
