"""Checks commands that a text prints against the commands themselves.

Each check returns what is wrong, or None. A complete command is read by its own parser,
up to an additional flag that it refuses before it does anything.
"""

import contextlib
import functools
import importlib
import io
import re
from collections.abc import Iterable, Sequence

from absl import flags as absl_flags

from mrm_jax import __main__ as door
from mrm_jax import cross_validate, train
from mrm_jax.training import config as config_lib
from tests.helpers import our_programs, printed_commands

ROOT = our_programs.ROOT
OVERRIDE = "--config."
NO_FLAG = "--no_such_flag"
NOT_SHIPPED = "an experiment that is not shipped"
# A word that a reader replaces, or several: FILE, NAME.pth, [FLAGS], ..., "$@", $I
PLACEHOLDER = re.compile(r"\[?[A-Z][A-Z_]*\]?")
MORE = re.compile(r"\[.*\]|\.\.\.|…|\$@|--help|-h|--version")
VARIABLE = re.compile(r"\$\((\w+)\)|\$\{[^}]*\}|\$\w+")
INCOMPLETE = re.compile(r"(is|are) required|expected (one|at least one) argument")
NOT_ON_AN_INDEX = re.compile(r"mrm[-_.]jax(?![-\w./])", re.IGNORECASE)


def check(part: printed_commands.Printed) -> str | None:
    """Returns what is wrong with a part of a text, or None."""
    if part.kind == "path":
        is_file = (ROOT / part.text).exists() or re.search(r"[A-Z]{4}", part.text)
        return None if is_file else "this file does not exist"
    if part.kind == "flag":
        return check_flag(part.text, our_programs.owners(part.file))
    if part.kind == "bare":
        return check_bare(part)
    return check_command(part.words, part.whole)


def problems(parts: Iterable[printed_commands.Printed]) -> list[str]:
    """Returns what is wrong with parts of texts, each with its file and line."""
    found = ((part, check(part)) for part in parts)
    return [f"{part}: {wrong}" for part, wrong in found if wrong]


def check_bare(part: printed_commands.Printed) -> str | None:
    """Checks the name of a module that stands alone."""
    name, _, flag = part.text.partition(" ")
    is_command = (ROOT / f"{name.replace('.', '/')}.py") in our_programs.programs()
    if is_command and (flag or not part.file.endswith(".md")):
        return f"nobody can type this; write: python -m {part.text}"
    return None if is_command or _exists(name) else "this module does not exist"


def _exists(name: str) -> bool:
    path = ROOT / name.replace(".", "/")
    package, _, attribute = name.rpartition(".")
    return (
        path.with_suffix(".py").exists()
        or path.is_dir()
        or hasattr(importlib.import_module(package), attribute)
    )


@functools.cache
def check_command(words: tuple[str, ...], whole: bool) -> str | None:
    """Checks a command of one of ours, of make or of pip.

    Args:
        words: words of the command, as a shell splits it.
        whole: whether it has to be complete; in prose, some flags may be left out.
    """
    if words[-1].endswith("$arguments"):  # in a script of deploy/
        words = (*words[:-1], words[-1].removesuffix("$arguments"), "$@")
    if printed_commands.UNQUOTED in " ".join(words[3:]):
        return "a value is not quoted for the shell: use shlex"
    program, *rest = words
    if program == "make":
        return check_make(rest)
    if "install" in rest and ("pip" in words or program == "pip"):
        return check_pip(rest[rest.index("install") + 1 :])
    if program == "mrm-jax":
        return _check_door(rest, whole)
    if rest[0] == "-m":
        return _check_module(rest[1], rest[2:], whole)
    return _check_module(our_programs.of_file(rest[0]), rest[1:], whole)


def _check_module(module: str, rest: Sequence[str], whole: bool) -> str | None:
    """Checks a command of Python: the name of its module, and its arguments."""
    name, variable, _ = module.partition("$")
    if name == "mrm_jax":
        return _check_door(rest, whole)
    if name == "pytest":
        files = [word for word in rest if word.startswith("tests/")]
        return next((f"{f} does not exist" for f in files if not _is_there(f)), None)
    is_ours = name.split(".")[0] in our_programs.PACKAGES and not variable
    if not is_ours or f"{name.replace('.', '/')}.py" in WRITTEN:
        return None
    if ROOT / f"{name.replace('.', '/')}.py" not in our_programs.programs():
        return f"there is no command {name}"
    return None if name.startswith("tests.") else check_arguments(name, rest, whole)


def _is_there(file: str) -> bool:
    return file in WRITTEN or (ROOT / file).exists()


# Files that the documents tell their reader to write.
WRITTEN = {
    title
    for page in (ROOT / "docs").glob("*.md")
    for title in re.findall(r'^```\w+ title="(.+)"', page.read_text(), re.MULTILINE)
}


def _check_door(words: Sequence[str], whole: bool) -> str | None:
    if not words or PLACEHOLDER.fullmatch(words[0]) or words[0] == "--version":
        return None
    if words[0] == door.LIST:
        return check_arguments("mrm_jax.listing", words[1:], whole)
    if words[0] not in door.COMMANDS:
        return f"there is no command {words[0]}"
    return check_arguments(f"mrm_jax.{words[0]}", words[1:], whole)


def check_arguments(module: str, words: Sequence[str], whole: bool) -> str | None:
    """Checks the arguments of a command of ours."""
    words = [VARIABLE.sub(_value, word) if word != "$@" else word for word in words]
    for flag in (word for word in words if re.match("--[a-z]", word)):
        if wrong := check_flag(flag, [module]):
            return wrong
    if any(map(MORE.fullmatch, words)) or (not whole and not words):
        return None
    wrong = _check_config(words) or _parse(module, words)
    is_incomplete = INCOMPLETE.search(wrong or "")
    return None if is_incomplete and not whole else wrong


def _value(variable: re.Match) -> str:
    """Returns the value of a variable of the Makefile, or a number for another."""
    name = variable[1]
    found = re.search(rf"^{name} \?= (.*)$", _makefile(), re.MULTILINE)
    return found[1] if found else "1"


@functools.cache
def _makefile() -> str:
    return (ROOT / "Makefile").read_text().replace("$(VENV)", ".venv")


def _check_config(words: Sequence[str]) -> str | None:
    """Checks that the experiment has the overridden values, in their types."""
    config = _config(words) or "base"
    overrides = [word for word in words if word.startswith(OVERRIDE)]
    if config == NOT_SHIPPED:
        config = "base"
    try:
        with contextlib.chdir(ROOT):
            config_lib.load(config, overrides)
    except (ValueError, OSError, absl_flags.Error) as error:
        return str(error)
    return None


def _config(words: Sequence[str]) -> str | None:
    """Returns the value of --config."""
    found = [w.partition("=")[2] for w in words if w.startswith("--config=")]
    found += [b for a, b in zip(words, words[1:], strict=False) if a == "--config"]
    if found and (PLACEHOLDER.fullmatch(found[0]) or found[0] in {"mine.py", *WRITTEN}):
        return NOT_SHIPPED
    return found[0] if found else None


def _parse(module: str, words: Sequence[str]) -> str | None:
    """Lets a command read its arguments; returns its complaint."""
    try:
        main = importlib.import_module(module).main
    except ImportError as error:
        package = (error.name or "").split(".")[0]
        return str(error) if package in our_programs.PACKAGES else None  # such as torch
    if module in our_programs.OF_ABSL:
        return _parse_training(module, words)
    source = (ROOT / f"{module.replace('.', '/')}.py").read_text()
    # A command that passes unknown flags on is stopped by a flag without its value.
    stop = _flag_with_value(module) if "parse_known_args" in source else NO_FLAG
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            main([*words, stop])
    except SystemExit:
        pass
    else:
        raise AssertionError(f"{module} did not refuse {stop}")
    complaint = said.getvalue().strip().rpartition("error: ")[2]
    expected = (
        f"unrecognized arguments: {NO_FLAG}",
        f"argument {stop}: expected one argument",
        f"argument {stop}: expected at least one argument",
    )
    return None if complaint in expected else complaint


def _parse_training(module: str, words: Sequence[str]) -> str | None:
    config = _config(words)
    if config == NOT_SHIPPED:
        words = ["base" if word in {"mine.py", *WRITTEN} else word for word in words]
    try:
        with contextlib.chdir(ROOT):
            if module == "mrm_jax.train":
                train.parse(words)
                train.parse_cluster(words)
            else:
                cross_validate.parse(words)
    except (ValueError, OSError, absl_flags.Error) as error:
        return str(error)
    return None


def _flag_with_value(module: str) -> str:
    found = re.search(r"\[(--\w+) [A-Z{]", our_programs.usage(module))
    assert found, module
    return found[1]


def check_flag(text: str, modules: Sequence[str]) -> str | None:
    """Checks that a command, or one of several, takes a flag."""
    flag, _, value = text.partition("=")
    is_ours = "-" not in flag[2:] and not flag.startswith("--xla_")
    if flag == "--help" or not is_ours:
        return None
    if flag.startswith(OVERRIDE):
        return _check_override(flag, value)
    if not any(our_programs.takes(module, flag) for module in modules):
        return f"{flag} is not a flag of {', '.join(modules)}"
    return None


def _check_override(flag: str, value: str) -> str | None:
    name = flag.removeprefix(OVERRIDE)
    settable = [text.partition("=")[0] for text in config_lib.names(_base())]
    if PLACEHOLDER.fullmatch(name) or name.rpartition(".")[2] in added_by_documents():
        return None
    if flag not in settable and not any(n.startswith(f"{flag}.") for n in settable):
        return f"no experiment has a value {name}"
    return None


@functools.cache
def _base():
    return config_lib.load("base")


@functools.cache
def added_by_documents() -> set[str]:
    """Returns the names of values that a document tells its reader to add."""
    text = (ROOT / "docs/extending.md").read_text()
    return set(re.findall(r'^\+ *"(\w+)": ', text, re.MULTILINE))


def check_make(words: Sequence[str]) -> str | None:
    """Checks that the Makefile has the targets and the variables."""
    text = _makefile()
    targets = {
        name
        for names in re.findall(r"^([\w./ -]+):(?!=)", text, re.MULTILINE)
        for name in names.split()
    }
    variables = set(re.findall(r"^(\w+) [?:]?=", text, re.MULTILINE))
    for word in words:
        name, is_variable, _ = word.partition("=")
        if name not in (variables if is_variable else targets):
            kind = "variable" if is_variable else "target"
            return f"the Makefile has no {kind} {name}"
    return None


def check_pip(words: Sequence[str]) -> str | None:
    """Checks the files and extras of a pip install, and that an index has its names."""
    extras = (ROOT / "setup.cfg").read_text().partition("extras_require]")[2]
    for before, word in zip(["", *words], words, strict=False):
        if NOT_ON_AN_INDEX.match(word):
            return f"{word} is on no index: name a clone, a wheel or an address"
        if before in ("-c", "-r") and not _is_there(word) and "$" not in word:
            if not word.startswith(".venv-oldest/"):
                return f"{word} does not exist"
        for name in re.findall(r"[\w{]+", word.partition("[")[2]):
            is_ours = word.startswith(".") and "$" not in word
            if is_ours and not re.search(rf"^{name} =", extras, re.MULTILINE):
                return f"setup.cfg has no extra {name}"
    return None
