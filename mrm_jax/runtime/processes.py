"""Communication between the processes of a run over several hosts.

Usually each host has one process with its own devices. Only process 0 writes, prints
and decides. The functions here share its results and errors with all processes. In a
run with one process they only call their argument.
"""

import contextlib
import pickle
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any, TypeVar, cast

import jax
import numpy as np
from jax.experimental import multihost_utils

SMALLEST_MESSAGE = 4096  # bytes; sizes double from here, as each is compiled

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
    """Runs function on process 0 and broadcasts its result, or its exception, to all.

    It is meant for all access to a run's folder, which other hosts need not see.

    Args:
        function: function whose result, or exception, can be pickled.

    Raises:
        Exception: the exception of function, on every process.
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
    `run_on_main`, with the arguments of process 0, and all processes get the result.
    Attributes that are not methods cannot be read.

    Raises:
        Exception: the exception of open_it, on every process.
    """
    with contextlib.ExitStack() as stack:
        opened: list[Value] = []
        run_on_main(lambda: opened.append(stack.enter_context(open_it())))
        yield cast(Value, _OnMain(opened))


class _OnMain:
    """Proxy for the methods of an object that only process 0 has."""

    def __init__(self, opened: list[Any]):
        """Takes a list that holds the object on process 0 and is empty elsewhere."""
        self._opened = opened

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """Returns a method of the object, which runs on process 0."""
        return lambda *args, **kwargs: run_on_main(
            lambda: getattr(self._opened[0], name)(*args, **kwargs)
        )


def all_or_raise(function: Callable[[], Value]) -> Value:
    """Returns the result of function once it has succeeded on all processes.

    The results may differ between processes.

    Raises:
        ValueError: if function failed on a process; names the process and the error.
    """
    if count() == 1:
        return function()
    value, error = _attempt(function)
    for process, message in enumerate(gather(error and str(error))):
        if message is not None:
            raise ValueError(f"process {process}: {message}")
    return value


def gather(value: Value) -> list[Value]:
    """Returns the values of all processes in order; they have to be picklable."""
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
    """Returns content with zeros at its end, which `pickle.loads` ignores."""
    size = SMALLEST_MESSAGE
    while size < length:
        size *= 2
    return np.frombuffer(content.ljust(size, b"\0"), np.uint8)
