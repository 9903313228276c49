import numpy as np
import pytest

from data_prep import challenge, folds
from mrm_jax.data import shards
from tests.helpers import raw_records


def write(folder, name, codes, rate=500, seconds=10, early=False):
    """Writes a record as the Challenges do."""
    folder.mkdir(parents=True, exist_ok=True)
    digital = raw_records.digital(rate * seconds, seed=len(name) + int(name[1:]))
    header = raw_records.write_wfdb(folder / name, digital, rate, padding=24)
    text = header.read_text()
    if early:
        text = text.replace(f"{name} ", f"{name}.mat ", 1)
    header.write_text(f"{text}#Age: 50\n#Sex: Male\n# Dx: {codes}\n")


@pytest.fixture
def raw(tmp_path):
    folder = tmp_path / "raw"
    for number in range(20):
        write(folder / "g1", f"E{number:05}", "426783006")
    write(folder / "g2", "E00100", "733534002,164889003", rate=257, seconds=60)
    write(folder / "g2", "E00101", "164909002", rate=1000, seconds=6)
    write(folder / "g2", "E00102", "63593006,284470004", early=True)
    write(folder / "ptb", "S0001", "164865005")  # not scored
    write(folder / "ptb", "S0002", "123456789")  # not in our table
    write(folder / "cpsc", "A0001", "RBBB")  # a header of early 2020
    write(folder / "cpsc", "A0002", "426783006", seconds=4)  # too short
    return folder


def run(raw, *flags):
    out = raw.parent / "shards" / "c"
    return challenge.main(["--raw_dir", str(raw), "--out", str(out), *flags]), out


def labels_of(data, label_set):
    entry, matrix = data.label_set(label_set), data.label_matrix(label_set)
    return {
        name: [label for label, on in zip(entry.labels, row, strict=True) if on]
        for name, row in zip(data.names.tolist(), matrix, strict=True)
    }


def test_a_folder_becomes_shards_with_two_label_sets(raw, capsys):
    status, out = run(raw)
    assert status == 0
    assert "1 codes are not among the Challenge's: 123456789 (1)" in (
        capsys.readouterr().out
    )
    data = shards.load(out)
    assert (data.manifest.num_records, data.manifest.num_skipped) == (26, 1)
    assert data.signals_uv(np.arange(26)).shape == (26, 1000, 12)
    scored, every = labels_of(data, "scored"), labels_of(data, "all")
    assert scored["E00100"] == ["AF", "LBBB"]
    assert scored["E00101"] == ["LBBB"]  # an equivalent code
    assert scored["E00102"] == ["PAC"]  # both codes, one class
    assert scored["A0001"] == ["RBBB"]
    assert (scored["S0001"], every["S0001"]) == ([], ["MI"])
    assert every["S0002"] == ["123456789"]
    assert "too short" in (out / "rejected.csv").read_text()


def test_the_scored_classes_are_those_of_the_challenge_2021(raw):
    entry = shards.load(run(raw)[1]).label_set("scored")
    assert len(entry.labels) == 26
    assert entry.with_negatives
    described = dict(zip(entry.labels, entry.descriptions, strict=True))
    assert described["RBBB"] == (
        "right bundle branch block (SNOMED CT 713427006, 59118001)"
    )
    codes = challenge.known_codes()
    assert len(codes) == 133
    assert sum(code.scored for code in codes.values()) == 30


def test_folds_are_kept(raw):
    out = run(raw)[1]
    before = folds.read(folds.file_beside(out))
    write(raw / "g1", "E00200", "426783006")
    assert run(raw)[0] == 1  # the shards hold other records
    after = folds.read(folds.file_beside(out))
    assert {name: after[name] for name in before} == before
    assert run(raw, "--folds", "nowhere.csv")[0] == 1


def test_a_record_that_exists_twice_is_named(raw, capsys):
    write(raw / "ptb", "E00001", "426783006")
    assert run(raw)[0] == 1
    assert "record E00001 exists twice" in capsys.readouterr().err
