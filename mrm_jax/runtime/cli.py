"""Parts that all commands share: command line, `error:` line and exit status."""

import argparse
import contextlib
import errno
import gc
import re
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence

from mrm_jax import version
from mrm_jax.runtime import text as text_lib

NO_MEMORY = "RESOURCE_EXHAUSTED"  # XLA's status if a device has no memory left
SAVE_MEMORY = """The memory does not suffice. To need less of it, lower the batch size
(--config.batch_size) or stream the signals (--config.data.resident_gib)."""
DONE, WRONG_INPUT, INTERRUPTED = 0, 2, 130
NEW_OBJECTS = 50_000  # between two runs of the garbage collector

# Whether a command has frozen what was imported. gc.get_freeze_count() does not tell:
# from Python 3.12 on, it also counts objects that are never collected.
_is_frozen = False

# user:password@ of a URL, and a password among its parameters.
_PASSWORDS = (
    (re.compile(r"(://[^:/@\s]*):\S*@"), r"\1:***@"),
    (re.compile(r"(?i)([?&]\w*password)=[^&\s]*"), r"\1=***"),
)


def without_passwords(text: str) -> str:
    """Returns a text with *** in place of the password of each URL."""
    for pattern, hidden in _PASSWORDS:
        text = pattern.sub(hidden, text)
    return text


def error_text(error: Exception) -> str:
    """Returns the message of an error for the terminal, without passwords."""
    text = str(error)
    if isinstance(error, OSError) and error.errno is not None:
        place = "" if error.filename is None else f"{error.filename}: "
        text = f"{place}{error.strerror}"
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            text += ". Free some space and run the same command again"
    return text_lib.printable(without_passwords(text))


def command_line(module: str, words: Sequence[str]) -> str:
    """Returns the command to store with results, without passwords.

    Args:
        module: name of the command's module.
        words: words of the command line, without the program.
    """
    hidden = [without_passwords(word) for word in words]
    return shlex.join(["python", "-m", module, *hidden])


def at_least(least: int) -> Callable[[str], int]:
    """Returns the type of a flag whose values are whole numbers from `least` on."""

    def parse(text: str) -> int:
        """Returns the number; argparse names the flag in the error."""
        with contextlib.suppress(ValueError):
            if int(text) >= least:
                return int(text)
        raise argparse.ArgumentTypeError(f"expected {least} or more, got {text}")

    return parse


def program() -> str | None:
    """Returns how to type the running module, such as "python -m data_prep.ptbxl".

    Usage lines name it so. From Python 3.14 on, argparse does by itself.
    """
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    return None if spec is None else f"python -m {spec.name}"


def add_version(parser: argparse.ArgumentParser) -> None:
    """Adds --version to a command."""
    parser.add_argument(
        "--version", action="version", version=f"mrm_jax {version.VERSION}"
    )


def rename_flags(words: Sequence[str], renamed: Mapping[str, str]) -> list[str]:
    """Replaces the old spellings of flags in a command line by the new ones.

    The old spellings are accepted without appearing in `--help`.

    Args:
        words: words of the command line, without the program.
        renamed: old flag -> new flag, both with their dashes.
    """
    found = []
    for word in words:
        flag, equals, value = word.partition("=")
        found.append(f"{renamed.get(flag, flag)}{equals}{value}")
    return found


def expand_flags(words: Sequence[str], short: Mapping[str, str]) -> list[str]:
    """Replaces short flags by the values of the experiment that they stand for.

    Args:
        words: words of the command line, without the program.
        short: flag, such as "--data" -> value, such as "data.shards".

    Raises:
        ValueError: if a short flag has no value.
    """
    found: list[str] = []
    rest = iter(words)
    for word in rest:
        flag, equals, value = word.partition("=")
        if flag not in short:
            found.append(word)
            continue
        given = value if equals else next(rest, "")
        if not given or given.startswith("--"):
            raise ValueError(f"{flag}: expected a value")
        found.append(f"--config.{short[flag]}={given}")
    return found


def run(
    work: Callable[[], int | None],
    interrupted: str,
    errors: tuple[type[Exception], ...] = (),
    save_memory: str = "The memory does not suffice.",
) -> int:
    """Runs a command's work and returns its exit status.

    Expected errors (ValueError, OSError and `errors`) end the command with one line on
    standard error instead of a traceback, as does a lack of memory.

    Args:
        work: the command, which returns its exit status, or None for success.
        interrupted: message after Ctrl-C, which says what is kept and how to go on,
            unless the KeyboardInterrupt has a message of its own.
        errors: further expected errors.
        save_memory: message after a lack of memory, which may say how to need less.
    """
    expected: tuple[type[Exception], ...] = (ValueError, OSError, *errors)
    try:
        with _rare_garbage_collection():
            return work() or DONE
    except expected as error:
        status, message = WRONG_INPUT, f"error: {error_text(error)}"
    except KeyboardInterrupt as stop:
        status, message = INTERRUPTED, str(stop) or interrupted
    except Exception as error:
        if not isinstance(error, MemoryError) and NO_MEMORY not in str(error):
            raise
        status, message = WRONG_INPUT, f"error: {error_text(error)}\n{save_memory}"
    # Printed once the exception is gone: its frames hold progress bars, which would
    # be redrawn below the message.
    say_error(message)
    return status


@contextlib.contextmanager
def _rare_garbage_collection() -> Iterator[None]:
    """Runs the garbage collector less often, and not on what is imported.

    Tracing and drawing make many objects and few reference cycles. With Python's
    thresholds, the collector takes a tenth of a command's time.
    """
    global _is_frozen
    before, is_first = gc.get_threshold(), not _is_frozen
    if is_first:
        _is_frozen = True
        gc.freeze()
    if before[0]:  # 0 turns the collector off
        gc.set_threshold(max(before[0], NEW_OBJECTS), *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
        if is_first:
            gc.unfreeze()
            _is_frozen = False


def say_error(message: str) -> None:
    """Prints a message to standard error; on a terminal its words remain whole."""
    if sys.stderr.isatty():
        message = text_lib.wrap(message, shutil.get_terminal_size().columns)
    print(message, file=sys.stderr)
