"""Tests of how networks are found and built."""

import sys

import pytest

from mrm_jax.models import networks

OWN = """from __future__ import annotations

import flax.linen as nn

class Own(nn.Module):
    num_labels: int
    num_samples: int
    taps: tuple[int, ...] = (3,)
    axis_name: str | None = None
"""


def test_a_file_may_postpone_its_annotations(tmp_path):
    path = tmp_path / "own.py"
    path.write_text(OWN)
    found = networks.build(
        f"{path}:Own", {"taps": [5]}, num_labels=2, num_samples=40, axis_name=None
    )
    assert (found.num_labels, found.taps) == (2, (5,))
    assert sys.modules[type(found).__module__].__file__ == str(path)


def test_files_of_the_same_name_are_different_modules(tmp_path):
    names = []
    for folder in ("a", "json"):
        path = tmp_path / folder / "json.py"
        path.parent.mkdir()
        path.write_text(OWN)
        names.append(networks.find(f"{path}:Own").__module__)
    assert len(set(names)) == 2 and "json" not in names


def test_a_file_that_fails_leaves_no_module(tmp_path):
    path = tmp_path / "own.py"
    path.write_text("raise RuntimeError('stop')")
    before = set(sys.modules)
    with pytest.raises(RuntimeError, match="stop"):
        networks.find(f"{path}:Own")
    assert set(sys.modules) == before
