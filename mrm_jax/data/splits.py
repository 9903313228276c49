"""Splits of a data set into training, validation and test records, by fold."""

from collections.abc import Mapping, Sequence

import numpy as np

NAMES = ("train", "val", "test")
ALL = "all"  # every record; not for training
FOLDS = tuple(range(1, 11))

SplitFolds = dict[str, tuple[int, ...]]


def complete(
    asked: Mapping[str, Sequence[int] | None], default: Mapping[str, Sequence[int]]
) -> SplitFolds:
    """Returns the folds of every split.

    Args:
        asked: split -> its folds, or None if they were not chosen.
        default: folds of validation and test that were not chosen. If any split was
            chosen, training takes all other folds, unless it was chosen itself.

    Raises:
        ValueError: if a split has no fold, a fold is no number from 1 to 10, or two
            splits share one.
    """
    chosen = {name: folds for name, folds in asked.items() if folds is not None}
    if not chosen:
        return {name: tuple(default[name]) for name in NAMES}
    held_out = {name: chosen.get(name, default[name]) for name in NAMES[1:]}
    taken = {fold for folds in held_out.values() for fold in folds}
    others = [fold for fold in FOLDS if fold not in taken]
    found = {"train": chosen.get("train", others), **held_out}
    used: dict[int, str] = {}
    for name, folds in found.items():
        _check(name, folds)
        for fold in folds:
            if fold in used:
                raise ValueError(
                    f"data.folds: fold {fold} is in {used[fold]} and in {name}. Set "
                    f"`--config.data.folds.{used[fold]}` or "
                    f"`--config.data.folds.{name}` to other folds."
                )
            used[fold] = name
    return {name: tuple(folds) for name, folds in found.items()}


def _check(name: str, folds: Sequence[int]) -> None:
    wrong = [fold for fold in folds if fold not in FOLDS]
    if wrong or not folds or len(set(folds)) < len(folds):
        found = ", ".join(map(str, folds)) or "none"
        raise ValueError(
            f"data.folds.{name}: expected one or more different numbers from 1 to 10, "
            f"got {found}"
        )


def rows_by_split(
    matrix: np.ndarray,
    folds: np.ndarray,
    split_folds: Mapping[str, Sequence[int]],
    with_negatives: bool = False,
) -> dict[str, np.ndarray]:
    """Returns the records of each split, as indices.

    Args:
        matrix: [record, label], 0 or 1.
        folds: [record], 1 to 10.
        split_folds: split -> its folds.
        with_negatives: whether records without any label belong to the splits.
    """
    used = np.full(len(matrix), True) if with_negatives else matrix.any(axis=1)
    return {
        name: np.flatnonzero(used & np.isin(folds, own))
        for name, own in split_folds.items()
    }


def mean_std(total: int, squares: int, count: int) -> tuple[float, float]:
    """Returns mean and population standard deviation from exact integer sums.

    Args:
        total: sum of the values.
        squares: sum of their squares.
        count: number of values. 0 gives 0 and 1, which nothing uses: a set without
            training records is not trained on.
    """
    if not count:
        return 0.0, 1.0
    return total / count, ((count * squares - total * total) / count**2) ** 0.5
