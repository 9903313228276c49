"""Commands in processes of their own that start quickly, to be killed.

The processes are forked from one that has imported the commands, but has not started
JAX.
"""

import importlib
import multiprocessing
import os
import sys
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["tests.helpers.preloaded_commands"])


def install_tiny_network() -> None:
    """Makes a command train the tiny network."""
    from tests.helpers import tiny_network

    tiny_network.install()


def keep_the_network() -> None:
    """Lets a command train the network of its configuration."""


def start(
    module: str,
    *arguments: object,
    output: Path,
    errors: Path | None = None,
    prepare: Callable[[], None] = install_tiny_network,
) -> BaseProcess:
    """Starts a command.

    Args:
        module: the command's module, such as "mrm_jax.train".
        arguments: its command line.
        output: file to which its output is appended.
        errors: file to which its errors are appended; by default `output`.
        prepare: called in the process before the command; can be pickled.
    """
    words = [str(word) for word in arguments]
    process = _context.Process(
        target=_run, args=(module, words, output, errors or output, prepare)
    )
    process.start()
    return process


def run(module: str, *arguments: object, **options) -> int:
    """Runs a command to its end, with the options of `start`; returns its status."""
    process = start(module, *arguments, **options)
    process.join()
    assert process.exitcode is not None
    return process.exitcode


def _run(
    module: str,
    words: list[str],
    output: Path,
    errors: Path,
    prepare: Callable[[], None],
) -> None:
    with output.open("a") as out, errors.open("a") as err:
        os.dup2(out.fileno(), 1)
        os.dup2(err.fileno(), 2)
    _keep_all_programs()
    prepare()
    sys.exit(importlib.import_module(module).main(words))


def _keep_all_programs() -> None:
    """Caches small programs, too, which every process would compile again."""
    import jax

    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
