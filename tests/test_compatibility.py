"""Tests that files of version 0.1.0 are still read and give the same numbers.

tests/fixtures/written_by_0_1_0/README.md says what there is. Only commands and
`mrm_jax.load` are called, with the flags of 0.1.0, as by those who have such files.
"""

import csv
import json
import shutil
import tarfile
import zipfile
from pathlib import Path

import jax
import jax.export
import numpy as np
import pytest

import mrm_jax
from data_prep import synthetic
from mrm_jax import evaluate, export, predict, sweep, train

pytestmark = pytest.mark.slow

WRITTEN = Path(__file__).parent / "fixtures" / "written_by_0_1_0"
HEADS = ("high", "low", "mean")
CLOSE = {"rtol": 0, "atol": 1e-6}
FEWER = "--resamples=200"  # as there
# Sentences, which may be put in other words.
PROSE = {"source", "note", "rare_note", "holm_note", "license", "intended_use"}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A copy of all files of 0.1.0, in which the commands run."""
    shutil.copytree(WRITTEN, tmp_path, dirs_exist_ok=True)
    for path in tmp_path.glob("*.tar.xz"):
        with tarfile.open(path) as packed:
            packed.extractall(tmp_path, filter="data")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(autouse=True)
def keep_test_cache(monkeypatch):
    """Keeps the compilation cache, which commands would move for all later tests."""
    name = "jax_persistent_cache_min_compile_time_secs"
    before = getattr(jax.config, name)
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "as it is")
    yield
    jax.config.update(name, before)


@pytest.fixture
def texts():
    """The output of 0.1.0, by its command."""
    return read_json(WRITTEN / "expected.json")


@pytest.fixture
def arrays():
    """The scores of 0.1.0 and their inputs, by name."""
    with np.load(WRITTEN / "expected.npz") as file:
        return dict(file)


def read_json(path):
    return json.loads(Path(path).read_text())


def waves_signals_uv():
    """Returns the test records of the waves as they lie in the shards."""
    shards = Path("shards/waves")
    names = sorted(read_json(shards / "manifest.json")["files"])
    parts = [np.load(shards / name) for name in names if name.startswith("signals-")]
    return np.concatenate(parts)[np.load(shards / "folds.npy") == 10]


def contents(folder):
    """Returns the bytes of a folder's files, but for pictures and pages."""
    pictures = (".png", ".html")
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix not in pictures
    }


def check_close(found, expected, where="result"):
    """Compares expected entries; a later version may add others."""
    if isinstance(expected, dict):
        for name in expected.keys() - PROSE:
            assert name in found, f"{where}: {name}"
            check_close(found[name], expected[name], f"{where}, {name}")
    elif isinstance(expected, list):
        assert len(found) == len(expected), where
        for place, (one, value) in enumerate(zip(found, expected, strict=True)):
            check_close(one, value, f"{where}, {place}")
    elif isinstance(expected, float):
        # Temperatures near the best one are nearly as good: rounding moves it.
        # Processors with and without AVX-512 round differently: 1.3e-6 in a norm.
        rel = 1e-3 if where.endswith("temperature") else 1e-5
        assert found == pytest.approx(expected, rel=rel, abs=1e-6), where
    else:
        assert found == expected, where


def check_printed(text, metrics):
    """Looks for the numbers of each head in the table that a command prints."""
    for head in HEADS:
        for name in ("macro_auc", "macro_ap", "macro_f1", "accuracy", "fmax"):
            assert f" {metrics[head][name]:.3f} " in text, (head, name)


def check_report(folder, **splits):
    """Compares the metrics of splits in report.json, and the last one's beside it."""
    report = read_json(folder / "report.json")
    for split, expected in splits.items():
        check_close(report[split], expected, split)
    with (folder / "metrics.csv").open(newline="") as file:
        rows = {(row["metric"], row["head"]): row for row in csv.DictReader(file)}
    for head in HEADS:
        auc = float(rows["macro_auc", head]["value"])
        assert auc == pytest.approx(expected[head]["macro_auc"], abs=1e-6)


def check_scores(path, names, **heads):
    """Compares scores.npz."""
    with np.load(path) as found:
        assert found["names"].tolist() == names.tolist()
        for head, expected in heads.items():
            np.testing.assert_allclose(found[head], expected, **CLOSE)


def test_records_get_the_same_scores_and_predictions(texts, arrays):
    Path("records").mkdir()
    for name, signal_uv in zip(arrays["waves/names"], waves_signals_uv(), strict=True):
        np.save(f"records/{name}.npy", signal_uv)
    flags = ["--sampling_rate=100", "--unit=uV", "--out=scores.json"]
    assert predict.main(["--workdir=runs/waves", "records", *flags]) == 0
    found = read_json("scores.json")
    assert found["epoch"] == texts["waves"]["epoch"] == 1  # the best, not the newest
    check_close(found["thresholds"], texts["waves"]["thresholds"]["mean"])
    records = {record["record"]: record for record in found["records"]}
    assert list(records) == arrays["waves/names"].tolist()
    for head in HEADS:
        scores = [
            [record["scores"][head][label] for label in found["labels"]]
            for record in records.values()
        ]
        np.testing.assert_allclose(scores, arrays[f"waves/{head}"], **CLOSE)
    said = {name: record["found"] for name, record in records.items()}
    assert said == texts["waves"]["found"]


def test_a_run_loads_in_python(texts, arrays):
    model = mrm_jax.load("runs/waves", head="mean")
    check_close(model.thresholds, texts["waves"]["thresholds"]["mean"])
    # Of another rate and of three windows.
    result = model.predict(arrays["elsewhere/signal_mv"], sampling_rate=500)
    scores = [result[label] for label in model.labels]
    np.testing.assert_allclose(scores, arrays["elsewhere/mean"], **CLOSE)


def test_a_run_can_be_evaluated_again(texts, arrays, capsys):
    workdir = Path("runs/waves")
    saved = read_json(workdir / "thresholds.json")
    assert evaluate.main(["--workdir", str(workdir)]) == 0
    expected = texts["waves"]
    check_report(workdir, val=expected["val"], test=expected["test"])
    check_printed(capsys.readouterr().out, expected["test"])
    check_close(read_json(workdir / "thresholds.json"), saved)
    scores = {head: arrays[f"waves/{head}"] for head in ("high", "low")}
    check_scores(workdir / "scores.npz", arrays["waves/names"], **scores)


def test_a_run_can_be_evaluated_on_other_data(texts):
    folder = Path("runs/waves/evaluations/test-waves-1")
    before = read_json(folder / "report.json")
    with np.load(folder / "scores.npz") as scores:
        scores = dict(scores)
    flags = ["--data=shards/other_waves", FEWER]
    assert evaluate.main(["--workdir=runs/waves", *flags]) == 0
    check_report(folder, test=texts["other waves"]["test"])
    found = read_json(folder / "report.json")
    for part in ("intervals", "labels", "calibration"):
        check_close(found[part], before[part], part)
    names = scores["names"]
    check_scores(folder / "scores.npz", names, high=scores["high"], low=scores["low"])


def test_comparison_reuses_the_scores_of_reports(texts):
    runs = ["--workdir=runs/waves", "--compare=sweeps/waves/best"]
    assert evaluate.main([*runs, FEWER, "--out=compared"]) == 0
    check_close(read_json("compared/comparison.json"), texts["compared"])


def test_a_finished_run_is_recognised(texts, capsys):
    workdir = Path("runs/waves")
    before = contents(workdir)
    assert (
        train.main(["--config=waves.py", "--config.seed=14", f"--workdir={workdir}"])
        == 0
    )
    check_printed(capsys.readouterr().out, texts["waves"]["test"])
    assert contents(workdir) == before | {".lock": b""}


def test_an_unfinished_run_resumes_with_the_same_results(texts, arrays, capsys):
    workdir, expected = Path("runs/left"), texts["resumed"]
    assert (
        train.main(["--config=waves.py", "--config.seed=3", f"--workdir={workdir}"])
        == 0
    )
    check_printed(capsys.readouterr().out, expected["test"])
    lines = (workdir / "metrics.jsonl").read_text().splitlines()
    check_close([json.loads(line) for line in lines], expected["history"])
    check_report(workdir, val=expected["val"], test=expected["test"])
    assert read_json(workdir / "report.json")["facts"]["epoch"] == expected["epoch"]
    thresholds = read_json(workdir / "thresholds.json")["heads"]
    check_close(thresholds, expected["thresholds"])
    scores = {head: arrays[f"resumed/{head}"] for head in ("high", "low")}
    check_scores(workdir / "scores.npz", arrays["resumed/names"], **scores)


def test_a_build_of_shards_is_recognised():
    shards = Path("shards/ecgs")
    before = contents(shards)
    flags = ["--records=10", "--raw_dir=raw/ecgs", f"--out_dir={shards}", "--jobs=1"]
    assert synthetic.main(flags) == 0
    assert contents(shards) == before


def test_a_finished_sweep_is_recognised(texts):
    pytest.importorskip("optuna")
    workdir = Path("sweeps/waves")
    before = contents(workdir / "trials")
    (workdir / "best").unlink()
    (workdir / "sweep.json").unlink()
    flags = "--trials=2 --population=2 --seeds=0 --sampler=grid --pruner=none"
    flags = [
        "--config=sweep.py",
        f"--workdir={workdir}",
        "--worker=one",
        *flags.split(),
    ]
    assert sweep.main(flags) == 0
    check_close(read_json(workdir / "sweep.json"), texts["sweep"])
    assert (
        workdir / "best"
    ).resolve().name == f"{texts['sweep']['best']['setting']:04d}"
    assert contents(workdir / "trials") == before


def test_exported_arrays_equal_those_exported_now():
    assert export.main(["--workdir=runs/waves", "--format=npz", "--out=now.npz"]) == 0
    with np.load("runs/waves/model.npz") as before, np.load("now.npz") as now:
        assert set(now) == set(before)
        metadata = json.loads(str(before["metadata"]))
        assert metadata["exported_by"]["mrm_jax"] == "0.1.0"
        del metadata["exported_by"], metadata["software"]
        check_close(json.loads(str(now["metadata"])), metadata)
        for name in set(before) - {"metadata"}:
            np.testing.assert_array_equal(now[name], before[name], err_msg=name)


@pytest.fixture
def signal_mv():
    """The input of an exported file: the test records of the waves."""
    return waves_signals_uv().astype(np.float32) / 1000


def check_exported(found, arrays):
    for head in HEADS:
        scores = np.asarray(found[f"scores_{head}"])
        np.testing.assert_allclose(scores, arrays[f"waves/{head}"], **CLOSE)


def test_exported_onnx_gives_the_same_scores(signal_mv, arrays):
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession("runs/waves/model.onnx")
    names = [output.name for output in session.get_outputs()]
    scores = session.run(names, {"signal_mv": signal_mv})
    check_exported(dict(zip(names, scores, strict=True)), arrays)


def test_exported_stablehlo_gives_the_same_scores(signal_mv, arrays):
    with zipfile.ZipFile("runs/waves/model.stablehlo.zip") as file:
        program = bytearray(file.read("scores.jax_export"))
    check_exported(jax.export.deserialize(program).call(signal_mv), arrays)


@pytest.mark.torch
def test_exported_torch_gives_the_same_scores(signal_mv, arrays):
    torch = pytest.importorskip("torch", reason="make parity", exc_type=ImportError)
    program = torch.export.load("runs/waves/model.pt2").module()
    with torch.no_grad():
        check_exported(program(torch.from_numpy(signal_mv)), arrays)
