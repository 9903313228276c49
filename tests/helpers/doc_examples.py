"""Runs the examples of documents as their reader would, in the root of a clone.

What a fenced block of a language means:

    python   runs; the blocks of a page share their names
    bash     runs, and has to end with status 0
    diff     is applied to the clone
    text     is what the block above printed, without the lines of its progress and the
             time that is left; "..." stands for anything

Commands of ours are run by calling their main, in one process for several pages: that
saves the time to start them, and to trace the same network again. Everything else in a
bash block is run by bash, line by line.

With title="FILE" a block is not run but written to FILE. Comments before a block:

    <!-- skip: next "REASON" -->   it is not run
    <!-- status: 2 -->             bash: ends with this status
    <!-- numbers: vary -->         text: numbers and widths may be others
"""

import contextlib
import doctest
import gc
import importlib
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import unittest
from collections.abc import Callable, Iterable
from pathlib import Path

import sybil
from sybil import example as sybil_example
from sybil.evaluators import python as sybil_python
from sybil.parsers.markdown import SkipParser, lexers

ROOT = Path(__file__).parents[2]
PACKAGES = ("mrm_jax", "data_prep", "experiments")
INFO = re.compile(
    r'(?P<language>\w*)(?: title="(?P<title>[^"]+)")?[ ]*$\n', re.MULTILINE
)
NUMBER = re.compile(r"(?<![\w.])[-+]?\d+(?:[.,]\d+)*(?:e[-+]?\d+)?")
PROGRESS = re.compile(  # at odd times
    r"^(?:compiling the network .*|(?:epoch [\d/]+(?:, scoring val)?|\w+ing[\w ]*)"
    r": [\d,]+ of [\d,]+.*)\n",
    re.MULTILINE,
)
TIME_LEFT = re.compile(r",(?: \d+ (?:s|min|h|d))+ left$", re.MULTILINE)
LIKE_DOCTEST = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
OURS = re.compile(r"(?:python -m (?:mrm_jax|data_prep)\.|mrm-jax )[^|<>&;$*]*")
CHANGES_THE_SHELL = re.compile(r"\s*(cd|export|set) |\s*\w+=|\s*(if|for|while) ")
TIME_LIMIT_S = 900


def make_clone(folder: Path) -> Path:
    """Copies the files of a clone that the examples need; returns the folder."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / package, symlinks=True)
    return folder


def run(pages: list[Path], clone: Path, xla_flags: str) -> subprocess.CompletedProcess:
    """Runs the examples of documents in a separate process, on one device.

    Those of the first run in `clone`, those of every other one in a copy of what the
    first has left there.
    """
    environment = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": f"{clone}{os.pathsep}{ROOT}",  # the clone has no tests
        "JAX_COMPILATION_CACHE_DIR": str(ROOT / ".cache" / "jax"),
        "XLA_FLAGS": xla_flags,
    }
    return subprocess.run(
        [sys.executable, "-m", "tests.helpers.doc_examples", *map(str, pages)],
        cwd=clone,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIME_LIMIT_S,
    )


def _run_here(first: Path, *others: Path) -> int:
    """Does what `run` describes in the current folder; returns the exit status."""
    clone, failures = Path.cwd(), 0
    Page(first).run()
    with tempfile.TemporaryDirectory() as temporary:
        for page in others:
            copy = Path(temporary) / page.stem
            shutil.copytree(clone, copy, symlinks=True)
            try:
                with contextlib.chdir(copy):
                    Page(page).run()
            except sybil_example.SybilFailure as failure:
                print(failure)
                failures += 1
    return failures


class Page:
    """The examples of a document, to be run in the current folder."""

    def __init__(self, path: Path):
        """Reads the document."""
        self._printed: str | None = None
        self._status = 0
        self._numbers_vary = False
        parsers = [self._blocks, self._remarks, SkipParser()]
        self._document = sybil.Sybil(parsers).parse(path)

    def has_examples(self) -> bool:
        """Returns whether there is anything to run."""
        return any(True for _ in self._document.examples())

    def run(self) -> None:
        """Runs the examples in their order.

        Raises:
            sybil.example.SybilFailure: if an example does not behave as documented.
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
        path = Path(example.region.lexemes["title"])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(example.parsed)

    def _run_python(self, example: sybil.Example) -> None:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            sybil_python.PythonEvaluator()(example)
        self._printed = printed.getvalue()

    def _run_bash(self, example: sybil.Example) -> str | None:
        lines = example.parsed.replace("\\\n", " ").splitlines()
        if any(map(CHANGES_THE_SHELL.match, lines)):
            status, self._printed = _call(["bash", "-eu", "-c", example.parsed])
        else:
            status, self._printed = _call_lines(lines)
        expected, self._status = self._status, 0
        if status != expected:
            return f"status {status}, expected {expected}:\n{self._printed}"
        return None

    def _apply(self, example: sybil.Example) -> str | None:
        status, printed = _call(["git", "apply", "-"], example.parsed)
        return printed if status else None

    def _compare(self, example: sybil.Example) -> str | None:
        expected, found = str(example.parsed), self._printed
        numbers_vary, self._numbers_vary = self._numbers_vary, False
        if found is None:
            return "no block above has run that could have printed this"
        found = TIME_LEFT.sub("", PROGRESS.sub("", found))
        expected = TIME_LEFT.sub("", expected)
        if numbers_vary:
            expected, found = _without_numbers(expected), _without_numbers(found)
        if doctest.OutputChecker().check_output(expected, found, LIKE_DOCTEST):
            return None
        return f"expected:\n{expected}\nfound:\n{found}"


def _without_numbers(text: str) -> str:
    """Returns text with 0 for every number, and lines of one length under heads."""
    return re.sub("─+", "─", NUMBER.sub("0", text))


def _call(command: list[str], given: str = "") -> tuple[int, str]:
    """Returns a command's exit status and what it printed."""
    done = subprocess.run(
        command,
        input=given,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return done.returncode, done.stdout


def _call_lines(lines: list[str]) -> tuple[int, str]:
    """Returns the same of lines of a shell script, up to a failure."""
    status, printed = 0, ""
    for line in lines:
        if OURS.fullmatch(line):
            status, text = _call_ours(line)
        else:
            status, text = _call(["bash", "-eu", "-c", line])
        printed += text
        if status:
            break
    return status, printed


def _call_ours(command: str) -> tuple[int, str]:
    """Returns the same of a command of ours."""
    module, *words = shlex.split(command.replace("mrm-jax", "python -m mrm_jax"))[2:]
    status, printed = 0, io.StringIO()
    importlib.invalidate_caches()  # a page may have written a module
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        try:
            status = _main_of(module)(words)
        except SystemExit as stopped:  # argparse
            status = int(stopped.code or 0)
    return status, printed.getvalue()


def _main_of(module: str) -> Callable[[list[str]], int]:
    if module == "mrm_jax":
        module = "mrm_jax.__main__"
    return importlib.import_module(module).main


if __name__ == "__main__":
    gc.set_threshold(200_000, 20, 100)  # as in tests/conftest.py
    sys.exit(_run_here(*map(Path, sys.argv[1:])))
