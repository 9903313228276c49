import json

import numpy as np
import pytest

from data_prep import folds, record_files, table
from mrm_jax.data import shards
from tests.helpers import raw_records, small_predictions

NUM = 40


@pytest.fixture
def clinic(tmp_path):
    """A table and records of 250 Hz: WFDB in sub-folders, .npy and .csv beside them."""
    records = tmp_path / "ecgs"
    rows = ["record,patient,AF,LBBB"]
    rng = np.random.default_rng(0)
    for number in range(NUM):
        name = f"r{number:02}"
        rows.append(f"{name},p{number // 2},{number % 2},{int(number % 5 == 0)}")
        folder = records / f"part{number % 3}"
        folder.mkdir(parents=True, exist_ok=True)
        raw_records.write_wfdb(
            folder / name, raw_records.digital(2500, number), 250, padding=24
        )
    np.save(records / "plain.npy", rng.normal(0, 0.3, (2500, 12)))
    rows += ["plain,q1,1,1", "gone,q2,0,1", "bad,q3,2,0"]
    (tmp_path / "labels.csv").write_text("\n".join(rows) + "\n")
    return tmp_path


def run(folder, *flags, out="mine"):
    places = ("--labels", folder / "labels.csv", "--records", folder / "ecgs")
    words = (*places, "--out", folder / "shards" / out, *flags)
    return table.main(list(map(str, words)))


def test_a_table_becomes_shards(clinic, capsys):
    assert run(clinic, "--sampling_rate", "250") == 0
    printed = capsys.readouterr().out
    assert "labels   2 columns: AF, LBBB" in printed
    assert "line 44, column 'AF': expected 0 or 1, found '2'" in printed
    assert "--config.data.label_set=labels --config.name=mine" in printed
    data = shards.load(clinic / "shards/mine", verify_hashes=True)
    entry = data.label_set("labels")
    assert (entry.labels, entry.with_negatives) == (("AF", "LBBB"), True)
    assert data.manifest.num_records == NUM + 1
    assert data.manifest.num_skipped == 2
    assert sum(entry.records.values()) == NUM + 1  # also those without a label
    rejected = (clinic / "shards/mine/rejected.csv").read_text()
    assert "gone,missing file: gone is not in" in rejected
    assert "bad,\"invalid row: labels.csv, line 44, column 'AF'" in rejected
    expected = [[n % 2, int(n % 5 == 0)] for n in range(NUM)]
    by_name = dict(zip(data.names, data.label_matrix("labels").tolist(), strict=True))
    assert [by_name[f"r{number:02}"] for number in range(NUM)] == expected
    assert by_name["plain"] == [1, 1]


def test_any_reader_error_skips_only_its_record(clinic, capsys):
    header = clinic / "ecgs/part0/r03.hea"
    text = header.read_text()
    header.write_text(text.replace(" 250 ", f" {10**400} ", 1))  # an OverflowError
    assert run(clinic, "--sampling_rate", "250") == 0
    rejected = (clinic / "shards/mine/rejected.csv").read_text()
    assert "r03,unreadable: r03.hea: OverflowError(" in rejected
    assert "r04" in shards.load(clinic / "shards/mine").names


def test_signals_are_those_of_the_files(clinic):
    from mrm_jax.data import preprocessing, wfdb_files

    assert run(clinic, "--sampling_rate", "250") == 0
    data = shards.load(clinic / "shards/mine")
    row = data.names.tolist().index("r04")
    signal_mv, rate = wfdb_files.read_record(clinic / "ecgs/part1/r04")
    expected = preprocessing.prepare_uv(signal_mv, rate, 100, 1000, "stretch-or-cut")
    np.testing.assert_array_equal(data.signals_uv(np.array([row]))[0], expected)


def test_folds_are_frozen_beside_the_shards(clinic):
    assert run(clinic, "--sampling_rate", "250") == 0
    path = clinic / "shards/mine.folds.csv"
    before = folds.read(path)
    for number in range(NUM // 2):
        assert before[f"r{2 * number:02}"] == before[f"r{2 * number + 1:02}"]
    labels = clinic / "labels.csv"
    labels.write_text(labels.read_text() + "new,p3,1,0\n")
    assert run(clinic, "--sampling_rate", "250", "--folds", str(path), out="two") == 0
    after = folds.read(path)
    assert {name: after[name] for name in before} == before
    assert after["new"] == before["r06"]  # of the same patient


def test_a_finished_build_is_kept_and_another_one_is_refused(clinic, capsys):
    flags = ("--sampling_rate", "250")
    assert run(clinic, *flags) == 0
    assert run(clinic, *flags) == 0
    assert "already finished, nothing to do" in capsys.readouterr().out
    assert run(clinic, *flags, "--label_columns", "LBBB") == 1
    assert "holds a finished build with another sources" in capsys.readouterr().err
    assert run(clinic, *flags, "--duration", "5") == 1
    assert "another num_samples: expected 500, found 1000" in capsys.readouterr().err


@pytest.mark.parametrize(
    "flags",
    [
        ("--sampling_rate", "500"),
        ("--sampling_rate", "250", "--unit", "uV"),
        ("--sampling_rate", "250", "--leads", "II,I,III,aVR,aVL,aVF,V1,V2,V3,V4,V5,V6"),
    ],
)
def test_a_finished_build_of_other_signals_is_refused(clinic, capsys, flags):
    assert run(clinic, "--sampling_rate", "250") == 0
    assert run(clinic, *flags) == 1
    assert "whose records were read in another way: exp" in capsys.readouterr().err
    (clinic / "shards/mine/reading.json").unlink()  # as in shards of earlier versions
    assert run(clinic, "--sampling_rate", "250") == 0


def test_two_names_of_one_file_are_one_record(clinic):
    path = clinic / "labels.csv"
    path.write_text(path.read_text() + "part1/r01,p0,0,0\n")
    assert run(clinic, "--sampling_rate", "250") == 0
    rejected = (clinic / "shards/mine/rejected.csv").read_text()
    assert "part1/r01,named twice: part1/r01 is the file of r01" in rejected


def test_linked_folders_are_searched(clinic):
    (clinic / "ecgs/part1").rename(clinic / "elsewhere")
    (clinic / "ecgs/part1").symlink_to(clinic / "elsewhere")
    assert run(clinic, "--sampling_rate", "250") == 0
    assert shards.load(clinic / "shards/mine").manifest.num_records == NUM + 1


@pytest.mark.parametrize("flags", [(), ("--dry_run",)])
def test_folders_are_searched_once(clinic, monkeypatch, flags):
    walked, walk = [], record_files.files.walk
    monkeypatch.setattr(
        record_files.files, "walk", lambda folder: walked.append(folder) or walk(folder)
    )
    assert run(clinic, "--sampling_rate", "250", *flags) == 0
    assert walked == [clinic / "ecgs"]


def test_given_folds_win_over_a_column_that_looks_like_folds(clinic, capsys):
    path = clinic / "labels.csv"
    header, *rows = path.read_text().splitlines()
    path.write_text("\n".join([f"{header},split", *(f"{row},1" for row in rows)]))
    given = clinic / "given.csv"
    names = [row.partition(",")[0] for row in rows]
    folds.write(given, dict(zip(names, [2, 9, 10] * len(names), strict=False)))
    flags = ("--sampling_rate", "250", "--folds", given)
    assert run(clinic, *flags) == 0
    data = shards.load(clinic / "shards/mine")
    assert set(data.folds.tolist()) == {2, 9, 10}
    assert run(clinic, *flags, "--fold_column", "split") == 1
    assert "by --folds or by --fold_column, not by both" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--duration", "0"), "0 s at 100 Hz: expected 1 to 10,000,000 samples"),
        (("--duration", "inf"), "inf s at 100 Hz: expected 1 to"),
        (("--duration", "nan"), "nan s at 100 Hz: expected 1 to"),
        (("--shard_rate", "-1"), "10 s at -1 Hz: expected 1 to"),
        (("--label_columns", "AF", "AF"), "column 'AF' was named for two purposes"),
        (("--label_set", "a/b"), "label set 'a/b': expected no /"),
    ],
)
def test_impossible_flags_are_errors_before_records_are_read(
    clinic, capsys, flags, message
):
    assert run(clinic, "--sampling_rate", "250", *flags) == 1
    printed = capsys.readouterr()
    assert message in printed.err and "reading records" not in printed.out


def test_unlabelled_records_can_be_omitted(clinic):
    assert run(clinic, "--sampling_rate", "250", "--omit_unlabelled") == 0
    path = clinic / "shards/mine/manifest.json"
    entry = json.loads(path.read_text())["label_sets"]["labels"]
    assert "with_negatives" not in entry  # as in shards of earlier versions
    assert sum(entry["records"].values()) == NUM // 2 + NUM // 10 + 1


def test_a_dry_run_writes_nothing(clinic, capsys):
    assert run(clinic, "--dry_run") == 0
    printed = capsys.readouterr().out
    assert "41 of 42 records have a file\n  missing file: gone" in printed
    assert printed.splitlines()[-1] == "nothing was written"
    assert not (clinic / "shards").exists()


def test_records_without_a_rate_ask_for_it(clinic):
    assert run(clinic) == 0
    rejected = (clinic / "shards/mine/rejected.csv").read_text()
    assert (
        "no rate: plain.npy does not store its sampling rate. Pass it with" in rejected
    )


def test_without_patients_the_user_is_warned(clinic, capsys):
    labels = clinic / "labels.csv"
    labels.write_text(labels.read_text().replace("patient", "who"))
    assert run(clinic, "--dry_run") == 0
    assert "warning: no column of patients" in capsys.readouterr().out
    flags = ("--patient_column", "who")
    assert run(clinic, "--dry_run", *flags) == 0
    assert "warning" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("names", "warned"),
    [
        (["train", "test"], True),
        (["1", "2", "3"], True),
        (["train", "val", "test"], False),
        (["test"], False),
    ],
)
def test_a_table_without_validation_is_warned_of(clinic, capsys, names, warned):
    rows = [f"r{n:02},p{n},{n % 2},{names[n % len(names)]}" for n in range(NUM)]
    header = "record,patient,AF,split"
    (clinic / "labels.csv").write_text("\n".join([header, *rows]) + "\n")
    assert run(clinic, "--dry_run") == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert ("warning: no record is in val (fold 9)" in printed) is warned


@pytest.mark.parametrize(
    ("factor", "unit", "hint"),
    [
        (1000, "mV", "in uV, or steps of a converter"),
        (1e-3, "mV", "in V"),
        (1, "uV", "in mV"),
        (1, "V", "in mV"),
    ],
)
def test_a_wrong_unit_is_named_and_no_flat_lead(clinic, capsys, factor, unit, hint):
    """A wrong unit makes whole microvolts flat or too large for int16."""
    for number in range(20):
        signal_mv = small_predictions.ecg_mv(2500)
        np.save(clinic / "ecgs" / f"n{number}.npy", factor * signal_mv)
    rows = [f"n{number},{number % 2}" for number in range(20)]
    (clinic / "labels.csv").write_text("\n".join(["record,AF", *rows]) + "\n")
    assert run(clinic, "--sampling_rate", "250", "--unit", unit) == 1
    error = capsys.readouterr().err
    assert f"n0: wrong unit: read as {unit}, the leads have" in error
    assert f"Are the numbers {hint}?" in error
    assert "20 wrong unit;" in error


def test_wrong_flags_and_folders_are_named(clinic, capsys):
    assert run(clinic, "--unit", "pV") == 1
    assert "wrong unit: expected mV, uV, V, found 'pV'" in capsys.readouterr().err
    assert run(clinic, "--folds", "nowhere.csv") == 1
    assert "nowhere.csv was not found" in capsys.readouterr().err
    words = ["--labels", str(clinic / "labels.csv"), "--records", "x", "--out", "y"]
    assert table.main(words) == 1
    assert "--records: there is no folder x" in capsys.readouterr().err
