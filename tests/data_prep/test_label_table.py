import numpy as np
import pytest

from data_prep import label_columns, label_rows, label_table, record_files

ROWS = [
    ("record", "AF", "LBBB", "sex"),
    ("a", "1", "0", "1"),
    ("b", "0", "1.0", "0"),
    ("c", "", "False", "1"),
]


def write(path, rows, delimiter=",", end="\n", encoding="utf-8"):
    lines = [delimiter.join(row) for row in rows]
    path.write_bytes((end.join(lines) + end).encode(encoding))
    return label_table.Table(path)


def parse(table, **asked):
    columns = label_columns.find(table, label_columns.Columns(**asked))
    return columns, label_rows.parse(table, columns)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_forms_of_csv(tmp_path, delimiter, encoding, end):
    table = write(tmp_path / "t.csv", ROWS, delimiter, end, encoding)
    columns, parsed = parse(table)
    assert (columns.record, columns.flags) == ("record", ("AF", "LBBB"))
    assert parsed.names == ["a", "b", "c"]
    assert parsed.matrix.tolist() == [[1, 0], [0, 1], [0, 0]]
    assert (parsed.problems, parsed.num_empty) == ([], 1)


@pytest.mark.parametrize("kind", ["list", "struct", "map"])
def test_labels_and_an_index_in_parquet(tmp_path, kind):
    """A struct has the keys of all rows in each, with null where a row has none."""
    pa, pq = (pytest.importorskip(name) for name in ("pyarrow", "pyarrow.parquet"))
    rows = [{"NORM": 100.0}, {"AF": 80.0, "RBBB": 0.0}, {}]
    cells, of_kind = list(map(list, rows)), pa.list_(pa.string())
    if kind == "struct":
        cells, of_kind = rows, None
    elif kind == "map":
        cells = [list(row.items()) for row in rows]
        of_kind = pa.map_(pa.string(), pa.float64())
    table = pa.table({"scp_codes": pa.array(cells, of_kind), "record": list("abc")})
    path = tmp_path / "t.parquet"
    pq.write_table(table, path)
    if kind != "map":  # pandas writes no maps
        table.to_pandas().set_index("record").to_parquet(path)
    columns, parsed = parse(label_table.Table(path))
    assert (columns.record, columns.labels) == ("record", "scp_codes")
    assert parsed.names == ["a", "b", "c"]
    assert parsed.labels == ("AF", "NORM", "RBBB")
    assert parsed.matrix.tolist() == [[0, 1, 0], [1, 0, 1], [0, 0, 0]]


def test_other_encodings_are_named(tmp_path):
    rows = [("record", "Schädigung"), ("a", "1")]
    path = tmp_path / "t.csv"
    with pytest.raises(ValueError, match=r"is not a CSV table in utf-8-sig .*encoding"):
        write(path, rows, encoding="cp1252")
    assert label_table.Table(path, "cp1252").columns == ["record", "Schädigung"]
    with pytest.raises(ValueError, match="--encoding: klingon is unknown"):
        label_table.Table(path, "klingon")


def test_parquet(tmp_path):
    pytest.importorskip("pyarrow")
    import pandas as pd

    path = tmp_path / "t.parquet"
    frame = pd.DataFrame(
        {"record": ["a", "b"], "AF": [True, False], "age": [1.5, None]}
    )
    frame["labels"] = [["x", "y"], []]
    frame.to_parquet(path)
    _, flags = parse(label_table.Table(path), flags=("AF",))
    assert flags.matrix.tolist() == [[1], [0]]
    _, lists = parse(label_table.Table(path))
    assert (lists.labels, lists.matrix.tolist()) == (("x", "y"), [[1, 1], [0, 0]])


@pytest.mark.parametrize(
    ("cells", "separator", "labels"),
    [
        (["AF;LBBB", "", "LBBB"], ";", [[1, 1], [0, 0], [0, 1]]),
        (["AF|LBBB", "nan", "LBBB"], "|", [[1, 1], [0, 0], [0, 1]]),
        (["['AF', 'LBBB']", "[]", "['LBBB']"], ",", [[1, 1], [0, 0], [0, 1]]),
        (["{'AF': 100.0, 'LBBB': 0.0}", "{}", "{'LBBB': 50}"], ",",
         [[1, 1], [0, 0], [0, 1]]),
        (["AF", "", "LBBB"], None, [[1, 0], [0, 0], [0, 1]]),
    ],
)  # fmt: skip
def test_one_column_of_labels(tmp_path, cells, separator, labels):
    quoted = [f'"{cell}"' for cell in cells]
    rows = [("file", "Dx"), *zip("abc", quoted, strict=True)]
    columns, parsed = parse(write(tmp_path / "t.csv", rows))
    assert (columns.labels, columns.separator) == ("Dx", separator)
    assert (parsed.labels, parsed.matrix.tolist()) == (("AF", "LBBB"), labels)


def test_columns_are_found_by_name_and_content(tmp_path):
    rows = [
        ("Patient ID", "strat_fold", "filename_hr", "note", "AF", "gender", "STTC"),
        ("p1", "1", "x1", "ok", "1", "0", "0"),
        ("p1", "10", "x2", "", "0", "1", "1"),
    ]
    columns, parsed = parse(write(tmp_path / "t.csv", rows))
    assert columns == label_columns.Columns(
        "filename_hr", ("AF", "STTC"), None, None, "Patient ID", "strat_fold"
    )
    assert parsed.patients.tolist() == ["p1", "p1"]
    assert parsed.folds.tolist() == [1, 10]
    assert label_rows.patients_in_several_folds(parsed.patients, parsed.folds) == 1
    asked = {"record": "note", "flags": ("gender",)}
    assert parse(write(tmp_path / "t.csv", rows), **asked)[0].record == "note"


def test_the_column_of_records_is_the_one_whose_files_exist(tmp_path):
    rows = [("name", "ecg_file", "AF"), ("Smith", "r1", "1"), ("Jones", "r2", "0")]
    table = write(tmp_path / "t.csv", rows)
    np.save(tmp_path / "r1.npy", np.zeros(3))
    files = record_files.RecordFiles(tmp_path)
    found = label_columns.find(table, label_columns.Columns(), files)
    assert found.record == "ecg_file"


def test_every_invalid_row_is_named(tmp_path):
    rows = [
        ("record", "patient", "fold", "AF"),
        *((f"r{i}", f"p{i}", "train", "0") for i in range(40)),
        ("", "p", "1", "1"),
        ("x1", "", "1", "1"),
        ("x2", "p", "11", "1"),
        ("x3", "p", "1", "yes"),
        ("x4", "p", "1"),
        ("r1", "p1", "1", "0"),
        ("", "", "", ""),
        ("x5", "p", "Test", "1"),
    ]
    _, parsed = parse(write(tmp_path / "t.csv", rows))
    assert parsed.problems == [
        (name, f"invalid row: t.csv, line {line}, {reason}")
        for name, line, reason in (
            ("line 42", 42, "column 'record': expected a name, found ''"),
            ("x1", 43, "column 'patient': expected a name, found ''"),
            ("x2", 44, "column 'fold': expected 1 to 10, or train, val or test, "
             "found '11'"),
            ("x3", 45, "column 'AF': expected 0 or 1, found 'yes'"),
            ("line 46", 46, "expected 4 cells, found 3"),
            ("r1", 47, "record 'r1' is in line 3 already"),
        )
    ]  # fmt: skip
    assert len(parsed.names) == 41
    assert parsed.folds.tolist() == [1] * 40 + [10]


@pytest.mark.parametrize(
    ("rows", "asked", "message"),
    [
        ([("a", "a")], {}, "column 'a' exists twice. Rename one"),
        ([("record", "AF")], {}, "expected a header row and records"),
        (ROWS, {"patient": "Patient"}, "no column 'Patient'; it has record, AF, LBBB"),
        ([("x", "AF"), ("a", "1")], {}, "no column of records .* --record_column"),
        ([("file", "age"), ("a", "50")], {}, "no column of labels .* --label_columns"),
        ([("file", "AF"), ("", "1")], {}, "no row is valid .*line 2, column 'file'"),
    ],
)
def test_unusable_tables_are_named(tmp_path, rows, asked, message):
    with pytest.raises(ValueError, match=message):
        parse(write(tmp_path / "t.csv", rows), **asked)


def test_rare_labels_are_left_out(tmp_path):
    rows = [("record", "A", "B"), ("a", "1", "1"), ("b", "1", "0")]
    _, parsed = parse(write(tmp_path / "t.csv", rows))
    kept, rare = label_rows.select(parsed, 2)
    assert (kept.labels, kept.matrix.tolist(), rare) == (("A",), [[1], [1]], {"B": 1})
    with pytest.raises(ValueError, match="no label has 3 records or more; .* has 2"):
        label_rows.select(parsed, 3)


@pytest.mark.parametrize(
    ("cell", "names"),
    [
        ("['AF', 'RBBB']", ["AF", "RBBB"]),
        ("{'NORM': 100.0, 'SR': 0}", ["NORM", "SR"]),
        ("(AF, RBBB)", ["AF", "RBBB"]),
        ("infarction (old), AF", ["infarction (old)", "AF"]),
        ("AF, infarction (old)", ["AF", "infarction (old)"]),
        ("(possible) AF", ["(possible) AF"]),
        ("(possible) infarction (old)", ["(possible) infarction (old)"]),
        ("infarction (old)", ["infarction (old)"]),
        ("(infarction (old), AF)", ["infarction (old)", "AF"]),
    ],
)
def test_brackets_are_dropped_only_around_a_whole_cell(cell, names):
    assert label_columns.names_in(cell, ",") == names


@pytest.mark.parametrize(
    ("columns", "early", "late", "matrix"),
    [
        (("labels",), ("AF",), ("AF;RBBB",), [[1, 0], [1, 1]]),
        (("AF", "RBBB"), ("1", ""), ("", "1"), [[1, 0], [0, 1]]),
        (("AF", "RBBB"), ("1", ""), ("0", ""), [[1], [0]]),  # no cell at all
    ],
)
def test_labels_that_only_late_rows_of_a_sorted_table_have(
    tmp_path, columns, early, late, matrix
):
    cells = [early] * (label_table.SAMPLE_ROWS + 10) + [late] * 10
    rows = [(f"r{number}", *row) for number, row in enumerate(cells)]
    _, parsed = parse(write(tmp_path / "t.csv", [("record", *columns), *rows]))
    assert parsed.labels == ("AF", "RBBB")[: len(matrix[0])]
    assert parsed.matrix[[0, -1]].tolist() == matrix


@pytest.mark.parametrize(
    "second",
    [("a", "p", "1", "RBBB"), ("a", "q", "1", "AF"), ("a", "p", "2", "AF")],
)
def test_rows_that_contradict_each_other_are_refused(tmp_path, second):
    """Keeping the first of a row for each diagnosis would lose the others."""
    header, first = ("record", "patient", "fold", "labels"), ("a", "p", "1", "AF")
    with pytest.raises(
        ValueError, match="'a' has other labels, .* in line 3 than in .*2"
    ):
        parse(write(tmp_path / "t.csv", [header, first, second]))
