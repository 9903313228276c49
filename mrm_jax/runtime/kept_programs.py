"""Keeps compiled programs between processes, so that a start need not trace them.

JAX's compilation cache saves compiling a program, but to find it JAX traces the call
first. For MRM-Net that takes longer than anything else before the first step. Here a
program is found by what it depends on: the sources of this package, the versions of the
libraries, the settings of JAX, the machine, and the shapes of the arguments. Networks
of the user's own are always traced, since they may depend on other files.

The folder holds a file NAME.program for each program, named by the hash of its code
before compilation, and a file NAME.key for each set of circumstances, which contains
the name of its program. After a change of the sources that leaves a program as it is,
one trace finds it.
"""

import contextlib
import itertools
import logging
import os
import pickle
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
from jax.experimental import serialize_executable

from mrm_jax.runtime import atomic, program_keys

CACHE_HIT = "/jax/compilation_cache/cache_hits"
MAX_BYTES = {".program": 512 * 2**20, ".key": 2**16}  # in all; see `_save`
NAME = re.compile(rb"[0-9a-f]{64}\.program")
DEBUGGING = (  # with these settings, JAX has to run the call itself
    "jax_disable_jit",
    "jax_debug_nans",
    "jax_debug_infs",
    "jax_enable_checks",
)
BY_THREAD = (  # settings of JAX that a program may change while it runs
    "jax_enable_x64",
    "jax_default_matmul_precision",
    "jax_default_prng_impl",
    "jax_numpy_dtype_promotion",
    "jax_threefry_partitionable",
)

_folder: Path | None = None


def keep_in(folder: Path | None) -> None:
    """Keeps the programs of `KeptCall` in a folder from now on; None keeps none.

    Its files are code that is run, so they are only read if they belong to the user and
    nobody else can write them.
    """
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
        self._identity = program_keys.canonical(identity)
        self._programs: dict[Any, Callable[..., Any]] = {}

    def __call__(self, *args: Any) -> Any:
        """Returns what the wrapped call returns."""
        if _folder is None or self._identity is None or not _can_be_kept():
            return self._call(*args)
        leaves, tree = jax.tree.flatten(args)
        if any(isinstance(leaf, jax.core.Tracer) for leaf in leaves):
            return self._call(*args)
        settings = [getattr(jax.config, name) for name in BY_THREAD]
        signature = (tree, *settings, *map(program_keys.signature, leaves))
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
        sources = program_keys.sources()
        if sources is None:
            return self._call
        around = program_keys.circumstances()
        depends_on = (self._identity, signature, sources, around)
        key = folder / f"{program_keys.hash_of(depends_on)}.key"
        named = NAME.fullmatch(_read(key) or b"")
        program = _load(folder / named[0].decode()) if named else None
        if program is not None:
            return program
        lowered = self._call.lower(*args)
        code = program_keys.hash_of((lowered.as_text(), signature, around))
        path = folder / f"{code}.program"
        program = _load(path)
        if program is None:
            with _cache_hits() as hits:
                program = lowered.compile()
            is_kept = not hits and _save(path, lambda: _serialized(program))
        else:
            is_kept = True
        if is_kept and program_keys.sources.__wrapped__() == sources:
            _save(key, path.name.encode)
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


def _read(path: Path) -> bytes | None:
    """Returns the content of a file of ours, or None if there is no such file."""
    try:
        facts = path.stat()
        if hasattr(os, "getuid"):  # not on Windows
            is_ours = facts.st_uid == os.getuid() and not facts.st_mode & 0o022
            if not is_ours:
                logging.debug("%s: others can write it, so it is not read", path)
                return None
        os.utime(path)  # it is used
        return path.read_bytes()
    except OSError:
        return None


def _load(path: Path) -> Callable[..., Any] | None:
    """Returns the program of a file, or None if there is none that can be loaded."""
    content = _read(path)
    if content is None:
        return None
    try:
        (serialized, in_tree, out_tree), numbers = pickle.loads(content)
        by_number = {device.id: device for device in jax.local_devices()}
        devices = [by_number[number] for number in numbers]
        return serialize_executable.deserialize_and_load(
            serialized, in_tree, out_tree, execution_devices=devices
        )
    except Exception as error:  # whatever a damaged file leads to
        logging.debug("%s: cannot be loaded: %s", path, error)
        return None


def _serialized(program: Any) -> bytes:
    """Returns a program as bytes, with the numbers of the devices on which it runs."""
    places = jax.tree.leaves(program.input_shardings)
    numbers = sorted({device.id for place in places for device in place.device_set})
    return pickle.dumps((serialize_executable.serialize(program), numbers))


def _save(path: Path, content: Callable[[], bytes]) -> bool:
    """Saves a file, and removes the least recently used of its kind beyond MAX_BYTES.

    Returns:
        Whether that was possible.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with atomic.replacing(path) as temporary:
            temporary.write_bytes(content())
            temporary.chmod(0o600)
        alike = [(p.stat(), p) for p in path.parent.glob(f"*{path.suffix}")]
        alike.sort(key=lambda item: -item[0].st_mtime)
        sizes = itertools.accumulate(facts.st_size for facts, _ in alike)
        for size, (_, old) in zip(sizes, alike, strict=True):
            if size > MAX_BYTES[path.suffix]:
                old.unlink(missing_ok=True)
    except Exception as error:  # the program itself is there
        logging.debug("%s: cannot be saved: %s", path, error)
        return False
    return True


def _can_be_kept() -> bool:
    """Returns whether programs of this backend are kept; only the CPU's were tried."""
    if any(getattr(jax.config, name) for name in DEBUGGING):
        return False
    return jax.default_backend() == "cpu" and jax.process_count() == 1
