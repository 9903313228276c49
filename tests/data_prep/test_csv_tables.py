import pytest

from data_prep import csv_tables

COLUMNS = {
    "id": csv_tables.whole_number(1),
    "fold": csv_tables.whole_number(1, 10),
    "file": csv_tables.text,
}


def read(tmp_path, content, encoding="utf-8"):
    path = tmp_path / "table.csv"
    path.write_bytes(content.encode(encoding))
    return csv_tables.read(path, "id", COLUMNS)


@pytest.mark.parametrize(
    "content",
    [
        "id,fold,file\n7,3,a\n8,10,b\n",
        ",file,fold,id\n0,a,3,7\n1,b,10,8\n",  # an index column first, another order
        "\ufeffid,fold,file\r\n7,3,a\r\n\r\n8,10,b",  # byte order mark, CRLF
        'id ,fold, file\n7.0, 3 ,"a "\n8,10.0,b\n',  # blanks, whole floats
    ],
)
def test_columns_are_found_by_name(tmp_path, content):
    rows = read(tmp_path, content)
    assert [row.values for row in rows] == [
        {"id": 7, "fold": 3, "file": "a"},
        {"id": 8, "fold": 10, "file": "b"},
    ]
    assert [row.key for row in rows] == [7, 8]
    assert all(row.reason is None for row in rows)


@pytest.mark.parametrize(
    ("row", "key", "problem"),
    [
        ("7,,a", 7, "column 'fold': expected a whole number from 1 to 10, found ''"),
        ("7,two,a", 7, "column 'fold': .* found 'two'"),
        ("7,1.5,a", 7, "column 'fold': .* found '1.5'"),
        ("7,11,a", 7, "column 'fold': .* found '11'"),
        ("7,1e99,a", 7, "column 'fold': .* found '1e99'"),
        ("7,3,NaN", 7, "column 'file': expected text, found 'NaN'"),
        ("x,3,a", None, "column 'id': expected a whole number of 1 or more, found 'x'"),
        ("inf,3,a", None, "column 'id': .* found 'inf'"),
        ("7,3", 7, "expected 3 cells, found 2; column 'file': expected text"),
        ("7,3,a,b", 7, "expected 3 cells, found 4"),
    ],
)
def test_an_invalid_row_is_named_and_the_others_are_read(tmp_path, row, key, problem):
    good, bad = read(tmp_path, f"id,fold,file\n1,1,ok\n{row}\n")
    assert good.values == {"id": 1, "fold": 1, "file": "ok"}
    assert (bad.key, bad.values, bad.line) == (key, None, 3)
    assert bad.reason.startswith("invalid row: table.csv, line 3, ")
    with pytest.raises(ValueError, match=problem):
        raise ValueError(bad.reason)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"expected one column 'id', found 0 \(an empty file\)"),
        ("id,file\n1,a\n", "expected one column 'fold', found 0"),
        ("id,fold,fold,file\n1,1,1,a\n", "expected one column 'fold', found 2"),
        (
            "id,fold,file\n1,1,a\n1.0,2,b\n",
            "column 'id' has 1 twice, in lines 2 and 3. Remove one",
        ),
        ('id,fold,file\n1,1,"a\n', "is not a CSV table in UTF-8"),
    ],
)
def test_a_table_that_cannot_be_trusted_is_refused(tmp_path, content, message):
    with pytest.raises(ValueError, match=rf"table.csv.*{message}"):
        read(tmp_path, content)


def test_another_encoding_is_refused(tmp_path):
    with pytest.raises(ValueError, match="is not a CSV table in UTF-8"):
        read(tmp_path, "id,fold,file\n1,1,é\n", encoding="latin-1")


@pytest.mark.parametrize(
    ("cell", "expected"), [("1.0", True), ("1", True), ("", False), ("0.0", False)]
)
def test_flags(cell, expected):
    assert csv_tables.flag(cell) is expected
    with pytest.raises(ValueError, match="expected 1, 0 or an empty cell"):
        csv_tables.flag("yes")


def test_optional_text_is_empty_if_it_is_missing():
    assert [csv_tables.optional_text(cell) for cell in ("", "NaN", "MI")] == [
        "",
        "",
        "MI",
    ]
