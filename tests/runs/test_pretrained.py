"""Tests of the models that the package contains, which need no training."""

import pytest

import mrm_jax
from benchmarks import pretrained as shipping
from benchmarks import tables
from data_prep import ptbxl
from mrm_jax import __main__ as door
from mrm_jax.data import example_record, wfdb_files
from mrm_jax.reports import model_card, run_report
from mrm_jax.runs import pretrained, trained_run

NAMES = pretrained.names()
FIRST = "ptbxl-subset-superdiagnostic"
LARGEST = 4_000_000  # bytes


def test_there_are_models():
    label_sets = {trained_run.read(name).data["label_set"] for name in NAMES}
    assert label_sets >= {"superdiagnostic", "all", "rhythm"}


@pytest.mark.parametrize("name", NAMES)
def test_a_model_is_small_and_has_its_card_and_report(name):
    folder = pretrained.path_of(name).parent
    assert pretrained.path_of(name).stat().st_size <= LARGEST
    card = (folder / model_card.FILE).read_text()
    assert f'mrm_jax.load("{name}")' in card
    for part in ("CC BY 4.0", "10.1038/s41597-020-0495-6", "Only a part of PTB-XL"):
        assert part in card
    run, facts = trained_run.read(name), run_report.read(folder)["facts"]
    assert (run.epoch, run.data["sha256"]) == (facts["epoch"], facts["sha256"])
    assert not facts["config"]["data"]["shards"].startswith("/")


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_model_has_the_arrays_of_its_network(name):
    trained_run.read(pretrained.path_of(name))  # checks them, as of any file


def test_the_page_lists_the_models():
    text = shipping.PAGE.read_text()
    assert tables.filled(text, {shipping.TABLE: shipping.table()}) == text


def test_the_list_names_the_models_and_their_results(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    assert door.main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    for name in NAMES:
        report = run_report.read(pretrained.path_of(name).parent)
        (line,) = (line for line in lines if line.split()[:1] == [name])
        assert f" {report['test']['mean']['macro_auc']:.3f} (" in line


def test_an_unknown_model_lists_the_models(tmp_path):
    with pytest.raises(ValueError, match=f"model in the package: .*{FIRST}"):
        trained_run.read("ptbxl-subset-super")


def test_a_folder_comes_before_a_model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / FIRST).mkdir()
    with pytest.raises(ValueError, match="this folder has no checkpoints"):
        trained_run.read(FIRST)


@pytest.mark.slow
def test_the_example_is_scored_by_name(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert door.main(["predict", "--run", FIRST, example_record.NAME]) == 0
    printed = capsys.readouterr().out
    (line,) = (words for words in printed.splitlines() if words.split()[:1] == ["CD"])
    assert " found " in line
    signal_mv, rate = wfdb_files.read_record(example_record.PATH)
    found = mrm_jax.load(FIRST).predict(signal_mv, rate)
    assert "CD" in found.found and "NORM" not in found.found
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_model_reaches_its_reported_auc_on_real_records(real_data, tmp_path):
    shards_dir = tmp_path / "shards"
    raw = str(real_data / "ptbxl_subset")
    assert ptbxl.main(["--raw_dir", raw, "--out", str(shards_dir)]) == 0
    words = ["--run", FIRST, "--data", str(shards_dir), "--out", str(tmp_path / "out")]
    assert door.main(["evaluate", *words, "--resamples=5"]) == 0
    found = run_report.read(tmp_path / "out")
    expected = run_report.read(pretrained.path_of(FIRST).parent)
    assert found["facts"]["sha256"] == expected["facts"]["sha256"]
    auc = [report["test"]["mean"]["macro_auc"] for report in (found, expected)]
    assert auc[0] == pytest.approx(auc[1], abs=2e-3)  # rounded to float16
