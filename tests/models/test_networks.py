"""Tests of how networks are found and built."""

import sys

import pytest

from mrm_jax.models import networks
from mrm_jax.training import run_spec
from tests.helpers import small_runs

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


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\nraise RuntimeError('stop')", r"own\.py, line 2 \(RuntimeError: stop"),
        ("class Own(:", r"own\.py, line 1 \(SyntaxError: invalid syntax"),
        (
            "import not_there",
            "line 1 \\(ModuleNotFoundError: No module named 'not_there",
        ),
        ("\0", r"own\.py \(SyntaxError: source code string cannot contain null"),
    ],
)
def test_a_file_that_fails_is_named_and_leaves_no_module(text, message, tmp_path):
    path = tmp_path / "own.py"
    path.write_text(text)
    before = set(sys.modules)
    with pytest.raises(ValueError, match=f"model.name: cannot import .*{message}"):
        networks.find(f"{path}:Own")
    assert set(sys.modules) == before


@pytest.mark.parametrize(
    ("old", "new", "options", "message"),
    [
        (
            "    axis_name: str | None = None\n",
            "",
            {},
            "Own has no attribute axis_name",
        ),
        ("    num_samples: int\n", "", {}, "Own has no attribute num_samples"),
        ("tuple[int, ...] = (3,)", "int", {}, r"Own needs taps\. Set config\.model"),
        ("", "", {"num_labels": 7}, "num_labels is no option, as the data"),
        ("", "", {"parent": 7}, "Own has no parent; it has taps$"),
    ],
)
def test_attributes_and_options_have_to_fit(old, new, options, message, tmp_path):
    path = tmp_path / "own.py"
    path.write_text(OWN.replace(old, new))
    given = {"num_labels": 2, "num_samples": 40, "axis_name": None}
    with pytest.raises(ValueError, match=message):
        networks.build(f"{path}:Own", options, **given)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (
            "resnet1d_wang",
            {"block_taps": 5},
            r"expected tuple.*such as \(5, 3\), got 5",
        ),
        (
            "resnet1d_wang",
            {"block_taps": (5, 3, 3)},
            r"tuple\[int, int\].*got \(5, 3, 3",
        ),
        ("resnet1d_wang", {"width": "64"}, "expected int, such as 128, got '64'"),
        ("xresnet1d101", {"stage_blocks": 3}, "expected tuple.*got 3"),
        ("xresnet1d101", {"stage_blocks": ("3",)}, "expected tuple.*got "),
        ("inception1d", {"taps": 9}, "expected tuple.*got 9"),
        ("inception1d", {"taps": (9, 9)}, r"expected different numbers, got \(9, 9\)"),
        ("s4", {"width": 8.0}, "expected int, such as 512, got 8.0"),
        ("s4", {"bidirectional": 1}, "expected bool, such as True, got 1"),
    ],
)
def test_a_wrong_value_of_an_option_is_named(name, options, message, tmp_path):
    config = small_runs.config(small_runs.write_shards(tmp_path / "shards"))
    config.model.name = name
    with config.unlocked():
        config.model.options = options
    (option,) = options
    with pytest.raises(ValueError, match=f"{option}: (.*){message}"):
        run_spec.build_run_spec(config)


def test_annotations_that_cannot_be_checked_admit_any_value(tmp_path):
    path = tmp_path / "own.py"
    path.write_text(OWN.replace("tuple[int, ...]", "Unknown"))
    found = networks.build(f"{path}:Own", {"taps": "x"}, num_labels=2, num_samples=40)
    assert found.taps == "x"
