"""The list of candidates in softjac.toml, or under [tool.softjac] of pyproject.toml."""

from __future__ import annotations

import shlex
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from softjac._errors import ArgumentError, did_you_mean
from softjac.oracle.description.suffixes import may_hold

__all__ = ["EFFORTS", "KEYS", "Entry", "entry_from", "find", "read"]

EFFORTS = ("quick", "standard", "thorough")

# What an entry may say: the command line's options by their names, and the type of each.
KEYS: dict[str, type] = {
    "name": str,
    "target": str,
    "op": str,
    "prototype": str,
    "header": str,
    "roles": dict,
    "autodiff": bool,
    "dtype": str,
    "assume": list,
    "not-reentrant": bool,
    "align": int,
    "in-place": list,
    "accumulates": bool,
    "nonfinite": str,
    "over-read": int,
    "cflags": list,
    "array": str,
    "effort": str,
    "seed": int,
    "timeout": float,
}
# These name one candidate, so they cannot be defaults of all.
OWN_KEYS = ("name", "target", "op", "prototype", "roles")
TYPE_NAMES = {str: "a string", bool: "true or false", int: "an integer", float: "a number",
              list: "a list of strings", dict: "a table of strings"}  # fmt: skip
SEEDS = range(2**32)


@dataclass(frozen=True, slots=True)
class Entry:
    """One candidate of a configuration.

    options: what `softjac.verify` takes beside the target, by its names there.
    """

    name: str
    target: str
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def command(self) -> str:
        """The target and what it claims as a command line, to follow `softjac replay REPLAY`."""
        words = [self.target]
        for key, value in self.options.items():
            if key in ("effort", "seed"):
                continue
            flag = f"--{key.replace('_', '-')}"
            if isinstance(value, bool):
                words += [flag] if value else []
            elif isinstance(value, Mapping):
                words += [flag, ",".join(f"{k}={v}" for k, v in value.items())]
            elif isinstance(value, tuple):
                words += [word for item in value for word in (flag, item)]
            else:
                words += [flag, str(value)]
        return shlex.join(words)


def checked(where: str, table: Mapping[str, Any], known: list[str]) -> dict[str, Any]:
    """The table's values, each of the type its key demands, else an error that says so."""
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key not in known:
            hint = did_you_mean(key.replace("_", "-"), known) or f"; known: {', '.join(known)}"
            raise ArgumentError(f"{where}: unknown key {key}{hint}")
        kind = KEYS[key]
        if kind is list and isinstance(value, str):
            value = [value]
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        parts = value.values() if isinstance(value, dict) else value
        nested = kind in (list, dict)
        wrong_part = nested and isinstance(value, kind) and any(type(p) is not str for p in parts)
        if type(value) is not kind or wrong_part:
            raise ArgumentError(f"{where}: '{key}' must be {TYPE_NAMES[kind]}, not {value!r}")
        if key == "seed" and value not in SEEDS:
            raise ArgumentError(f"{where}: 'seed' must be from 0 to 2**32 - 1, not {value}")
        values[key] = value
    return values


def located(name: str, folder: Path) -> str:
    """A file's name, or the target FILE:SYMBOL, relative to the configuration's folder."""
    path, colon, symbol = name.rpartition(":")
    if colon and not may_hold(path):
        return name
    file = Path(path if colon else name)
    if file.is_absolute() or folder == Path():
        return name
    return f"{folder / file}{colon}{symbol if colon else ''}"


def entry_from(table: Mapping[str, Any], where: str, folder: Path = Path()) -> Entry:
    """One candidate from its table.

    Args:
        table: keys of the command line's options, with their values.
        where: how messages call the table.
        folder: what relative files are relative to.

    Returns:
        The entry, its options named and typed as `softjac.verify` takes them.

    Raises:
        ArgumentError: an unknown key, a value of the wrong type, or no target or op.
    """
    values = checked(where, table, list(KEYS))
    for key in ("target", "op"):
        if key not in values:
            raise ArgumentError(f"{where}: '{key}' is missing; every candidate needs one")
    target = located(values.pop("target"), folder)
    name = values.pop("name", f"{target} {values['op']}")
    if "header" in values:
        values["header"] = located(values["header"], folder)
    options = {
        key.replace("-", "_"): tuple(value) if isinstance(value, list) else value
        for key, value in values.items()
    }
    return Entry(name, target, options)


def table_of(path: Path) -> dict[str, Any] | None:
    """What a file says of softjac; None where it is a pyproject.toml that says nothing."""
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ArgumentError(f"{path}: cannot be read as TOML: {error}") from error
    if path.name == "pyproject.toml":
        tools = content.get("tool")
        found = tools.get("softjac") if isinstance(tools, dict) else None
        if found is not None and not isinstance(found, dict):
            raise ArgumentError(f"{path}: tool.softjac must be a table, not {found!r}")
        return found
    return content


def find(start: Path) -> Path | None:
    """The configuration that holds for a folder: its own, or that of the nearest one above.

    Args:
        start: the folder.

    Returns:
        softjac.toml, or pyproject.toml where it has [tool.softjac]; None where there is neither.
    """
    for folder in (start, *start.parents):
        own = folder / "softjac.toml"
        if own.is_file():
            return own
        shared = folder / "pyproject.toml"
        if shared.is_file() and table_of(shared) is not None:
            return shared
    return None


def read(path: Path) -> list[Entry]:
    """The candidates of a configuration, defaults of the file merged in.

    Args:
        path: softjac.toml or pyproject.toml.

    Returns:
        An entry for each [[candidate]], in the file's order.

    Raises:
        ArgumentError: not TOML, an unknown key, a value of the wrong type, a name used twice, or
            no candidate at all.
    """
    table = dict(table_of(path) or {})
    tables = table.pop("candidate", [])
    if not isinstance(tables, list) or not all(isinstance(t, dict) for t in tables):
        raise ArgumentError(f"{path}: candidates are written as [[candidate]] tables")
    common = [key for key in KEYS if key not in OWN_KEYS]
    defaults = checked(f"{path}", table, [*common, "candidate"])
    folder = path.parent.resolve()
    if folder.is_relative_to(Path.cwd()):
        folder = folder.relative_to(Path.cwd())
    entries: list[Entry] = []
    for number, own in enumerate(tables, start=1):
        where = f"{path}: candidate {own.get('name', number)}"
        entry = entry_from({**defaults, **own}, where, folder)
        if entry.name in {other.name for other in entries}:
            raise ArgumentError(f"{where}: the name '{entry.name}' is taken; give each its own")
        entries.append(entry)
    if not entries:
        raise ArgumentError(f"{path}: no [[candidate]] in it; `softjac init` writes a first one")
    return entries
