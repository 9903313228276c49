"""What the processes of a run over several hosts do together: decide, fail, compare.

Usually one process per host, each with its own devices. Process 0 alone writes, prints
and decides; the functions here let all of them know, and fail, together. Where a run
has one process they only call what they are given.
"""

import contextlib
import pickle
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any, TypeVar, cast

import jax
import numpy as np
from jax.experimental import multihost_utils

SMALLEST_MESSAGE = 4096  # bytes; sizes double from here: each is compiled for itself

Value = TypeVar("Value")


def count() -> int:
    """Returns the number of processes of this run."""
    return jax.process_count()


def index() -> int:
    """Returns the number of this process, from 0."""
    return jax.process_index()


def is_main() -> bool:
    """Returns whether this is process 0, which writes, prints and decides."""
    return index() == 0


def run_on_main(function: Callable[[], Value]) -> Value:
    """Returns on every process what function returns on process 0, which alone runs it.

    For all that touches a run's folder: the other hosts need not see it.

    Args:
        function: what it returns, or raises, can be pickled.

    Raises:
        Exception: what function raises, on every process.
    """
    if count() == 1:
        return function()
    outcome = _attempt(function) if is_main() else None
    return _open(pickle.loads(_broadcast(pickle.dumps(outcome))))


@contextlib.contextmanager
def main_only(
    open_it: Callable[[], AbstractContextManager[Value]],
) -> Iterator[Value]:
    """Opens an object on process 0 alone; its methods can be called on every process.

    Every process has to call the same methods in the same order. They run as in
    `run_on_main`: the arguments of process 0 count, and all get its result. Attributes
    that are not methods cannot be read.

    Raises:
        Exception: what open_it raises, on every process.
    """
    with contextlib.ExitStack() as stack:
        opened: list[Value] = []
        run_on_main(lambda: opened.append(stack.enter_context(open_it())))
        yield cast(Value, _OnMain(opened))


class _OnMain:
    """Calls the methods of an object that only process 0 has."""

    def __init__(self, opened: list[Any]):
        """Takes a list with the object, empty on other processes than 0."""
        self._opened = opened

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """Returns a method of the object, which runs on process 0."""
        return lambda *args, **kwargs: run_on_main(
            lambda: getattr(self._opened[0], name)(*args, **kwargs)
        )


def all_or_raise(function: Callable[[], Value]) -> Value:
    """Returns function's result, which may differ, once all processes have theirs.

    Raises:
        ValueError: if one of them failed; names it and its error.
    """
    if count() == 1:
        return function()
    value, error = _attempt(function)
    for process, message in enumerate(gather(error and str(error))):
        if message is not None:
            raise ValueError(f"process {process}: {message}")
    return value


def gather(value: Value) -> list[Value]:
    """Returns the values of all processes, by process; they can be pickled."""
    if count() == 1:
        return [value]
    content = pickle.dumps(value)
    longest = multihost_utils.process_allgather(np.int32(len(content))).max()
    rows = multihost_utils.process_allgather(_padded(content, longest))
    return [pickle.loads(row.tobytes()) for row in rows]


def _attempt(function: Callable[[], Value]) -> tuple[Any, Exception | None]:
    """Returns function's result and None, or None and its error."""
    try:
        return function(), None
    except Exception as error:
        return None, error


def _open(outcome: tuple[Any, Exception | None]) -> Any:
    value, error = outcome
    if error is not None:
        raise error
    return value


def _broadcast(content: bytes) -> bytes:
    """Returns process 0's bytes."""
    length = multihost_utils.broadcast_one_to_all(np.int32(len(content)))
    return multihost_utils.broadcast_one_to_all(
        _padded(content if is_main() else b"", length)
    ).tobytes()


def _padded(content: bytes, length: int) -> np.ndarray:
    """Returns content as bytes, filled up; a pickle knows its own end."""
    size = SMALLEST_MESSAGE
    while size < length:
        size *= 2
    return np.frombuffer(content.ljust(size, b"\0"), np.uint8)
