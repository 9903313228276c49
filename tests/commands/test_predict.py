"""Tests of predict on a small run; test_predictor.py tests the scores."""

import csv
import json
import re

import jax
import numpy as np
import pytest

from mrm_jax import export, predict
from mrm_jax.inference import explanation
from tests.helpers import small_predictions, small_runs

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    return small_predictions.write_run(tmp_path_factory.mktemp("predict"))


@pytest.fixture(autouse=True)
def keep_test_cache(monkeypatch):
    """Keeps the compilation cache, which the command would move for all later tests."""
    name = "jax_persistent_cache_min_compile_time_secs"
    before = getattr(jax.config, name)
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "as it is")
    yield
    jax.config.update(name, before)


@pytest.fixture
def run(workdir, capsys):
    """Calls the command; returns status, lines of stdout, and stderr."""

    def call(*arguments):
        status = predict.main([f"--run={workdir}", *map(str, arguments)])
        said = capsys.readouterr()
        return status, said.out.splitlines(), said.err

    return call


def test_predicts_one_record(run, workdir, tmp_path):
    path = small_predictions.write_record(tmp_path / "a", 500)
    status, lines, _ = run(path)
    assert status == 0
    assert lines[0] == (
        f"{workdir}, epoch 7: scores of 3 labels for 1 record, "
        "in windows of 0.4 s at 100 Hz, mean head"
    )
    # As an untrained run was never evaluated.
    assert lines[1].startswith("thresholds: not chosen, 0.5; to choose one per label:")
    assert lines[1].endswith(f" python -m mrm_jax.evaluate --run {workdir}")
    assert lines[2] == "a: 1 s, mean of 3 windows"
    assert {line.split()[0] for line in lines[4:7]} == set(small_runs.LABELS)
    assert lines[-1].startswith("Scores are for research. They are not a diagnosis")


def test_thresholds_of_a_file_come_from_its_run(run, workdir, tmp_path):
    file = tmp_path / "model.npz"
    assert export.main([f"--run={workdir}", "--format=npz", f"--out={file}"]) == 0
    path = small_predictions.write_record(tmp_path / "a", 500)
    status, lines, _ = run(path, f"--run={file}")
    said = "to choose one per label, evaluate the run of this file, and export it again"
    assert status == 0 and any(line.endswith(said) for line in lines)


def test_skips_bad_records_of_a_folder(run, tmp_path):
    for name in "abcde":
        small_predictions.write_record(tmp_path / "in" / name)
    (tmp_path / "in" / "b.dat").unlink()
    (tmp_path / "in" / "labels.csv").write_text("record,label\na,1\n")
    out = tmp_path / "scores.csv"
    status, lines, _ = run(tmp_path / "in", f"--out={out}", "--threshold=0")
    assert status == 1
    assert "for 5 records, " in lines[0] and lines[0].endswith(f" -> {out}")
    assert lines[1].startswith("skipped: 1 .csv") and "labels.csv" in lines[1]
    assert lines[2].split() == ["record", "length", "found"]
    assert [line.split()[0] for line in lines[3:7]] == ["a", "c", "d", "e"]
    assert lines[8] == "not scored: 1 of 5"
    assert lines[9].endswith("in/b.hea: missing file: b.dat")
    assert lines[-1] == f"results: {out}"
    with out.open(newline="") as file:
        rows = {row["record"]: row for row in csv.DictReader(file)}
    assert rows["b"]["error"] == "missing file: b.dat"
    assert 0 < float(rows["e"]["loud"]) < 1


def test_writes_json_with_windows(run, tmp_path):
    path = small_predictions.write_record(tmp_path / "a", 500)
    out = tmp_path / "scores.json"
    flags = ("--windows", "--aggregate=max", "--head=low", f"--out={out}")
    assert run(path, *flags)[0] == 0
    content = json.loads(out.read_text())
    assert content["labels"] == list(small_runs.LABELS)
    assert (content["head"], content["aggregate"]) == ("low", "max")
    (record,) = content["records"]
    assert record["file"] == str(path)
    of_windows = [window["scores"]["fast"] for window in record["windows"]]
    assert [window["start_s"] for window in record["windows"]] == [0.0, 0.4, 0.6]
    assert record["scores"]["low"]["fast"] == max(of_windows)


def test_reads_numeric_tables_in_microvolts(run, tmp_path):
    signal_mv = small_predictions.ecg_mv()
    np.save(tmp_path / "a.npy", 1000 * signal_mv[:, [1, 0, *range(6, 12)]])
    leads = "--leads=II,I,V1,V2,V3,V4,V5,V6"
    status, lines, _ = run(tmp_path, leads, "--unit=uV", "--sampling_rate=500")
    assert status == 0
    notes = [line.strip() for line in lines if "note:" in line]
    assert notes == [
        "note: converted from uV to mV",
        "note: III, aVR, aVL, aVF computed from I and II",
    ]


def test_writes_plots_and_explanations(run, tmp_path, monkeypatch):
    monkeypatch.setattr(explanation, "LARGE_GAP", 0.0)
    a = small_predictions.write_record(tmp_path / "a" / "r", 500)
    b = small_predictions.write_record(tmp_path / "b" / "r", seed=1)
    (tmp_path / "b" / "bad.npy").write_bytes(b"")
    bad = tmp_path / "b" / "bad.npy"
    folder = tmp_path / "pictures" / "of today"
    labels = ("--explain=found", "--explain=fast", "--threshold=1")
    flags = (f"--plot={folder}", "--sampling_rate=500", *labels)
    status, lines, _ = run(a, bad, b, *flags)
    assert status == 1
    assert lines[0].endswith(f" -> {folder}")
    names = ["a-r--fast.png", "a-r.png", "b-r--fast.png", "b-r.png"]
    assert sorted(path.name for path in folder.iterdir()) == names
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in folder.iterdir())
    warnings = [
        line for line in lines if line.startswith("warning: r: the explanation")
    ]
    assert len(warnings) == 2
    assert all(" of fast sums to " in line for line in warnings)
    assert lines[-1] == f"plots: {folder}"


def test_all_plots_of_a_record_show_the_same_window(run, tmp_path):
    path = small_predictions.write_record(tmp_path / "r", 800)
    explain = [f"--explain={label}" for label in small_runs.LABELS]
    flags = (f"--plot={tmp_path / 'p'}", "--plot_format=svg", *explain)
    assert run(path, *flags)[0] == 0
    drawn = sorted((tmp_path / "p").iterdir())
    assert len(drawn) == 1 + len(small_runs.LABELS)
    # Matplotlib draws text as shapes, with the text in a comment.
    shown = [re.findall("drawn: window . of 4", path.read_text()) for path in drawn]
    assert shown == [shown[0]] * len(drawn) and len(shown[0]) == 1


def test_a_failed_plot_does_not_lose_scores(run, tmp_path):
    paths = [small_predictions.write_record(tmp_path / name) for name in "ab"]
    (tmp_path / "p" / "a.png").mkdir(parents=True)  # where the picture would go
    out = tmp_path / "scores.csv"
    status, lines, _ = run(*paths, f"--plot={tmp_path / 'p'}", f"--out={out}")
    assert status == 1
    (warning,) = [line for line in lines if line.startswith("warning: ")]
    assert warning.startswith(f"warning: {paths[0]}: could not be drawn: ")
    assert (tmp_path / "p" / "b.png").is_file()
    with out.open(newline="") as file:
        assert [row["error"] for row in csv.DictReader(file)] == ["", ""]


def test_a_folder_for_out_and_a_file_for_plots_are_named(run, tmp_path):
    path = small_predictions.write_record(tmp_path / "a")
    (tmp_path / "x.csv").mkdir()
    _, lines, error = run(path, f"--out={tmp_path / 'x.csv'}")
    assert lines == [] and "x.csv: this is a folder. Name a file" in error
    _, lines, error = run(path, f"--plot={path}")
    assert lines == [] and "a.hea: this is a file. Name a folder for the plots" in error


def test_out_cannot_overwrite_a_record(run, tmp_path):
    path = tmp_path / "a.csv"
    np.savetxt(path, small_predictions.ecg_mv(), delimiter=",")
    before = path.read_bytes()
    out = tmp_path / ".." / tmp_path.name / "a.csv"
    status, lines, error = run(tmp_path, f"--out={out}", "--sampling_rate=500")
    assert (status, lines) == (2, [])
    assert error == f"error: {out} is one of the records. Choose another --out.\n"
    assert path.read_bytes() == before


def test_every_prediction_is_explained_in_the_requested_format(run, tmp_path):
    path = small_predictions.write_record(tmp_path / "r")
    explain = ("--explain=found", "--explain=loud", "--threshold=0")
    assert run(path, f"--plot={tmp_path / 'p'}", "--plot_format=pdf", *explain)[0] == 0
    endings = ["--fast.pdf", "--loud.pdf", "--slow.pdf", ".pdf"]
    names = [f"r{ending}" for ending in endings]
    assert sorted(path.name for path in (tmp_path / "p").iterdir()) == names


def test_exit_status_if_no_record_can_be_scored(run, tmp_path):
    np.save(tmp_path / "a.npy", small_predictions.ecg_mv())
    status, lines, _ = run(tmp_path)
    assert status == 2
    assert (
        "no rate: a.npy does not store its sampling rate. Pass it with --sampling_rate"
        in lines[3]
    )


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--out=x.xlsx"], "x.xlsx: expected a file ending in .csv or .json"),
        (["--unit=mm"], "wrong unit: expected mV, uV, V, found 'mm'"),
        (["--leads=I,I"], "doubled lead: I"),
        (["--threshold=2"], "--threshold: expected a number from 0 to 1, got 2"),
        (["--top=0"], "--top: expected 1 or more, got 0"),
        (["--explain=fast"], "--explain is for plots. Pass a folder for them with"),
        (["--plot_format=svg"], "--plot_format is for plots. Pass a folder for them"),
        (["--plot=p", "--explain=AF"], "no label 'AF'. Expected one of slow, fast, lo"),
    ],
)
def test_invalid_flags_are_rejected_before_any_work(
    run, tmp_path, monkeypatch, flags, message
):
    path = small_predictions.write_record(tmp_path / "a")
    monkeypatch.chdir(tmp_path)
    status, lines, error = run(path, *flags)
    assert not (tmp_path / "p").exists()
    assert (status, lines) == (2, [])
    assert error.startswith("error: ") and message in error


@pytest.mark.parametrize("flag", ["--data", "--shards"])
def test_shards_are_named_by_the_new_and_the_old_flag(run, workdir, tmp_path, flag):
    path = small_predictions.write_record(tmp_path / "a")
    status, lines, error = run(path, f"{flag}={workdir.parent / 'shards'}")
    assert (status, lines) == (2, [])
    assert "this run knows the data set that it was trained on" in error


def test_a_missing_file_is_skipped(run, tmp_path):
    path = small_predictions.write_record(tmp_path / "a")
    status, lines, _ = run(tmp_path / "nowhere.csv", path)
    assert status == 1
    assert any(
        line.endswith("nowhere.csv: missing file: nowhere.csv") for line in lines
    )


def test_exit_status_if_no_file_exists(run, tmp_path):
    status, lines, error = run(tmp_path / "nowhere")
    assert (status, lines) == (2, [])
    assert error.endswith("nowhere: no such record or folder exists\n")


def test_a_folder_without_a_run_raises(tmp_path, capsys):
    path = small_predictions.write_record(tmp_path / "a")
    assert predict.main([f"--run={tmp_path}", str(path)]) == 2
    assert "this folder has no checkpoints" in capsys.readouterr().err


def test_help_explains_every_flag(capsys):
    with pytest.raises(SystemExit) as left:
        predict.main(["--help"])
    assert left.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    for flag in "run sampling_rate unit leads aggregate windows head".split():
        assert f"--{flag}" in text
    for flag in "threshold data top out plot explain plot_format".split():
        assert f"--{flag}" in text
    assert "Exit status" in text
