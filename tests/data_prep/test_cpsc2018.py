import shutil

import numpy as np
import pytest

from data_prep import cpsc2018, cpsc_format, folds
from mrm_jax.data import preprocessing, shards
from tests.helpers import raw_records

# From the published protocol, classes 1 to 9 in order.
ANY_LABEL = [918, 1221, 722, 236, 1857, 617, 700, 869, 220]
FIRST_LABEL = [918, 1098, 704, 207, 1695, 574, 653, 826, 202]


def write_record(path, dx=None, num_samples=5000, seed=0):
    header = raw_records.write_wfdb(
        path, raw_records.digital(num_samples, seed), 500, padding=24
    )
    if dx is not None:
        header.write_text(header.read_text() + f"{dx}\n")
    return header


def write_reference(raw_dir, *rows):
    lines = ["Recording,First_label,Second_label,Third_label", *rows]
    (raw_dir / "REFERENCE.csv").write_text("\n".join(lines) + "\n")


def index_of_one(raw_dir, dx):
    write_record(raw_dir / "A0001", dx)
    return cpsc2018.index(raw_dir)


def labels_of(index, row=0):
    table = index.tables["cpsc2018"]
    return [table.labels[column] for column in np.flatnonzero(table.matrix[row])]


def test_classes_follow_the_challenges_order():
    expected = "Normal AF I-AVB LBBB RBBB PAC PVC STD STE"
    assert " ".join(cpsc_format.LABELS) == expected
    assert "atrial fibrillation (SNOMED CT 164889003)" in cpsc_format.DESCRIPTIONS


@pytest.mark.parametrize(
    ("dx", "labels"),
    [
        ("# Dx: 59118001", ["RBBB"]),
        ("#Dx: RBBB", ["RBBB"]),
        ("#Dx: 713427006,164889003", ["AF", "RBBB"]),
        ("#Dx: 63593006, 284470004", ["PAC"]),
        ("# Dx: Normal", ["Normal"]),
        ("# Dx: 59118001\n#Sex: Male\n# Dx: 164889003,", ["AF", "RBBB"]),
    ],
)
def test_reads_labels_from_headers(tmp_path, dx, labels):
    index = index_of_one(tmp_path, dx)
    assert labels_of(index) == labels
    first = index.tables["cpsc2018"].first_label
    column = cpsc_format.LABELS.index(labels[0])
    assert first.tolist() == [column if len(labels) == 1 else -1]
    assert "Dx lines of the headers" in index.sources


@pytest.mark.parametrize(
    ("dx", "reason"),
    [
        (
            "#Dx: 270492004,999",
            "unknown label: A0001.hea: 999 is not a class of CPSC2018",
        ),
        *[
            (
                comments,
                "no label: A0001.hea names no class in a line '# Dx:', and there is no "
                "REFERENCE.csv",
            )
            for comments in ("#Age: 50", "#Dx: ,")
        ],
    ],
)
def test_records_with_invalid_labels_are_skipped(tmp_path, dx, reason):
    index = index_of_one(tmp_path, dx)
    assert list(index.names) == []
    assert index.skipped == [("A0001", reason)]


def test_reference_overrides_headers_and_gives_first_labels(tmp_path):
    write_reference(tmp_path, "A0001,9,2,", "A0002,1,,")
    write_record(tmp_path / "g1" / "A0001", "#Dx: 59118001")
    write_record(tmp_path / "g2" / "A0002")
    index = cpsc2018.index(tmp_path)
    assert list(index.names) == ["A0001", "A0002"]
    assert labels_of(index) == ["AF", "STE"]
    assert index.tables["cpsc2018"].first_label.tolist() == [8, 0]
    assert set(index.sources) == {"REFERENCE.csv", "cpsc2018_folds.csv"}


def test_a_record_missing_in_the_reference_is_skipped(tmp_path):
    write_reference(tmp_path, "A0002,1,,")
    index = index_of_one(tmp_path, "#Dx: RBBB")
    reason = "no label: REFERENCE.csv has none for A0001"
    assert index.skipped == [("A0001", reason)]


def test_an_invalid_row_of_a_table_costs_its_record_only(tmp_path):
    write_reference(tmp_path, "A0001 ,1.0, ,", "A0002,two,,", "A0003,2,,", "A0004,3,,")
    folds = ["A0001, 1", "A0002,2", "A0003,", "A0004,4"]
    (tmp_path / "folds.csv").write_text("\n".join(["record,fold", *folds]) + "\n")
    for number in range(1, 5):
        write_record(tmp_path / f"A000{number}")
    index = cpsc2018.index(tmp_path)
    assert list(index.names) == ["A0001", "A0004"]
    assert labels_of(index) == ["Normal"]
    assert labels_of(index, row=1) == ["I-AVB"]
    assert index.folds.tolist() == [1, 4]
    assert dict(index.skipped) == {
        "A0002": "invalid row: REFERENCE.csv, line 3, column 'First_label': expected a "
        "whole number of 1 or more, found 'two'",
        "A0003": "invalid row: folds.csv, line 4, column 'fold': expected a whole "
        "number from 1 to 10, found ''",
    }


def test_class_10_raises_and_names_all_rows(tmp_path, capsys):
    names = [f"A{number:04d}" for number in range(1, 19)]
    write_reference(tmp_path, "A0100,1,,", *(f"{name},1,10," for name in names))
    write_record(tmp_path / "A0100")
    flags = ["--raw_dir", str(tmp_path), "--out", str(tmp_path / "out")]
    assert cpsc2018.main(flags) == 1
    error = capsys.readouterr().err
    assert "found others in 18 rows" in error
    assert all(name in error for name in names)


def test_a_reference_without_its_columns_raises(tmp_path):
    (tmp_path / "REFERENCE.csv").write_text("name,label\nA0001,1\n")
    with pytest.raises(ValueError, match="expected one column 'Recording', found 0"):
        index_of_one(tmp_path, "#Dx: RBBB")


def test_two_different_references_raise(tmp_path):
    write_record(tmp_path / "a" / "A0001")
    write_reference(tmp_path / "a", "A0001,1,,")
    write_reference(tmp_path, "A0001,2,,")
    with pytest.raises(ValueError, match="several REFERENCE.csv that differ"):
        cpsc2018.index(tmp_path)


def test_given_folds_override_the_defaults(tmp_path):
    write_record(tmp_path / "A0001", "#Dx: RBBB")
    write_record(tmp_path / "A0002", "#Dx: RBBB")
    (tmp_path / "folds.csv").write_text("record,fold\nA0001,3\n")
    index = cpsc2018.index(tmp_path)
    assert index.folds.tolist() == [3]
    assert index.skipped == [("A0002", "no fold: the table of folds has no A0002")]
    (tmp_path / "mine.csv").write_text("record,fold\nA0001,10\nA0002,9\n")
    index = cpsc2018.index(tmp_path, tmp_path / "mine.csv")
    assert index.folds.tolist() == [10, 9]
    assert "mine.csv" in index.sources


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("record,fold\nA0001,11\n", "line 2, column 'fold': .* found '11'"),
        ("name,number\nA0001,1\n", "expected one column 'record', found 0"),
        ("record,fold\nA0001\n", "line 2, expected 2 cells, found 1"),
        ("record,fold\nA0001,1\nA0001,2\n", "'A0001' twice, in lines 2 and 3"),
    ],
)
def test_invalid_folds_raise(tmp_path, text, message):
    (tmp_path / "folds.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        folds.read(tmp_path / "folds.csv")


def test_caller_sets_name_and_version(tmp_path):
    write_record(tmp_path / "A0001", "#Dx: RBBB")
    assert cpsc2018.index(tmp_path).version == "subset"
    index = cpsc2018.index(tmp_path, data_set="synthetic", version="1 seed 0")
    assert (index.data_set, index.version) == ("synthetic", "1 seed 0")


def test_a_duplicate_record_raises(tmp_path):
    write_record(tmp_path / "a" / "A0001", "#Dx: RBBB")
    write_record(tmp_path / "b" / "A0001", "#Dx: RBBB")
    with pytest.raises(ValueError, match="record A0001 exists twice"):
        cpsc2018.index(tmp_path)


def test_linked_folders_are_searched_and_hidden_files_are_not(tmp_path):
    raw, elsewhere = tmp_path / "raw", tmp_path / "elsewhere"
    write_record(elsewhere / "A0001", "#Dx: RBBB")
    write_record(raw / "A0002", "#Dx: RBBB")
    (raw / "._A0002.mat").write_bytes(b"attributes that macOS keeps")
    (raw / "disk").symlink_to(elsewhere)
    (elsewhere / "back").symlink_to(raw)
    found = cpsc2018.find_records(raw)
    assert found == {
        "A0001": raw / "disk" / "A0001.hea",
        "A0002": raw / "A0002.hea",
    }
    write_reference(elsewhere, "A0001,1,,", "A0002,2,,")
    index = cpsc2018.index(raw)
    assert [labels_of(index, row) for row in (0, 1)] == [["Normal"], ["AF"]]


def test_an_empty_folder_error_says_what_to_download(tmp_path):
    with pytest.raises(ValueError, match="download .*physionet.org"):
        cpsc2018.index(tmp_path)


def test_reads_the_original_format(tmp_path):
    signal_mv = raw_records.digital(4000) / 1000
    path = raw_records.write_original(tmp_path / "A0001.mat", signal_mv)
    found_mv, rate = cpsc_format.read_record(path)
    assert rate == 500
    np.testing.assert_array_equal(found_mv, signal_mv)


@pytest.mark.parametrize("keep", [0.0, 0.5, 0.99])
def test_a_damaged_original_raises(tmp_path, keep):
    path = raw_records.write_original(tmp_path / "A0001.mat", np.ones((4000, 12)))
    data = path.read_bytes()
    path.write_bytes(data[: int(keep * len(data))])
    with pytest.raises(ValueError, match="^unreadable: A0001.mat"):
        cpsc_format.read_record(path)


def test_an_original_with_other_leads_or_fields_raises(tmp_path):
    path = raw_records.write_original(tmp_path / "A0001.mat", np.ones((4000, 11)))
    with pytest.raises(ValueError, match="^missing lead: A0001.mat: expected 12"):
        cpsc_format.read_record(path)


def test_builds_shards_from_mixed_formats(tmp_path, capsys):
    raw_dir = tmp_path / "raw"
    write_record(raw_dir / "g1" / "A0001", num_samples=7500, seed=1)
    signal_mv = np.cumsum(raw_records.digital(4000, 2), axis=0) / 1e5
    raw_records.write_original(raw_dir / "A0002.mat", signal_mv)
    write_reference(raw_dir, "A0001,5,,", "A0002,1,,")
    out_dir = tmp_path / "out"
    flags = ["--raw_dir", str(raw_dir), "--out", str(out_dir), "--jobs", "1"]
    assert cpsc2018.main(flags) == 0
    opened = shards.load(out_dir, verify_hashes=True)
    assert opened.manifest.length_policy == preprocessing.STRETCH_OR_CUT
    assert opened.manifest.label_sets["cpsc2018"].has_first_label
    long_mv = preprocessing.resample(raw_records.digital(7500, 1) / 1000, 500, 100)[
        :1000
    ]
    short_mv = preprocessing.stretch(preprocessing.resample(signal_mv, 500, 100), 1000)
    for row, expected_mv in enumerate([long_mv, short_mv]):
        found_uv = opened.signals_uv(np.array([row]))[0]
        np.testing.assert_allclose(found_uv, expected_mv * 1000, atol=0.6)
    capsys.readouterr()
    assert cpsc2018.main(flags) == 0
    assert capsys.readouterr().out.endswith(
        f"already finished, nothing to do: {out_dir}\n"
    )


def test_counts_match_the_protocol(real_data):
    reference = cpsc_format.read_reference(real_data / "cpsc2018/REFERENCE.csv")
    assert len(reference) == 6877
    classes = np.array([number for numbers in reference.values() for number in numbers])
    first = np.array([numbers[0] for numbers in reference.values()])
    assert np.bincount(classes)[1:].tolist() == ANY_LABEL
    assert np.bincount(first)[1:].tolist() == FIRST_LABEL
    lengths = [len(numbers) for numbers in reference.values()]
    assert np.bincount(lengths).tolist() == [0, 6400, 471, 6]


def test_real_records_agree_in_both_formats(real_data, tmp_path):
    flags = ["--raw_dir", str(real_data / "cpsc2018"), "--out", str(tmp_path / "o")]
    assert cpsc2018.main([*flags, "--jobs", "1", "--strict"]) == 0
    opened = shards.load(tmp_path / "o")
    assert opened.names.tolist()[8:12] == ["A0009", "A0010", "A1980", "A1981"]
    # The headers' abbreviations say the same as REFERENCE.csv.
    raw_dir = tmp_path / "raw"
    shutil.copytree(real_data / "cpsc2018/wfdb", raw_dir)
    by_header = cpsc2018.index(raw_dir).tables["cpsc2018"].matrix
    by_reference = np.load(tmp_path / "o" / "labels-cpsc2018.npy")[:10]
    np.testing.assert_array_equal(by_header, by_reference)
