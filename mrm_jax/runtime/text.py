"""Names and texts from elsewhere, made safe for terminals, tables and file systems."""

import csv
import hashlib
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import IO, Any

LONGEST_NAME = 200
INDENT = "  "  # of the second line of a text that is too long for one
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def printable(text: str) -> str:
    r"""Returns text with escapes such as \x1b for what could control a terminal.

    Line ends and tabs stay. Bytes of file names that are not UTF-8 are escaped too.
    """
    if text.isprintable():
        return text
    return "".join(
        character
        if character.isprintable() or character in "\n\t"
        else character.encode("unicode_escape", "surrogatepass").decode()
        for character in text
    )


def wrap(text: str, width: int) -> str:
    """Returns text with line ends between words where a line is longer than a width.

    Words, and so numbers and paths, remain whole.
    """
    return "\n".join(
        line
        if len(line) <= width
        else textwrap.fill(
            line,
            width,
            subsequent_indent=INDENT,
            replace_whitespace=False,
            break_long_words=False,
            break_on_hyphens=False,
        )
        for line in text.splitlines()
    )


def shortened(name: str, most: int) -> str:
    """Returns the name of a file or folder with at most so many bytes in UTF-8.

    A longer one keeps its beginning and gets a part of its hash, so that names which
    differ stay different.
    """
    content = name.encode()
    if len(content) <= most:
        return name
    mark = f"-{hashlib.sha256(content).hexdigest()[:8]}"
    return content[: most - len(mark)].decode(errors="ignore") + mark


def check_name(what: str, name: str) -> None:
    """Checks a name that is stored with data or results.

    Args:
        what: what is named, for the message.
        name: the name.

    Raises:
        ValueError: if it is empty, too long, has blanks at its ends, or contains line
            ends or other control characters.
    """
    if name.isprintable() and name.strip() == name and 0 < len(name) <= LONGEST_NAME:
        return
    shown = f"{name[:LONGEST_NAME]!r}"
    raise ValueError(
        f"{what}: expected 1 to {LONGEST_NAME} characters without control characters "
        f"and without blanks at the ends, found {shown}"
    )


def check_folder_name(what: str, name: str) -> None:
    """Checks a name that is used as the name of a folder.

    Raises:
        ValueError: as `check_name`, or if it is not one part of a path, or so long that
            file systems could not name files after it.
    """
    check_name(what, name)
    size = len(name.encode())
    if size > LONGEST_NAME:
        raise ValueError(
            f"{what}: expected at most {LONGEST_NAME} bytes, found {size}, as some "
            "letters take two or three"
        )
    if set(name) & set("/\\:") or name.startswith("."):
        raise ValueError(
            f"{what}: expected a name without / \\ : that does not begin with a dot, "
            f"found {name!r}"
        )


def write_rows(file: IO[str], rows: Iterable[Iterable[Any]]) -> None:
    """Writes rows of a CSV table; see `cell`."""
    csv.writer(file).writerows(map(cell, row) for row in rows)


def write_table(
    file: IO[str], columns: Sequence[str], rows: Iterable[Mapping[str, Any]]
) -> None:
    """Writes a CSV table with a header.

    Args:
        file: file opened with newline="" and encoding="utf-8".
        columns: names of the columns.
        rows: cells by column; a missing one is left empty.
    """
    write_rows(file, [columns])
    write_rows(file, ([row.get(name, "") for name in columns] for row in rows))


def cell(value: Any) -> Any:
    """Returns the cell of a CSV table for a value.

    Spreadsheets run texts that begin with = + - @ as formulas. They get an apostrophe,
    which spreadsheets do not show. Numbers stay as they are.
    """
    if not isinstance(value, str):
        return value
    value = printable(value)
    if value.startswith(FORMULA) and not _is_number(value):
        return f"'{value}"
    return value


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
