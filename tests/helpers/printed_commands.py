"""Collects the commands that sources, documents, scripts and outputs print.

In prose a command stands between backticks, or it ends its line or sentence. In code
blocks and scripts every line is read as a shell reads it.
"""

import ast
import dataclasses
import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

UNQUOTED = "\x00"  # a value in a command that is not quoted for the shell
QUOTED = "1"  # stands for a quoted one: a valid path and a valid number
PROGRAM = re.compile(
    r"""(?<!\w)(?:"(?=\$))?(?:\$\(\w+\)|[\w./${}\\-])*python[\d.]*"?[ ]
    (?:-m[ ]|[\w/]+\.py)
    |(?<![\w.-])mrm-jax(?![\w-])
    |(?<![\w.-])make(?=[ ]+[\w.])
    |(?<![\w.-])pip[ ]install""",
    re.VERBOSE,
)
# Names of commands' modules that stand alone: nobody can type them.
BARE = re.compile(
    r"(?<![\w./])(?:mrm_jax|data_prep|benchmarks)\.[a-z]\w*(?: --\w+)?(?![\w./(])"
)
FLAG = re.compile(r"(?<![\w=/-])(?<!var\()--[a-z][\w.-]*(?:=[^\s`,;)]+)?")
PATH = re.compile(
    r"(?<![\w./-])(?:experiments|docs|benchmarks|deploy|tests)/[\w./-]*\w\.\w+"
)
FENCE = re.compile(r"^```+ *(\w*).*\n((?:.*\n)*?)```+ *$", re.MULTILINE)
FAILS = re.compile(r"<!-- status: 2 -->\n(?:<!--.*-->\n)*$")
INLINE = re.compile(r"(`+)(?!`)(.+?)\1(?!`)", re.DOTALL)
FIELD = re.compile(r"{{.*?}}|{%.*?%}|{#.*?#}", re.DOTALL)
OPERATORS = "|&;<>"


@dataclasses.dataclass(frozen=True)
class Printed:
    """A part of a text that names a command, a flag of one, or a file."""

    file: str
    line: int
    text: str
    kind: str  # "command", "flag", "bare" (the name of a module) or "path"
    words: tuple[str, ...] = ()  # of a command, as a shell splits it
    whole: bool = True  # whether a command has to be complete, as in a code block

    def __str__(self) -> str:
        """Returns the place and the text, on one line."""
        text = " ".join(self.text.replace(UNQUOTED, "{...}").split())
        return f"{self.file}:{self.line}: {text}"


def of_python(file: str, source: str) -> Iterator[Printed]:
    """Yields what the strings and docstrings of a module print."""
    tree = ast.parse(source)
    nodes = list(ast.walk(tree))
    quoted = set(re.findall(r"(\w+) = shlex\.(?:quote|join)\(", source))
    docstrings = {id(node) for node in _docstrings(tree, nodes)}
    parts = {
        id(part)
        for node in nodes
        if isinstance(node, ast.JoinedStr)
        for part in ast.walk(node)
        if part is not node
    }
    for node in nodes:
        if id(node) in parts or not isinstance(node, ast.Constant | ast.JoinedStr):
            continue
        text = _text(node, quoted)
        if len(text.split()) < 2:  # an argument of a call, such as "--out"
            continue
        for found in of_prose(file, node.lineno, text):
            if found.kind != "bare" or id(node) not in docstrings:
                yield found


def _docstrings(tree: ast.Module, nodes: Sequence[ast.AST]) -> Iterator[ast.AST]:
    """Yields the docstrings that no command prints as its help."""
    is_program = any("__name__" in ast.unparse(node) for node in tree.body[-1:])
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef)
    for node in nodes:
        if isinstance(node, kinds) and not (node is tree and is_program):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr):
                yield first.value


def _text(node: ast.AST, quoted: set[str]) -> str:
    """Returns the text of a string or f-string, else nothing."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if not isinstance(node, ast.JoinedStr):
        return ""
    text = ""
    for part in node.values:
        if isinstance(part, ast.Constant):
            text += str(part.value)
        elif isinstance(part, ast.FormattedValue):
            value = ast.unparse(part.value)
            is_quoted = value.startswith("shlex.") or value in quoted
            text += QUOTED if is_quoted else UNQUOTED
    return text


def of_template(file: str, source: str) -> Iterator[Printed]:
    """Yields what a template of a report prints."""

    def fill(field: re.Match) -> str:
        is_quoted = field[0].startswith("{{") and "| shell " in field[0]
        lines = "\n" * field[0].count("\n")
        return (QUOTED if is_quoted else UNQUOTED) + lines

    yield from of_prose(file, 1, FIELD.sub(fill, source))


def of_document(file: str, source: str) -> Iterator[Printed]:
    """Yields what the code blocks and the inline code of a document print."""
    for block in FENCE.finditer(source):
        language, text = block.groups()
        line = 1 + source[: block.start(2)].count("\n")
        if FAILS.search(source[: block.start()]):
            continue  # shows what happens with a wrong command
        if language == "python":
            yield from of_prose(file, line, "\n".join(re.findall("#.*|$", text)))
        elif language in ("bash", "text", ""):
            yield from of_script(file, text, line)
    prose = FENCE.sub(lambda block: "\n" * block[0].count("\n"), source)
    for span in INLINE.finditer(prose):
        line = 1 + prose[: span.start()].count("\n")
        yield from _of_span(file, line, span[2])


def _of_span(file: str, line: int, text: str) -> Iterator[Printed]:
    """Yields what a piece of inline code prints."""
    if PROGRAM.search(text):
        yield from of_script(file, text, line, whole=False)
    elif text.startswith("--"):
        yield from _matches(FLAG, "flag", file, line, text)
    else:
        yield from _matches(BARE, "bare", file, line, text)
        yield from _matches(PATH, "path", file, line, text)


def of_script(
    file: str, source: str, line: int = 1, *, whole: bool = True
) -> Iterator[Printed]:
    """Yields the commands of a shell script, a Makefile or a comment in one."""
    for number, text in _logical_lines(line, source):
        if text.lstrip().startswith("#"):
            found = of_prose(file, number, text)
            yield from (part for part in found if part.kind == "command")
        else:
            yield from _of_line(file, number, text, whole)


def _logical_lines(line: int, source: str) -> Iterator[tuple[int, str]]:
    """Yields lines with their numbers, joined where one ends in a backslash."""
    joined = re.sub(r" *\\\n[ \t]*", "\x01", source)
    for text in joined.split("\n"):
        yield line, text.replace("\x01", " ")
        line += 1 + text.count("\x01")


def _of_line(file: str, line: int, text: str, whole: bool) -> Iterator[Printed]:
    match = PROGRAM.search(text)
    while match:
        commands = _simple_commands(text[match.start() :])
        if commands and commands[0]:
            words = tuple(commands[0])
            yield Printed(file, line, " ".join(words), "command", words, whole)
        match = PROGRAM.search(text, match.end())


def _simple_commands(text: str) -> list[list[str]]:
    """Returns the words of the commands that operators of the shell separate."""
    lexer = shlex.shlex(text, posix=True, punctuation_chars=OPERATORS)
    lexer.whitespace_split, lexer.commenters = True, ""
    commands: list[list[str]] = [[]]
    try:
        for word in lexer:
            if word.startswith("#"):
                break
            if word.strip(OPERATORS):
                commands[-1].append(word)
            else:
                commands.append([])
    except ValueError:  # the command stands in a longer string
        return [re.sub(r"[\"')]+$", "", text).split()]
    return commands


def of_prose(file: str, line: int, source: str) -> Iterator[Printed]:
    """Yields what a message, a help text or a docstring prints."""
    rest = source
    for span in INLINE.finditer(source):
        at = line + source[: span.start()].count("\n")
        yield from _of_span(file, at, span[2])
        blank = re.sub(r"[^\n]", " ", span[0])
        rest = rest[: span.start()] + blank + rest[span.end() :]
    for number, text in _logical_lines(line, rest):
        for match in reversed(list(PROGRAM.finditer(text))):
            before = text[: match.start()].strip()
            opened = before.endswith("(")
            if match[0] == "make" and before not in ("", "#") and not opened:
                continue  # the English word; the program stands between backticks
            command = _up_to_the_end(text[match.start() :], opened)
            text = text[: match.start()]
            yield from _of_line(file, number, command, whole=False)
        yield from _matches(FLAG, "flag", file, number, text)
        yield from _matches(BARE, "bare", file, number, text)
        yield from _matches(PATH, "path", file, number, text)


def _up_to_the_end(text: str, opened: bool) -> str:
    """Returns a command in prose without what follows it, its sentence's end first."""
    if opened:
        text = text.partition(")")[0]
    end = re.search(r"(?<=[^\s.])[.,;:)]+(?=\s|$)|  ", text)
    return text[: end.start()] if end else text


def _matches(
    pattern: re.Pattern, kind: str, file: str, line: int, text: str
) -> Iterator[Printed]:
    for match in pattern.finditer(text):
        at = line + text[: match.start()].count("\n")
        yield Printed(file, at, match[0].rstrip(".-"), kind)


def of_files(root: Path, files: Sequence[Path]) -> list[Printed]:
    """Returns what files of a folder print, each read by its kind."""
    found: list[Printed] = []
    for path in files:
        name, text = str(path.relative_to(root)), path.read_text()
        if path.suffix == ".py":
            found += of_python(name, text)
        elif path.suffix == ".j2":
            found += of_template(name, text)
        elif path.suffix == ".md":
            found += of_document(name, text)
        else:
            found += of_script(name, text)
    return found
