"""Writes the cffi out-of-line ABI module from the public header, its only source."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from cffi import FFI


def declarations(header: str) -> str:
    """The part of the header between its markers, without comments."""
    start = header.index("/* Everything from here to the end marker")
    end = header.index("/* end marker */")
    return re.sub(r"/\*.*?\*/", "", header[start:end], flags=re.DOTALL)


def main(header: str, output: str) -> None:
    """Write the module `output` for the declarations of `header`."""
    ffi = FFI()
    ffi.cdef(declarations(Path(header).read_text(encoding="utf-8")))
    ffi.set_source(Path(output).stem, None)
    ffi.emit_python_code(output)
    module = Path(output)
    module.write_text("# mypy: ignore-errors\n" + module.read_text(encoding="utf-8"), "utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
