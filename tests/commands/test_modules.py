"""Tests of properties that all program modules share."""

import ast

import pytest

from tests import conftest

PROGRAMS = [
    path
    for folder in ("mrm_jax", "data_prep", "benchmarks")
    for path in sorted((conftest.ROOT / folder).rglob("*.py"))
    if '__name__ == "__main__"' in path.read_text()
]


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_main_is_called_after_all_definitions(path):
    *before, last = ast.parse(path.read_text()).body
    assert isinstance(last, ast.If) and "__name__" in ast.unparse(last.test)
    assert not any("__name__" in ast.unparse(node) for node in before)


def test_program_modules_are_found():
    assert {"train", "predict", "ptbxl"} <= {path.stem for path in PROGRAMS}
