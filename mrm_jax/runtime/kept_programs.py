"""Keeps compiled programs between processes, so that a start need not trace them.

JAX's compilation cache saves compiling a program, but to find it JAX traces the call
first. For MRM-Net that takes longer than anything else before the first step. Here a
program is found by what it depends on: the sources of this package, the versions of the
libraries, the settings of JAX, the machine, and the shapes of the arguments. Networks
of the user's own are always traced, since they may depend on other files.

The folder holds a file NAME.program for each program, named by the hash of its code
before compilation, and a file NAME.key for each set of circumstances, which contains
the name of its program. After a change of the sources that leaves a program as it is,
one trace finds it. A further file NAME.key for each call, whatever the shapes of its
arguments, names the program that was used last (`KeptCall.load_ahead`). A file
NAME.shapes holds the shapes of a call's result, which also take a trace to find.
"""

import contextlib
import logging
import pickle
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
from jax.experimental import serialize_executable

from mrm_jax.runtime import kept_files, program_keys

CACHE_HIT = "/jax/compilation_cache/cache_hits"
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
        self._identity = program_keys.canonical(identity)
        self._programs: dict[Any, Callable[..., Any]] = {}
        self._ahead: _LoadingThread | None = None

    def load_ahead(self) -> None:
        """Starts to load the program that was used last, in a thread.

        Loading takes a second or two, in which Python can read records and weights. As
        the arguments are not known yet, this is a guess. If it is wrong, it costs the
        time of a core that would be idle. The process does not end before the thread.
        """
        if _folder is None or not self._is_kept() or self._programs or self._ahead:
            return
        sources = program_keys.sources()
        if sources is None:
            return
        around = program_keys.circumstances()
        path = _named(_folder, _path(_folder, self._last(sources, around)))
        if path is not None:
            self._ahead = _LoadingThread(path)

    def __call__(self, *args: Any) -> Any:
        """Returns what the wrapped call returns."""
        if _folder is None or not self._is_kept():
            return self._call(*args)
        if any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(args)):
            return self._call(*args)
        signature = _signature(args)
        if signature not in self._programs:
            self._programs[signature] = self._program(_folder, signature, args)
        return self._programs[signature](*args)

    def eval_shape(self, *args: Any) -> Any:
        """Returns the shapes of the result, as the wrapped call, perhaps kept ones."""
        if _folder is None or not self._is_kept():
            return self._call.eval_shape(*args)
        sources = program_keys.sources()
        if sources is None:
            return self._call.eval_shape(*args)
        around = program_keys.circumstances()
        depends_on = (self._identity, _signature(args), sources, around)
        path = _path(_folder, depends_on, ".shapes")
        shapes = kept_files.unpickled(path)
        if shapes is None:
            shapes = self._call.eval_shape(*args)
            if program_keys.sources.__wrapped__() == sources:
                kept_files.save(path, lambda: pickle.dumps(shapes))
        return shapes

    def lower(self, *args: Any) -> Any:
        """Returns the lowered program, as that of the wrapped call."""
        return self._call.lower(*args)

    def _program(self, folder, signature, args):
        """Returns the program for some arguments, loaded or compiled and saved."""
        sources = program_keys.sources()
        if sources is None:
            return self._call
        around = program_keys.circumstances()
        key = _path(folder, (self._identity, signature, sources, around))
        last = _path(folder, self._last(sources, around))
        path = _named(folder, key)
        program = None if path is None else self._load(path)
        if path is not None and program is not None:
            _note(last, path)
            return program
        lowered = self._call.lower(*args)
        code = program_keys.hash_of((lowered.as_text(), signature, around))
        path = folder / f"{code}.program"
        program = self._load(path)
        if program is None:
            with _cache_hits() as hits:
                program = lowered.compile()
            is_kept = not hits and kept_files.save(path, lambda: _serialized(program))
        else:
            is_kept = True
        if is_kept and program_keys.sources.__wrapped__() == sources:
            _note(key, path)
            _note(last, path)
        return program

    def _is_kept(self):
        """Returns whether anything of this call is kept."""
        return self._identity is not None and _can_be_kept()

    def _last(self, sources, around):
        """Returns what the program that was used last is known by."""
        return self._identity, "last", sources, around

    def _load(self, path):
        """Returns the program of a file, if it can be loaded, perhaps already is."""
        ahead, self._ahead = self._ahead, None
        if ahead is None or ahead.path != path:
            return _load(path)
        ahead.join()
        return ahead.program or _load(path)


class _LoadingThread(threading.Thread):
    """Loads a program; JAX lets other threads run meanwhile."""

    def __init__(self, path: Path):
        """Starts."""
        super().__init__(name="kept_programs")
        self.path = path
        self.program: Callable[..., Any] | None = None
        self.start()

    def run(self) -> None:
        """Loads the program."""
        self.program = _load(self.path)


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


def _signature(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Returns what a program depends on of a call's arguments; hashable."""
    leaves, tree = jax.tree.flatten(args)
    settings = [getattr(jax.config, name) for name in BY_THREAD]
    return (tree, *settings, *map(program_keys.signature, leaves))


def _path(folder: Path, depends_on: Any, suffix: str = ".key") -> Path:
    """Returns the file of some circumstances."""
    return folder / f"{program_keys.hash_of(depends_on)}{suffix}"


def _named(folder: Path, key: Path) -> Path | None:
    """Returns the program's file that another file names, or None if there is none."""
    named = NAME.fullmatch(kept_files.read(key) or b"")
    return folder / named[0].decode() if named else None


def _note(key: Path, program: Path) -> None:
    """Saves the name of a program's file in another file."""
    if _named(program.parent, key) != program:
        kept_files.save(key, program.name.encode)


def _load(path: Path) -> Callable[..., Any] | None:
    """Returns the program of a file, or None if there is none that can be loaded."""
    unpickled = kept_files.unpickled(path)
    if unpickled is None:
        return None
    try:
        (serialized, in_tree, out_tree), numbers = unpickled
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


def _can_be_kept() -> bool:
    """Returns whether programs of this backend are kept; only the CPU's were tried."""
    if any(getattr(jax.config, name) for name in DEBUGGING):
        return False
    return jax.default_backend() == "cpu" and jax.process_count() == 1
