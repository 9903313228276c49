"""Keeps compiled programs between processes, so that a start need not trace them.

JAX's compilation cache saves compiling a program, but to find it JAX traces the call
first. For MRM-Net that takes longer than anything else before the first step. Here a
program is found by what it depends on: the sources of this package, the versions of the
libraries, the settings of JAX, the machine, and the shapes of the arguments. Networks
of the user's own are always traced, since they may depend on other files.
"""

import contextlib
import dataclasses
import functools
import hashlib
import importlib.metadata
import logging
import os
import pickle
import platform
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
from jax.experimental import serialize_executable

from mrm_jax.runtime import atomic

PACKAGE = Path(__file__).parents[1]
LIBRARIES = ("flax", "jax", "jaxlib", "numpy", "optax")
CACHE_HIT = "/jax/compilation_cache/cache_hits"
MAX_PROGRAMS = 64  # of 1 to 10 MB each; the least recently used ones are removed

_folder: Path | None = None


def keep_in(folder: Path | None) -> None:
    """Keeps the programs of `KeptCall` in a folder from now on; None keeps none."""
    global _folder
    _folder = folder


class KeptCall:
    """A mapped call, whose programs are loaded from the folder of `keep_in` if known.

    A file that cannot be read is replaced, and nothing fails if none can be written.
    """

    def __init__(self, call: Any, identity: Any):
        """Wraps a call.

        Args:
            call: a function that JAX compiles; its result has the method `lower`.
            identity: what its program depends on, besides arguments and sources:
                numbers, strings, and tuples, sets and dataclasses of them. If it holds
                anything else, or a class from outside this package, no program is kept.
        """
        self._call = call
        self._identity = _canonical(identity)
        self._programs: dict[Any, Callable[..., Any]] = {}

    def __call__(self, *args: Any) -> Any:
        """Returns what the wrapped call returns."""
        if _folder is None or self._identity is None or not _can_be_kept():
            return self._call(*args)
        leaves, tree = jax.tree.flatten(args)
        if any(isinstance(leaf, jax.core.Tracer) for leaf in leaves):
            return self._call(*args)
        signature = (tree, *map(_signature, leaves))
        if signature not in self._programs:
            self._programs[signature] = self._program(_folder, signature, args)
        return self._programs[signature](*args)

    def eval_shape(self, *args: Any) -> Any:
        """Returns the shapes of the result, as the wrapped call."""
        return self._call.eval_shape(*args)

    def lower(self, *args: Any) -> Any:
        """Returns the lowered program, as that of the wrapped call."""
        return self._call.lower(*args)

    def _program(self, folder, signature, args):
        """Returns the program for some arguments, loaded or compiled and saved."""
        depends_on = repr((self._identity, signature, *_circumstances()))
        name = hashlib.sha256(depends_on.encode()).hexdigest()
        path = folder / f"{name}.program"
        with contextlib.suppress(FileNotFoundError):
            try:
                program = _load(path)
            except FileNotFoundError:
                raise
            except Exception as error:  # whatever a damaged file leads to
                logging.debug("%s: cannot be loaded: %s", path, error)
            else:
                with contextlib.suppress(OSError):
                    os.utime(path)
                return program
        with _cache_hits() as hits:
            program = self._call.lower(*args).compile()
        if not hits:
            _save(program, path)
        return program


@contextlib.contextmanager
def _cache_hits() -> Iterator[list[str]]:
    """Yields a list that gets an entry for each program from JAX's compilation cache.

    XLA cannot serialise such a program again: on the CPU it would lack functions when
    it runs (jaxlib 0.10.2).
    """
    hits: list[str] = []

    def note(event: str, **_: Any) -> None:
        """Notes a hit."""
        if event == CACHE_HIT:
            hits.append(event)

    jax.monitoring.register_event_listener(note)
    try:
        yield hits
    finally:
        jax.monitoring.unregister_event_listener(note)


def _save(program: Any, path: Path) -> None:
    """Saves a program, if that is possible, and removes the least recently used."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic.replacing(path) as temporary:
            serialized = serialize_executable.serialize(program)
            temporary.write_bytes(pickle.dumps((serialized, _devices(program))))
        by_age = sorted(path.parent.glob("*.program"), key=lambda p: p.stat().st_mtime)
        for old in by_age[:-MAX_PROGRAMS]:
            old.unlink()
    except Exception as error:  # the program itself is there
        logging.debug("%s: cannot be saved: %s", path, error)


def _load(path: Path) -> Callable[..., Any]:
    (serialized, in_tree, out_tree), numbers = pickle.loads(path.read_bytes())
    by_number = {device.id: device for device in jax.local_devices()}
    devices = [by_number[number] for number in numbers]
    return serialize_executable.deserialize_and_load(
        serialized, in_tree, out_tree, execution_devices=devices
    )


def _devices(program: Any) -> list[int]:
    """Returns the numbers of the devices on which a program runs."""
    places = jax.tree.leaves(program.input_shardings)
    return sorted({device.id for place in places for device in place.device_set})


def _can_be_kept() -> bool:
    """Returns whether programs of this backend are kept; only the CPU's were tried."""
    return jax.default_backend() == "cpu" and jax.process_count() == 1


def _signature(leaf: Any) -> tuple[Any, ...]:
    return leaf.shape, str(leaf.dtype), getattr(leaf, "sharding", None)


def _canonical(value: Any) -> Any:
    """Returns a value with a reliable `repr`, or None if it has none."""
    if value is None or isinstance(value, str | int | float):
        return repr(value)
    if isinstance(value, tuple | list):
        parts = [_canonical(part) for part in value]
        return None if None in parts else parts
    if isinstance(value, set | frozenset):
        return _canonical(sorted(value))
    cls = type(value)
    if not dataclasses.is_dataclass(value) or cls.__module__.split(".")[0] != "mrm_jax":
        return None
    fields = [f.name for f in dataclasses.fields(value) if f.name != "parent"]
    parts = [_canonical(getattr(value, name)) for name in fields]
    if None in parts:
        return None
    return [f"{cls.__module__}.{cls.__qualname__}", *zip(fields, parts, strict=True)]


def _circumstances() -> list[Any]:
    """Returns what programs depend on besides their arguments and their identity."""
    settings = {
        name: getattr(jax.config, name, value)  # of this thread, where it has its own
        for name, value in sorted(jax.config.values.items())
        if "cache" not in name and "log" not in name
    }
    devices = [(d.id, d.device_kind) for d in jax.devices()]
    return [_sources(), _machine(), devices, os.environ.get("XLA_FLAGS"), settings]


@functools.cache
def _sources() -> str:
    """Returns the hash of the package's sources and the versions of the libraries."""
    found = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*.py")):
        found.update(str(path.relative_to(PACKAGE)).encode() + b"\0")
        found.update(path.read_bytes() + b"\0")
    versions = [importlib.metadata.version(name) for name in LIBRARIES]
    return f"{found.hexdigest()} {versions}"


@functools.cache
def _machine() -> str:
    """Describes the processor: programs may use any of its instructions."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # no Linux
        lines = []
    flags = sorted({line for line in lines if line.startswith(("flags", "Features"))})
    return f"{platform.platform()} {platform.machine()} {platform.processor()} {flags}"
