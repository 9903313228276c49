"""The commands of the packages: their files, their flags, and what they can print."""

import ast
import contextlib
import functools
import importlib
import io
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Their help is a text of ours, and absl reads their flags.
OF_ABSL = ("mrm_jax.train", "mrm_jax.cross_validate")
PACKAGES = ("mrm_jax", "data_prep", "benchmarks", "tests", "docs")


def of_file(path: str) -> str:
    """Returns the name of the module in a file."""
    return path.removesuffix(".py").replace("/", ".")


@functools.cache
def usage(module: str) -> str:
    """Returns the part of a command's help that lists its flags."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
        importlib.import_module(module).main(["--help"])
    text = printed.getvalue()
    return text if module in OF_ABSL else text.partition("\n\n")[0]


def takes(module: str, flag: str) -> bool:
    """Returns whether a command lists a flag, or cannot be asked here."""
    try:
        text = usage(module)
    except ImportError:
        return True
    return re.search(rf"{flag}(?![\w])", text) is not None


@functools.cache
def programs() -> frozenset[Path]:
    """Returns the files of all commands."""
    return frozenset(
        path
        for folder in PACKAGES
        for path in (ROOT / folder).rglob("*.py")
        if '__name__ == "__main__"' in path.read_text()
    )


@functools.cache
def owners(file: str) -> list[str]:
    """Returns the commands that can print a text of a file.

    Those of a command are its own, those of a module are of all commands that import
    it, and a document can speak of any.
    """
    ours = [path for path in programs() if path.name != "__main__.py"]
    modules = [
        of_file(str(path.relative_to(ROOT)))
        for path in sorted(ours)
        if "tests" not in path.parts
    ]
    module = of_file(file)
    if module in modules:
        return [module]
    if not file.endswith(".py") or module == "mrm_jax.__main__":
        return modules
    return [name for name in modules if module in imported(name)] or modules


@functools.cache
def imported(module: str) -> frozenset[str]:
    """Returns the modules of ours that a module imports, and what these import."""
    found, new = {module}, [module]
    while new:
        path = ROOT / f"{new.pop().replace('.', '/')}.py"
        for name in _imports(path) - found:
            found.add(name)
            new.append(name)
    return frozenset(found)


@functools.cache
def _imports(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {node.module or ""}
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {n for n in names if (ROOT / f"{n.replace('.', '/')}.py").is_file()}
