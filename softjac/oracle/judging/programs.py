"""Compiled reference programs, kept between runs: what is kept need not even be traced again."""

from __future__ import annotations

import contextlib
import hashlib
import os
import pickle
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from softjac.oracle import cache

__all__ = ["kept"]


def kept(name: str, compiled: Callable[[], Any]) -> Any:
    """A compiled JAX program: the one kept under this name, or what `compiled` gives, then kept.

    A name stands for one program of one version of softjac, JAX and its settings on one kind of
    processor. What cannot be read is compiled again; what cannot be kept is used all the same.
    Nothing is kept where XLA would speak of it.
    """
    if not cache.is_quiet():
        return compiled()
    import jax
    from jax.experimental.serialize_executable import deserialize_and_load, serialize

    file = cache.folder("reference") / f"{_key(name)}.bin"
    with contextlib.suppress(Exception):  # of another release, damaged, or not there
        digest, body = _split(file.read_bytes())
        if hashlib.sha256(body).digest() == digest:
            program, inputs, outputs = pickle.loads(body)
            one = jax.local_devices()[:1]  # the program's own; else it would want them all
            return deserialize_and_load(program, inputs, outputs, execution_devices=one)
    program = compiled()
    with contextlib.suppress(Exception):  # not every backend can write its programs down
        body = pickle.dumps(serialize(program))
        part = file.with_name(f"{os.getpid()}-{threading.get_ident()}.part")
        part.write_bytes(hashlib.sha256(body).digest() + body)
        part.replace(file)
    return program


def _split(content: bytes) -> tuple[bytes, bytes]:
    """The digest that a file begins with, and the rest."""
    size = hashlib.sha256().digest_size
    return content[:size], content[size:]


def _key(name: str) -> str:
    """A digest of all that a program depends on."""
    from importlib.metadata import version

    import jax

    key = hashlib.sha256()
    package = Path(__file__).parents[2]
    for source in (*sorted(package.glob("*.py")), package / "oracle" / "reference.py"):
        key.update(source.read_bytes())
    settings = sorted(jax.config.values.items(), key=lambda item: item[0])
    flags = os.environ.get("XLA_FLAGS", "")
    releases = version("jax"), version("jaxlib")
    machine = jax.default_backend(), cache.processor()
    for part in (name, releases, machine, settings, flags):
        key.update(f"{part}\0".encode())
    return key.hexdigest()[:32]
