"""What a compiled program depends on, as keys under which it is kept."""

import contextlib
import dataclasses
import functools
import hashlib
import importlib.metadata
import os
import platform
import sys
import time
from pathlib import Path
from typing import Any

import jax

PACKAGE = Path(__file__).parents[1]
LIBRARIES = ("flax", "jax", "jaxlib", "numpy", "optax")
MARGIN = 5  # s, in which the sources may have been imported before this module

_started = time.time()


def hash_of(described: Any) -> str:
    """Returns the SHA-256 of a value's `repr`."""
    return hashlib.sha256(repr(described).encode()).hexdigest()


def signature(leaf: Any) -> tuple[Any, ...]:
    """Returns what a program depends on of an argument's array; hashable."""
    if not hasattr(leaf, "dtype"):  # a Python number
        return (type(leaf),)
    is_weak = getattr(leaf, "weak_type", False)
    return leaf.shape, leaf.dtype, is_weak, getattr(leaf, "sharding", None)


def canonical(value: Any) -> Any:
    """Returns a value with a reliable `repr`, or None if it has none."""
    if value is None or isinstance(value, str | int | float):
        return repr(value)
    if isinstance(value, tuple | list):
        parts = [canonical(part) for part in value]
        return None if None in parts else parts
    if isinstance(value, set | frozenset):
        return canonical(sorted(value, key=repr))
    if not dataclasses.is_dataclass(value) or not _is_ours(type(value)):
        return None
    fields = [f.name for f in dataclasses.fields(value) if f.name != "parent"]
    parts = [canonical(getattr(value, name)) for name in fields]
    if None in parts:
        return None
    name = f"{type(value).__module__}.{type(value).__qualname__}"
    return [name, *zip(fields, parts, strict=True)]


def _is_ours(cls: type) -> bool:
    """Returns whether a class is defined in this package."""
    place = getattr(sys.modules.get(cls.__module__), "__file__", None)
    return place is not None and PACKAGE in Path(place).parents


def circumstances() -> list[Any]:
    """Returns what programs depend on besides sources, arguments and identity."""
    settings = {
        name: getattr(jax.config, name, value)  # of this thread, where it has its own
        for name, value in sorted(jax.config.values.items())
        if "cache" not in name and "log" not in name
    }
    devices = [(d.id, d.device_kind) for d in jax.devices()]
    flags = [os.environ.get(name) for name in ("XLA_FLAGS", "LIBTPU_INIT_ARGS")]
    return [_versions(), _machine(), devices, flags, settings]


@functools.cache
def sources() -> str | None:
    """Returns the hash of the package's sources, or None if it cannot be relied on.

    That is so if a file has changed since the process has started, as what was imported
    may be older, and if there are no sources, as in a zip archive.
    """
    found = hashlib.sha256()
    paths = sorted(PACKAGE.rglob("*.py"))
    if not paths:
        return None
    for path in paths:
        facts = path.stat()  # a copy of an older file has a new ctime only
        if max(facts.st_mtime, facts.st_ctime) > _started - MARGIN:
            return None
        found.update(str(path.relative_to(PACKAGE)).encode() + b"\0")
        found.update(path.read_bytes() + b"\0")
    return found.hexdigest()


@functools.cache
def _versions() -> list[str]:
    """Returns the versions of the libraries, as far as they are known."""
    known = []
    for name in LIBRARIES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            known.append(f"{name} {importlib.metadata.version(name)}")
    return known


@functools.cache
def _machine() -> str:
    """Describes the processor, whose instructions and cores programs use."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # no Linux
        lines = []
    flags = sorted({line for line in lines if line.startswith(("flags", "Features"))})
    has_affinity = hasattr(os, "sched_getaffinity")
    cores = len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count()
    return f"{platform.platform()} {platform.processor()} {cores} {flags}"
