"""Runs the examples of a document as its reader would, in the root of a clone.

What a fenced block of a language means:

    python   runs; the blocks of a page share their names
    bash     runs, and has to end with status 0
    diff     is applied to the clone
    text     is what the block above printed, without the lines of its progress; "..."
             stands for anything

With title="FILE" a block is not run but written to FILE. Comments before a block:

    <!-- skip: next "REASON" -->   it is not run
    <!-- status: 2 -->             bash: ends with this status
    <!-- numbers: vary -->         text: other numbers are as good
"""

import contextlib
import doctest
import io
import os
import re
import shutil
import subprocess
import sys
import unittest
from collections.abc import Iterable
from pathlib import Path

import sybil
from sybil.evaluators import python as sybil_python
from sybil.parsers.markdown import SkipParser, lexers

from tests import conftest

PACKAGES = ("mrm_jax", "data_prep", "experiments")
INFO = re.compile(
    r'(?P<language>\w*)(?: title="(?P<title>[^"]+)")?[ ]*$\n', re.MULTILINE
)
NUMBER = re.compile(r"(?<![\w.])[-+]?\d+(?:[.,]\d+)*(?:e[-+]?\d+)?")
PROGRESS = re.compile(
    r"^(epoch|\w+ing)[\w ]*: [\d,]+ of [\d,]+\n", re.MULTILINE
)  # at odd times
LIKE_DOCTEST = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
TIME_LIMIT_S = 300


def make_clone(folder: Path) -> Path:
    """Copies what a reader's clone has and the examples need; returns the folder."""
    for package in PACKAGES:
        shutil.copytree(conftest.ROOT / package, folder / package)
    return folder


class Page:
    """The examples of a document."""

    def __init__(self, path: Path, folder: Path):
        """Reads the document; its examples will run in `folder`."""
        self._folder = folder
        self._printed: str | None = None
        self._status = 0
        self._numbers_vary = False
        parsers = [self._blocks, self._remarks, SkipParser()]
        self._document = sybil.Sybil(parsers).parse(path)

    def run(self) -> None:
        """Runs the examples in their order.

        Raises:
            sybil.example.SybilFailure: if one does something else than it says.
        """
        for example in self._document.examples():
            with contextlib.suppress(unittest.SkipTest):
                example.evaluate()

    def _blocks(self, document: sybil.Document) -> Iterable[sybil.Region]:
        run = {
            "python": self._run_python,
            "bash": self._run_bash,
            "diff": self._apply,
            "text": self._compare,
        }
        for region in lexers.RawFencedCodeBlockLexer(INFO)(document):
            language, title = region.lexemes["language"], region.lexemes["title"]
            region.parsed = region.lexemes["source"]
            if title:
                region.evaluator = self._write
            elif language in run:
                region.evaluator = run[language]
            else:
                continue
            yield region

    def _remarks(self, document: sybil.Document) -> Iterable[sybil.Region]:
        for region in lexers.DirectiveInHTMLCommentLexer("status|numbers")(document):
            region.parsed = region.lexemes["directive"], region.lexemes["arguments"]
            region.evaluator = self._remember
            yield region

    def _remember(self, example: sybil.Example) -> str | None:
        what, value = example.parsed
        if what == "status":
            self._status = int(value)
        elif value == "vary":
            self._numbers_vary = True
        else:
            return f"expected numbers: vary, found {value!r}"
        return None

    def _write(self, example: sybil.Example) -> None:
        path = self._folder / example.region.lexemes["title"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(example.parsed)

    def _run_python(self, example: sybil.Example) -> None:
        printed = io.StringIO()
        with contextlib.chdir(self._folder), contextlib.redirect_stdout(printed):
            sybil_python.PythonEvaluator()(example)
        self._printed = printed.getvalue()

    def _run_bash(self, example: sybil.Example) -> str | None:
        expected, self._status = self._status, 0
        done = self._call(["bash", "-eu", "-c", example.parsed])
        self._printed = done.stdout
        if done.returncode != expected:
            return f"status {done.returncode}, expected {expected}:\n{done.stdout}"
        return None

    def _apply(self, example: sybil.Example) -> str | None:
        done = self._call(["git", "apply", "-"], example.parsed)
        return done.stdout if done.returncode else None

    def _call(self, command: list[str], given: str = "") -> subprocess.CompletedProcess:
        environment = {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(self._folder),
            "JAX_COMPILATION_CACHE_DIR": str(conftest.ROOT / ".cache" / "jax"),
            # One device, as a reader of these pages has. Compiled in a third less time,
            # and as fast as ever.
            "XLA_FLAGS": "--xla_backend_optimization_level=1 "
            "--xla_llvm_disable_expensive_passes=true",
        }
        return subprocess.run(
            command,
            input=given,
            cwd=self._folder,
            env=os.environ | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TIME_LIMIT_S,
        )

    def _compare(self, example: sybil.Example) -> str | None:
        expected, found = str(example.parsed), self._printed
        numbers_vary, self._numbers_vary = self._numbers_vary, False
        if found is None:
            return "no block above has run that could have printed this"
        found = PROGRESS.sub("", found)
        if numbers_vary:
            expected, found = NUMBER.sub("0", expected), NUMBER.sub("0", found)
        if doctest.OutputChecker().check_output(expected, found, LIKE_DOCTEST):
            return None
        return f"expected:\n{expected}\nfound:\n{found}"
