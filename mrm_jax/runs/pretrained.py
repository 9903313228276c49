"""The trained models that the package contains, which are loaded by their names.

Each has a folder with its weights, its model card and its report. docs/models.md lists
them, and says how they were trained.
"""

from pathlib import Path

FOLDER = Path(__file__).parents[1] / "pretrained"
WEIGHTS = "model.npz"


def names() -> list[str]:
    """Returns the names for --run and `mrm_jax.load`."""
    return sorted(path.parent.name for path in FOLDER.glob(f"*/{WEIGHTS}"))


def path_of(name: str) -> Path:
    """Returns the file of a model.

    Raises:
        ValueError: if the package contains no such model.
    """
    if name not in names():
        raise ValueError(f"{name}: there is no such model. There are: {names()}")
    return FOLDER / name / WEIGHTS
