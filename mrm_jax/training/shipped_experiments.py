"""The experiments that the package contains, which are chosen by their names."""

import ast
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "experiments"


def names() -> list[str]:
    """Returns the names for --config, such as "cpsc2018" and "sweeps/cpsc2018"."""
    files = (path.relative_to(FOLDER) for path in FOLDER.rglob("*.py"))
    found = [path.with_suffix("").as_posix() for path in files]
    top_first = sorted(found, key=lambda name: (name.count("/"), name))
    return [name for name in top_first if not name.endswith("__init__")]


def summary(name: str) -> str:
    """Returns the first line of an experiment's docstring."""
    text = ast.get_docstring(ast.parse((FOLDER / f"{name}.py").read_text()))
    return (text or "").partition("\n")[0]


def resolve(config: str) -> str:
    """Returns the file of a value of --config.

    Args:
        config: path of an experiment file, or the name of one that the package
            contains. What follows a colon is the argument of its get_config().

    Raises:
        FileNotFoundError: if there is neither; lists the names.
    """
    file, colon, argument = config.partition(":")
    path = Path(file)
    if path.is_file():
        return config
    if file in names():
        return f"{FOLDER / file}.py{colon}{argument}"
    found = "a folder" if path.is_dir() else "nothing"
    raise FileNotFoundError(
        f"{file}: expected an experiment file, found {found}. Experiments that need "
        f"only their name: {', '.join(names())}."
    )
