"""Commands in processes of their own that start quickly, to be killed.

The processes are forked from one that has imported the commands, but has not started
JAX. They train the tiny network.
"""

import importlib
import multiprocessing
import os
import sys
from multiprocessing.process import BaseProcess
from pathlib import Path

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["tests.helpers.preloaded_commands"])


def start(
    module: str, *arguments: object, output: Path, tiny: bool = True
) -> BaseProcess:
    """Starts a command; its output is appended to a file."""
    words = [str(word) for word in arguments]
    process = _context.Process(target=_run, args=(module, words, output, tiny))
    process.start()
    return process


def run(module: str, *arguments: object, output: Path, tiny: bool = True) -> int:
    """Runs a command to its end and returns its exit status."""
    process = start(module, *arguments, output=output, tiny=tiny)
    process.join()
    assert process.exitcode is not None
    return process.exitcode


def _run(module: str, words: list[str], output: Path, tiny: bool) -> None:
    with output.open("a") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    if tiny:
        from tests.helpers import tiny_network

        tiny_network.install()
    sys.exit(importlib.import_module(module).main(words))
