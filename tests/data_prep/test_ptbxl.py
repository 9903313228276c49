import numpy as np
import pytest

from data_prep import ptbxl
from mrm_jax.data import shards
from tests.helpers import raw_records

CODES = ["{'NORM': 100.0, 'SR': 0.0}", "{'IMI': 0.0, 'ILMI': 50.0}", "{'_XYZ': 15.0}"]
# Records kept (train, val, test) in version 1.0.1, from the published protocol.
PROTOCOL = {
    "all": (71, 17441, 2193, 2203),
    "diagnostic": (44, 17111, 2156, 2163),
    "subdiagnostic": (23, 17111, 2156, 2163),
    "superdiagnostic": (5, 17111, 2156, 2163),
    "form": (19, 7202, 904, 882),
    "rhythm": (12, 16854, 2109, 2103),
}


@pytest.fixture
def raw_dir(tmp_path):
    raw_records.write_ptbxl(tmp_path / "raw", CODES, folds=[1, 9, 10])
    return tmp_path / "raw"


def split_sizes(index, label_set):
    kept = index.tables[label_set].matrix.any(axis=1)
    parts = (range(1, 9), [9], [10])
    return tuple(int((kept & np.isin(index.folds, list(p))).sum()) for p in parts)


def test_derives_the_label_sets(raw_dir):
    tables = ptbxl.index(raw_dir).tables
    assert {name: table.labels for name, table in tables.items()} == {
        "all": ("ILMI", "IMI", "NDT", "NORM", "SR", "_XYZ"),
        "diagnostic": ("ILMI", "IMI", "NDT", "NORM"),
        "subdiagnostic": ("IMI", "NORM", "STTC"),
        "superdiagnostic": ("MI", "NORM", "STTC"),
        "form": ("NDT", "_XYZ"),
        "rhythm": ("SR",),
    }
    assert tables["all"].matrix.tolist() == [
        [0, 0, 0, 1, 1, 0],
        [1, 1, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 1],
    ]
    # Two statements of one subclass are one label, whatever their likelihood.
    assert tables["subdiagnostic"].matrix.tolist() == [[0, 1, 0], [1, 0, 0], [0, 0, 0]]
    assert tables["rhythm"].matrix.tolist() == [[1], [0], [0]]


def test_labels_have_descriptions(raw_dir):
    tables = ptbxl.index(raw_dir).tables
    described = {
        name: dict(zip(table.labels, table.descriptions, strict=True))
        for name, table in tables.items()
    }
    assert described["rhythm"]["SR"] == "sinus rhythm (SCP-ECG SR, rhythm statement)"
    assert "diagnostic and form statement" in described["all"]["NDT"]
    assert described["subdiagnostic"]["IMI"] == (
        "inferior myocardial infarction; inferolateral myocardial infarction "
        "(PTB-XL diagnostic subclass IMI)"
    )
    assert described["superdiagnostic"]["MI"].startswith("myocardial infarction (")


def test_shards_hold_the_values_of_the_files(raw_dir, tmp_path, capsys):
    flags = ["--raw_dir", str(raw_dir), "--out", str(tmp_path / "out")]
    assert ptbxl.main([*flags, "--jobs", "1"]) == 0
    output = capsys.readouterr().out.splitlines()
    assert output[0] == (
        "PTB-XL subset: 3 records at 100 Hz, 6 label sets, 1 worker -> "
        f"{tmp_path / 'out'}"
    )
    assert output[-1] == f"written: {tmp_path / 'out'}"
    opened = shards.load(tmp_path / "out", verify_hashes=True)
    assert opened.names.tolist() == ["00001", "00002", "00003"]
    assert opened.folds.tolist() == [1, 9, 10]
    for row in range(3):
        expected = raw_records.digital(seed=row + 1)
        np.testing.assert_array_equal(opened.signals_uv(np.array([row]))[0], expected)
    assert len(opened.split("rhythm", "test")) == 0
    assert opened.split("form", "test").names.tolist() == ["00003"]


def test_unknown_codes_and_missing_folds_are_skipped(tmp_path):
    codes = [*CODES, "{'NORM': 100.0, 'NEW': 0.0}", "{'NORM': 100.0}"]
    raw_records.write_ptbxl(tmp_path, codes, folds=[1, 2, 3, 4, 11])
    index = ptbxl.index(tmp_path)
    assert list(index.names) == ["00001", "00002", "00003"]
    assert dict(index.skipped) == {
        "00004": "unknown label: NEW is not in scp_statements.csv",
        "00005": "invalid row: ptbxl_database.csv, line 6, column 'strat_fold': "
        "expected a whole number from 1 to 10, found '11'",
    }


@pytest.mark.parametrize(
    ("cell", "codes"),
    [
        ("{}", ()),
        (" {'NORM': 100.0, 'SR': 0.0} ", ("NORM", "SR")),
        ('{"NORM":100,"SR":0.}', ("NORM", "SR")),
        ("{'NORM' : 1e2, 'SR ': -.5,}", ("NORM", "SR")),
        ("{'NORM': 50, 'NORM': 100}", ("NORM",)),
    ],
)
def test_codes_are_the_keys_of_a_dict(tmp_path, cell, codes):
    raw_records.write_ptbxl(tmp_path, [cell], folds=[1])
    index = ptbxl.index(tmp_path)
    assert not index.skipped
    table = index.tables["all"]
    assert {table.labels[i] for i in np.flatnonzero(table.matrix[0])} == set(codes)


@pytest.mark.parametrize(
    "cell",
    [
        *("", "nan", "{", "{,}", "['NORM']", "{'NORM'}", "{'NORM': }", "{NORM: 1}"),
        *("{'NORM': [1]}", "{'NORM': 1", "{'NORM': 1,,}", "{'NORM': 1 'SR': 1}"),
        "__import__('os').getcwd()",
    ],
)
def test_other_codes_are_skipped(tmp_path, cell):
    raw_records.write_ptbxl(tmp_path, [cell], folds=[1])
    ((name, reason),) = ptbxl.index(tmp_path).skipped
    assert name == "00001"
    assert "column 'scp_codes': expected codes and likelihoods" in reason


def test_a_duplicate_record_raises(raw_dir):
    path = raw_dir / "ptbxl_database.csv"
    path.write_text(path.read_text() + path.read_text().splitlines()[1] + "\n")
    with pytest.raises(ValueError, match="'ecg_id' has 1 twice, in lines 2 and 5"):
        ptbxl.index(raw_dir)


def test_a_missing_table_error_says_what_to_download(tmp_path, capsys):
    flags = ["--raw_dir", str(tmp_path), "--out", str(tmp_path / "out")]
    assert ptbxl.main(flags) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert "ptbxl_database.csv was not found. Download physionet.org" in error


def test_missing_500_hz_files_raise(raw_dir, tmp_path, capsys):
    flags = ["--raw_dir", str(raw_dir), "--out", str(tmp_path / "out")]
    assert ptbxl.main([*flags, "--sampling_rate", "500", "--jobs", "1"]) == 1
    assert "3 of 3 (3 missing file; first: 00001" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_counts_match_the_protocol(real_data):
    index = ptbxl.index(real_data / "ptbxl_labels")
    assert index.version == "1.0.1"
    assert not index.skipped
    found = {
        name: (len(table.labels), *split_sizes(index, name))
        for name, table in index.tables.items()
    }
    assert found == PROTOCOL


def test_counts_match_the_subset(real_data):
    index = ptbxl.index(real_data / "ptbxl_subset")
    assert index.version == "subset"
    assert split_sizes(index, "superdiagnostic") == (2318, 323, 329)
    assert [len(table.labels) for table in index.tables.values()] == [
        sizes[0] for sizes in PROTOCOL.values()
    ]


@pytest.mark.parametrize(
    ("patients", "version"),
    [
        (("7.0", "8", "7"), "1.0.2"),
        (("7", "8", "9"), "unknown (as many records as 1.0.2, but 3 patients)"),
        (None, "unknown (as many records as 1.0.2, no patient_id)"),
    ],
)
def test_records_and_patients_identify_the_version(
    raw_dir, patients, version, monkeypatch
):
    path = raw_dir / "ptbxl_database.csv"
    if patients is not None:
        lines = path.read_text().splitlines()
        cells = ("patient_id", *patients)
        with_patients = [f"{a},{b}" for a, b in zip(cells, lines, strict=True)]
        path.write_text("\n".join(with_patients))
    assert ptbxl.index(raw_dir).version == "subset"
    monkeypatch.setattr(ptbxl, "VERSIONS", {"1.0.1": (4, 3), "1.0.2": (3, 2)})
    assert ptbxl.index(raw_dir).version == version


def test_an_index_column_does_not_shift_the_names(raw_dir):
    path = raw_dir / "ptbxl_database.csv"
    header, *rows = path.read_text().splitlines()
    lines = [f",{header}", *(f"{n},{row}" for n, row in enumerate(rows))]
    path.write_text("\n".join(lines) + "\n")
    assert list(ptbxl.index(raw_dir).names) == ["00001", "00002", "00003"]


def test_statements_with_a_written_index_are_read_by_name(raw_dir):
    expected = ptbxl.index(raw_dir).tables["all"].labels
    path = raw_dir / "scp_statements.csv"
    header, *rows = path.read_text().splitlines()
    lines = [f",Unnamed: 0{header}", *(f"{n},{row}" for n, row in enumerate(rows))]
    path.write_text("\n".join(lines) + "\n")
    assert ptbxl.index(raw_dir).tables["all"].labels == expected


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("NORM,normal ECG", "NORM,", "line 3, column 'description': expected text"),
        ("NORM,normal ECG", "5,normal ECG", "expected an SCP code such as NORM"),
        ("NORM,NORM\n", "NORM,\n", "NORM has no diagnostic_subclass"),
        ("normal ECG,1.0", "normal ECG,x", "column 'diagnostic': expected 1, 0 or"),
    ],
)
def test_an_invalid_statement_is_an_error(raw_dir, old, new, message):
    path = raw_dir / "scp_statements.csv"
    content = path.read_text()
    assert content.count(old) == 1, content
    path.write_text(content.replace(old, new))
    with pytest.raises(ValueError, match=rf"scp_statements.csv: .*{message}"):
        ptbxl.index(raw_dir)


def test_a_bad_row_costs_its_record_only_unless_strict(raw_dir, tmp_path, capsys):
    path = raw_dir / "ptbxl_database.csv"
    more = [
        path.read_text().splitlines()[1].replace("1,", f"{n},", 1) for n in range(4, 15)
    ]
    bad = "15,{'NORM': 100.0},half,records100/00001,records500/00001"
    path.write_text(path.read_text() + "\n".join([*more, bad]) + "\n")
    index = ptbxl.index(raw_dir)
    assert len(index.names) == 14
    assert index.skipped[0][0] == "00015"
    flags = ["--raw_dir", str(raw_dir), "--out", str(tmp_path / "out"), "--jobs", "1"]
    assert ptbxl.main([*flags, "--strict"]) == 1
    error = capsys.readouterr().err
    assert "line 16, column 'strat_fold'" in error and "found 'half'" in error
