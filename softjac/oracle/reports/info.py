"""What `softjac info` prints: versions, the CPU's features and the instruction set in use."""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import softjac

__all__ = ["cpu_features", "info_lines"]

# The features that a softmax kernel may care about, by Linux's names.
FEATURES = (
    "sse2", "avx", "avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512dq", "avx512vl",
    "avx512_bf16", "avx512_fp16", "asimd", "asimdhp", "bf16", "sve", "sve2",
)  # fmt: skip
PACKAGES = ("jax", "jaxlib", "numpy", "torch", "python-flint")


def cpu_features() -> list[str]:
    """The CPU's vector features, by Linux's names; empty where the system does not tell."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        words = set(cpuinfo.read_text("utf-8", "replace").split())
    elif sys.platform == "darwin":
        query = ["sysctl", "-n", "machdep.cpu.features", "machdep.cpu.leaf7_features"]
        words = set(subprocess.run(query, capture_output=True, text=True).stdout.lower().split())
        words |= {"asimd"} if platform.machine() == "arm64" else set()
    else:
        words = set()
    return [name for name in FEATURES if name in words]


def version_of(package: str) -> str:
    """The installed version of a package, without importing it."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def kernels() -> str:
    """The instruction set that the compiled kernels use here, or why there are none."""
    try:
        from softjac import native

        return native.isa()
    except softjac.SoftjacError as error:
        return f"none: {error}"


def info_lines() -> Iterator[str]:
    """Lines of name and value.

    Returns:
        Versions of softjac, Python and the packages it works with; the machine, its CPU's
        features, and the instruction set that the kernels use.
    """
    facts = {
        "softjac": softjac.__version__,
        "python": f"{platform.python_version()} ({sys.executable})",
        **{package: version_of(package) for package in PACKAGES},
        "machine": f"{platform.system()} {platform.machine()}",
        "cpu": " ".join(cpu_features()) or "unknown",
        "kernels": kernels(),
    }
    yield from (f"{name:<14}{value}" for name, value in facts.items())
