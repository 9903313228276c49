import csv
import io

import pytest

from mrm_jax.runtime import text


def test_control_characters_are_escaped():
    assert text.printable("AF, µV: 10 %\n\tII") == "AF, µV: 10 %\n\tII"
    assert text.printable("\x1b[31mred\r\x00") == r"\x1b[31mred\r\x00"
    assert text.printable("ecg\udcff.csv") == r"ecg\udcff.csv"
    assert text.printable("\u202eoverride") == r"\u202eoverride"


@pytest.mark.parametrize("name", ["", " AF", "AF\n", "a\x1b[2Jb", "x" * 201, "\udc80"])
def test_names_with_control_characters_raise(name):
    with pytest.raises(ValueError, match="label: expected 1 to 200 characters"):
        text.check_name("label", name)


@pytest.mark.parametrize("name", ["a/b", "..", ".hidden", "c:\\runs"])
def test_folder_names_are_one_part_of_a_path(name):
    text.check_name("run", name)
    with pytest.raises(ValueError, match="run: expected a name without"):
        text.check_folder_name("run", name)


def test_folder_names_fit_in_file_systems(tmp_path):
    text.check_folder_name("run", "é" * 100)
    (tmp_path / ("é" * 100)).mkdir()
    with pytest.raises(ValueError, match="run: expected at most 200 bytes, found 202"):
        text.check_folder_name("run", "é" * 101)


def test_tables_hold_no_formulas():
    file = io.StringIO()
    rows = [
        {"=label": "=1+1", "value": -0.5},
        {"=label": "@SUM(A1)", "value": "-0.500"},
        {"=label": "+AF, or \x1b", "value": None},
        {"=label": "ST-T"},
    ]
    text.write_table(file, ["=label", "value"], rows)
    assert list(csv.reader(io.StringIO(file.getvalue()))) == [
        ["'=label", "value"],
        ["'=1+1", "-0.5"],
        ["'@SUM(A1)", "-0.500"],
        [r"'+AF, or \x1b", ""],
        ["ST-T", ""],
    ]


def test_a_long_name_is_shortened_and_stays_different():
    assert text.shortened("val-waves", 9) == "val-waves"
    first, second = (text.shortened("é" * 100 + end, 51) for end in "ab")
    assert first != second and first.startswith("é" * 21 + "-")
    assert len(first.encode()) == len(second.encode()) == 51
