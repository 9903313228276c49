"""The trained models that the package contains, which are loaded by their names.

docs/models.md lists them, and says how they were trained.
"""

from pathlib import Path

from mrm_jax.runs import weights_file

FOLDER = Path(__file__).parents[1] / "pretrained"


def names() -> list[str]:
    """Returns the names for --run and `mrm_jax.load`."""
    return sorted(path.stem for path in FOLDER.glob(f"*{weights_file.SUFFIX}"))


def path_of(name: str) -> Path:
    """Returns the file of a model.

    Raises:
        ValueError: if the package contains no such model.
    """
    if name not in names():
        raise ValueError(f"{name}: there is no such model in the package.")
    return FOLDER / f"{name}{weights_file.SUFFIX}"


def model_card(name: str) -> Path:
    """Returns the file of a model's card, in Markdown."""
    return path_of(name).with_suffix(".md")
