import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import mrm_jax
from data_prep import shard_writer
from mrm_jax.data import files, preprocessing, recording, shards, wfdb_files
from mrm_jax.interop import conversion
from mrm_jax.runs import trained_run
from mrm_jax.runtime import devices
from mrm_jax.training import input_pipeline, metadata, scoring
from tests.helpers import small_predictions, small_runs, small_states

pytestmark = pytest.mark.slow

LEADS = recording.lead_names.LEADS


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    return small_predictions.write_run(tmp_path_factory.mktemp("predictor"))


@pytest.fixture(scope="module")
def model(workdir):
    return mrm_jax.load(workdir)


def recorded(num_samples, seed=0, name="r"):
    signal_mv = small_predictions.ecg_mv(num_samples, seed)
    return recording.Recording(name, signal_mv, LEADS, small_predictions.SOURCE_RATE)


def evaluated(model, paths, folder):
    """Returns the scores of raw records by way of shards and the evaluation."""
    folder.mkdir()
    writer = shard_writer.Writer(folder, small_runs.NUM_SAMPLES, 2**14)
    for path in paths:
        signal_mv, rate = wfdb_files.read_record(path)
        rule = preprocessing.STRETCH_OR_CUT
        size = small_runs.NUM_SAMPLES
        writer.add(preprocessing.prepare_uv(signal_mv, rate, 100, size, rule))
    count = len(paths)
    matrix = np.ones((count, len(small_runs.LABELS)), np.uint8)
    table = shard_writer.LabelTable(small_runs.LABELS, small_runs.LABELS, matrix)
    facts = {
        "data_set": "raw",
        "data_set_version": "1",
        "sampling_rate": 100,
        "length_policy": preprocessing.STRETCH_OR_CUT,
        "sources": {},
    }
    names = [path.stem for path in paths]
    writer.finish(names, np.full(count, 10), {"raw": table}, [], facts)
    data = shards.load(folder)
    run = model.run.data
    moments = dataclasses.replace(
        data.label_set("raw"), mean_uv=run["mean_uv"], std_uv=run["std_uv"]
    )
    # Streamed in batches of the predictor's size: the same program, compiled once.
    loader = input_pipeline.SplitLoader(data, data.split("raw", "test"), moments, 0)
    state = devices.replicate(model.run.state)
    return scoring.predict(model.run.model, state, loader, batch_size=32)


def test_describes_the_model_and_its_input(model, workdir):
    assert model.labels == small_runs.LABELS
    assert model.descriptions == ("slow wave", "fast wave", "loud wave")
    assert model.leads == LEADS
    assert (model.sampling_rate, model.duration_s) == (100, 0.4)
    assert model.thresholds == dict.fromkeys(small_runs.LABELS, 0.5)
    assert repr(model).startswith(f"<Predictor {workdir}, epoch 7: 3 labels, ")


def test_scores_equal_those_of_the_evaluation(model, tmp_path):
    lengths = (200, 203, 260, 1000, 200)
    paths = [
        small_predictions.write_record(tmp_path / f"r{seed}", length, seed)
        for seed, length in enumerate(lengths)
    ]
    expected = evaluated(model, paths, tmp_path / "shards")
    found = list(model.predict_files(paths, aggregate="first"))
    for head in ("high", "low", "mean"):
        scores = [list(one.scores_of(head).values()) for one in found]
        np.testing.assert_array_equal(scores, expected.heads[head])


def test_an_array_and_its_file_get_the_same_scores(model, tmp_path):
    path = small_predictions.write_record(tmp_path / "r", 500)
    (of_file,) = model.predict_files([path])
    of_array = model.predict(small_predictions.ecg_mv(500), sampling_rate=500)
    assert of_array.scores == of_file.scores
    assert of_file.name == "r"
    assert of_file.source == path


def test_leads_are_reordered(model):
    signal_mv = small_predictions.ecg_mv()
    order = np.random.default_rng(0).permutation(12)
    names = [LEADS[place].lower() for place in order]
    shuffled = model.predict(signal_mv[:, order], 500, leads=names)
    assert shuffled.scores == model.predict(signal_mv, 500).scores


def test_the_columns_of_a_data_frame_name_its_leads(model):
    signal_mv = small_predictions.ecg_mv()
    expected = model.predict(signal_mv, 500)
    frame = pd.DataFrame(signal_mv, columns=LEADS)
    frame.insert(0, "time", np.arange(len(frame)) / 500)
    for ordered in (frame, frame[frame.columns[::-1]]):
        assert dict(model.predict(ordered, 500)) == dict(expected)
    assert dict(model.predict(pd.DataFrame(signal_mv), 500)) == dict(expected)
    wrong = pd.DataFrame(signal_mv, columns=[f"x{lead}" for lead in LEADS])
    with pytest.raises(ValueError, match="^missing lead: no I, .* found XI, "):
        model.predict(wrong, 500)
    assert dict(model.predict(wrong, 500, LEADS)) == dict(expected)


@pytest.mark.parametrize("path", ["r.npy", Path("r.npy")])
def test_one_path_is_not_taken_for_several(model, path):
    for call in (model.predict_files, files.find):
        with pytest.raises(ValueError, match=r"expected a list, .* Pass \['r.npy'\]"):
            list(call(path))


def test_missing_limb_leads_are_computed_and_noted(model):
    signal_mv = small_predictions.ecg_mv()
    kept = [0, 1, *range(6, 12)]
    names = [LEADS[place] for place in kept]
    found = model.predict(signal_mv[:, kept], 500, leads=names)
    assert found.notes == ("III, aVR, aVL, aVF computed from I and II",)
    assert found.scores == pytest.approx(model.predict(signal_mv, 500).scores, abs=1e-3)


def test_windows_of_a_long_record_are_averaged(model):
    signal_mv = small_predictions.ecg_mv(500)
    mean, top, first = (
        model.predict(signal_mv, 500, aggregate=name)
        for name in ("mean", "max", "first")
    )
    assert mean.window_starts_s == (0.0, 0.4, 0.6)
    of_windows = mean.window_scores["mean"]
    assert list(mean.scores.values()) == pytest.approx(of_windows.mean(axis=0))
    assert list(top.scores.values()) == pytest.approx(of_windows.max(axis=0))
    assert list(first.scores.values()) == pytest.approx(of_windows[0])
    assert first.window_starts_s == (0.0,)


def test_predictions_keep_their_order_until_a_record_raises(model):
    given = [recorded(200 * (seed % 3 + 1), seed, f"r{seed}") for seed in range(40)]
    found = list(model.predict_many(iter(given)))
    assert [one.name for one in found] == [one.name for one in given]
    given[35].signal_mv[3, 3] = np.nan
    before = []
    with pytest.raises(ValueError, match="^missing samples: 1 "):
        before.extend(one.name for one in model.predict_many(given))
    assert before == [one.name for one in given[:35]]


def test_skipped_files_have_reasons(model, tmp_path):
    good = small_predictions.write_record(tmp_path / "a")
    np.save(tmp_path / "b.npy", small_predictions.ecg_mv())
    form = files.TableForm(sampling_rate=500)
    paths = [tmp_path / "none", good, tmp_path / "b.npy", tmp_path / "b.npy"]
    missing, of_wfdb, of_npy, _ = model.predict_files(paths, form)
    assert str(missing).startswith("missing file: none.hea")
    assert of_npy.scores == of_wfdb.scores


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"signal_mv": np.zeros((12, 200))}, r"^wrong shape: .*Transpose it"),
        ({"signal_mv": np.zeros((200, 12))}, "^flat lead: "),
        ({"sampling_rate": 0.5}, "^wrong rate: "),
        ({"sampling_rate": None}, "^wrong rate: .* found None"),
        ({"leads": "I,II"}, "^leads: expected a sequence of names"),
        ({"leads": LEADS[:-1]}, "^wrong shape: "),
        ({"leads": [*LEADS[:-1], "V7"]}, "^missing lead: no V6"),
        (
            {"signal_mv": np.ma.masked_greater(small_predictions.ecg_mv(), 0.3)},
            "^missing samples: ",
        ),
        ({"signal_mv": 1000 * small_predictions.ecg_mv()}, "^wrong unit: "),
        ({"aggregate": "median"}, "aggregate: expected one of mean, max, first"),
    ],
)
def test_invalid_arrays_raise(model, arguments, message):
    fit = {"signal_mv": small_predictions.ecg_mv(), "sampling_rate": 500}
    with pytest.raises(ValueError, match=message):
        model.predict(**fit | arguments)


def test_accepts_another_threshold_and_branch(workdir):
    model = mrm_jax.load(workdir, head="low", threshold=0.0)
    found = model.predict(small_predictions.ecg_mv(), 500)
    assert found.scores == found.scores_of("low")
    assert set(found.found) == set(model.labels)
    with pytest.raises(ValueError, match="head: expected one of mean, high, low"):
        mrm_jax.load(workdir, head="both")
    for threshold in (1.5, -0.1, np.nan):
        with pytest.raises(ValueError, match="threshold: expected a number from 0 to"):
            mrm_jax.load(workdir, threshold=threshold)


def test_imported_weights_need_a_data_spec(workdir, tmp_path):
    state = small_states.create()
    run = trained_run.read(workdir)
    unknown = run.metadata | {"data": metadata.describe_labels(run.labels)}
    imported = tmp_path / "imported"
    conversion.write_run(imported, state, unknown, epoch=1)
    with pytest.raises(
        ValueError, match=r"mean_uv, std_uv are unknown\. .*`--data SHARDS`"
    ):
        mrm_jax.load(imported)
    shards_dir = workdir.parent / "shards"
    with_data = mrm_jax.load(imported, data=shards_dir)
    signal_mv = small_predictions.ecg_mv()
    expected = mrm_jax.load(workdir).predict(signal_mv, 500)
    assert with_data.predict(signal_mv, 500).scores == expected.scores
    with pytest.raises(ValueError, match="knows the data set that it was trained on"):
        mrm_jax.load(workdir, data=shards_dir)


def test_a_folder_without_a_run_raises(tmp_path):
    with pytest.raises(ValueError, match="this folder has no checkpoints"):
        mrm_jax.load(tmp_path)


def test_importing_the_package_does_not_import_jax():
    code = (
        "import sys, mrm_jax, data_prep.readers\n"
        "assert 'jax' not in sys.modules\n"
        "assert callable(mrm_jax.load) and 'jax' in sys.modules\n"
        "heavy = {'matplotlib', 'torch', 'tensorboardX', 'onnx', 'wfdb', 'pandas'}\n"
        "import mrm_jax.predict\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_the_package_exports_no_other_names():
    with pytest.raises(AttributeError, match="module 'mrm_jax' has no attribute 'x'"):
        _ = mrm_jax.x


def test_scores_real_records(model, real_data):
    found = files.find([real_data / "cpsc2018", real_data / "ptbxl_subset/records500"])
    results = list(model.predict_files(found.records))
    assert len(results) == 55
    for one in results:
        assert not isinstance(one, ValueError), one
        assert one.notes == ()
        assert len(one.window_starts_s) == np.ceil(one.duration_s / model.duration_s)
