"""Tests of convert on files that PyTorch writes and reads."""

import contextlib
import copy
import shutil
from pathlib import Path

import numpy as np
import pytest

import mrm_jax
from mrm_jax import convert, cross_validate, export
from tests import conftest
from tests.parity import cases, jax_side

torch = pytest.importorskip(
    "torch", reason="PyTorch's files need torch: make parity", exc_type=ImportError
)

from mrm_jax.data import shards  # noqa: E402
from mrm_jax.interop import torch_model, torch_weights  # noqa: E402
from mrm_jax.runs import evaluation, experiment, trained_run  # noqa: E402
from mrm_jax.training import checkpoints, metrics_log, train_state  # noqa: E402
from tests.helpers import small_runs  # noqa: E402
from tests.parity import torch_losses, torch_side  # noqa: E402

pytestmark = pytest.mark.torch
CASE = cases.Case(num_labels=3, num_samples=small_runs.NUM_SAMPLES, width=4)


@pytest.fixture(scope="module", autouse=True)
def in_project_root():
    with contextlib.chdir(conftest.ROOT):
        yield


@pytest.fixture(scope="module")
def shards_dir(tmp_path_factory):
    return small_runs.write_shards(tmp_path_factory.mktemp("data") / "shards")


@pytest.fixture(scope="module")
def trained():
    """A network and its optimiser after three updates."""
    net = torch_side.network(CASE, cases.state_dict(CASE), torch.float32)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    update(net, optimizer, 3)
    return net, optimizer


def update(net, optimizer, times):
    """Returns the losses of some updates on the case's signals."""
    signal, labels = (torch.tensor(a, dtype=torch.float32) for a in cases.inputs(CASE))
    net.train()
    losses = []
    for _ in range(times):
        optimizer.zero_grad()
        loss, _ = torch_losses.loss_terms(*net(signal), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.fixture(scope="module")
def pristine(tmp_path_factory, trained):
    """Checkpoint files of every form, and the file of labels."""
    folder = tmp_path_factory.mktemp("files")
    net, optimizer = trained
    wrapped = {
        "model_state_dict": net.state_dict(),
        "global_epoch": 7,
        "optimizer_state_dict": optimizer.state_dict(),
        "best_auc": np.float64(0.9),  # as scikit-learn returns it
    }
    parallel = {f"module.{name}": t for name, t in net.state_dict().items()}
    torch.save(wrapped, folder / "wrapped.pth")
    torch.save(net.state_dict(), folder / "bare.pth")
    torch.save(parallel, folder / "parallel.pth")
    torch.save(wrapped, folder / "old.pth", _use_new_zipfile_serialization=False)
    torch.save(net, folder / "whole.pth")
    (folder / "text.pth").write_text("no checkpoint")
    (folder / "labels.txt").write_text("\n".join(small_runs.LABELS) + "\n")
    return folder


@pytest.fixture
def files(tmp_path, pristine):
    """A copy of the files."""
    return shutil.copytree(pristine, tmp_path / "files")


def run(files, name, *more, labels="labels.txt"):
    given = [f"--torch={files / name}", f"--labels={files / labels}"]
    return convert.main([*given, f"--run={files / 'run'}", *more])


@pytest.fixture(scope="module")
def pristine_run(pristine, shards_dir):
    """The folder of a run that was imported with its data."""
    more = f"--data={shards_dir}", "--config.model.eca_conv=false"
    assert run(pristine, "wrapped.pth", *more) == 0
    return (pristine / "run").rename(pristine.parent / "imported")


@pytest.fixture
def imported(files, pristine_run):
    """The same folder in the folder of the files."""
    return shutil.copytree(pristine_run, files / "run")


@pytest.mark.parametrize("name", ["wrapped.pth", "bare.pth", "parallel.pth", "old.pth"])
def test_every_checkpoint_format_is_imported_with_the_same_scores(
    files, name, trained, shards_dir
):
    assert run(files, name) == 0
    report = evaluation.evaluate_run(
        files / "run", evaluation.EvaluationConfig(data=str(shards_dir))
    )
    assert report["facts"]["label_set"] == "waves"
    with np.load(files / "run" / "scores.npz") as scores:
        ours = scores["high"]
    data = shards.load(shards_dir)
    label_set, test = data.label_set("waves"), data.split("waves", "test")
    signal = (data.signals_uv(test.rows) - label_set.mean_uv) / label_set.std_uv
    net = trained[0].eval()
    with torch.no_grad():
        logits, _ = net(torch.tensor(signal.swapaxes(1, 2), dtype=torch.float32))
    np.testing.assert_allclose(ours, torch.sigmoid(logits[0]).numpy(), rtol=1e-5)
    told_once = mrm_jax.load(files / "run")  # predicts without being told again
    assert told_once.run.data["std_uv"] == label_set.std_uv


def test_training_resumes_where_pytorch_stopped(files, trained):
    net = copy.deepcopy(trained[0])
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    optimizer.load_state_dict(copy.deepcopy(trained[1].state_dict()))
    expected = update(net, optimizer, 3)
    assert run(files, "wrapped.pth") == 0
    like = train_state.shapes(CASE.model())
    with checkpoints.open_existing(files / "run") as manager:
        state = checkpoints.restore(manager, manager.latest_step(), like)
    assert (int(state.step), manager.latest_step()) == (3, 7)
    found = jax_side.go_on(CASE, state, *cases.inputs(CASE), num_steps=3)
    np.testing.assert_allclose(found, expected, rtol=1e-3)


def test_the_optimisers_learning_rate_is_imported(files, capsys):
    content = torch.load(files / "wrapped.pth", weights_only=False)
    content["optimizer_state_dict"]["param_groups"][0]["lr"] = 5e-4
    torch.save(content, files / "slower.pth")
    assert run(files, "slower.pth") == 0
    assert "learning rate 0.0005" in capsys.readouterr().out
    with checkpoints.open_existing(files / "run") as manager:
        facts = checkpoints.read_metadata(manager, 7)
    assert facts["config"]["hparams"]["learning_rate"] == 5e-4


def test_without_adam_state_moments_start_at_zero(files):
    assert run(files, "wrapped.pth", "--without_adam") == 0
    like = train_state.shapes(CASE.model())
    with checkpoints.open_existing(files / "run") as manager:
        state = checkpoints.restore(manager, 7, like)
    assert (int(state.step), int(train_state.moments(state).count)) == (0, 0)


def test_an_imported_run_can_be_trained_further(files, shards_dir):
    changes = ["--config.num_epochs=8", "--config.batch_size=12"]
    assert run(files, "wrapped.pth", f"--data={shards_dir}", *changes) == 0
    config = small_runs.config(shards_dir, num_epochs=8)
    report = experiment.train_and_evaluate(config, files / "run")
    assert report["facts"]["epochs_trained"] == 8
    assert [line["epoch"] for line in metrics_log.read(files / "run")] == [8]


def test_exports_a_run_to_pytorch_with_its_optimiser(files, imported, trained):
    back = files / "sub" / "back.pth"
    assert convert.main([f"--to_torch={back}", f"--run={imported}"]) == 0
    content = torch.load(back, weights_only=True)
    assert content["global_epoch"] == 7
    net = torch_model.TorchMRMNet(3, width=4, dropout=0.0)
    net.load_state_dict(content["model_state_dict"])
    for name, tensor in trained[0].state_dict().items():
        if not name.endswith("num_batches_tracked"):
            assert torch.equal(net.state_dict()[name], tensor), name
    optimizer = torch.optim.Adam(net.parameters(), lr=1.0)
    optimizer.load_state_dict(content["optimizer_state_dict"])
    assert optimizer.param_groups[0]["lr"] == 1e-3
    ours, theirs = optimizer.state_dict()["state"], trained[1].state_dict()["state"]
    assert ours.keys() == theirs.keys()
    for number in theirs:
        for name in ("step", "exp_avg", "exp_avg_sq"):
            assert torch.equal(ours[number][name], theirs[number][name])


def test_a_run_in_one_file_has_no_optimiser_to_export(files, imported, capsys):
    one, back = files / "one.npz", files / "back.pth"
    flags = [f"--run={imported}", "--format=npz", f"--out={one}"]
    assert export.main(flags) == 0
    capsys.readouterr()
    assert convert.main([f"--to_torch={back}", f"--run={one}"]) == 0
    assert "values and no Adam state -> " in capsys.readouterr().out
    assert torch.load(back, weights_only=True)["optimizer_state_dict"] is None
    again = [f"--torch={back}", f"--run={files / 'again'}"]
    assert convert.main(again) == 0


def test_parameter_order_matches_pytorchs_modules(trained):
    names = [n for n in trained[0].state_dict() if not n.endswith("tracked")]
    weights = {name: trained[0].state_dict()[name].numpy() for name in names}
    back = torch_weights.to_torch(torch_weights.from_torch(weights))
    assert list(back) == names


def test_importing_with_data_gives_an_ordinary_run(imported):
    with checkpoints.open_existing(imported) as manager:
        facts = checkpoints.read_metadata(manager, 7)
    assert facts["data"]["label_set"] == "waves"
    assert facts["data"]["std_uv"] > 0
    assert facts["config"]["model"]["width"] == 4
    assert facts["command"].startswith("python -m mrm_jax.convert --torch")


@pytest.fixture(scope="module")
def pristine_back(pristine, pristine_run):
    """The file of a run."""
    path = pristine.parent / "back.pth"
    assert convert.main([f"--to_torch={path}", f"--run={pristine_run}"]) == 0
    return path


@pytest.fixture
def back(tmp_path, pristine_back, pristine_run):
    """A copy of a run's file, and the metadata of the run."""
    path = shutil.copy(pristine_back, tmp_path)
    return Path(path), trained_run.read(pristine_run).metadata


def convert_again(path, *more):
    """Converts a run's file to the run "again", without saying more of it."""
    folder = path.parent / "again"
    return convert.main([f"--torch={path}", f"--run={folder}", *more])


def test_a_run_converted_to_pytorch_and_back_knows_its_data(back):
    path, before = back
    assert convert_again(path) == 0
    after = trained_run.read(path.parent / "again")
    assert after.data == before["data"] and after.data["std_uv"] > 0
    assert after.metadata["config"] == before["config"]
    mrm_jax.load(path.parent / "again")  # needs labels, unit, leads, normalisation
    evaluation.evaluate_run(path.parent / "again")  # finds its shards


def test_other_labels_than_the_file_has_raise(back, capsys):
    path, _ = back
    (path.parent / "other.txt").write_text("a\nb\nc\n")
    assert convert_again(path, f"--labels={path.parent / 'other.txt'}") == 2
    assert "other.txt names other labels than" in capsys.readouterr().err


def test_labels_are_required_where_the_file_has_none(files, capsys):
    assert convert.main([f"--torch={files / 'bare.pth'}", f"--run={files / 'r'}"]) == 2
    assert "bare.pth does not name its labels" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("{torn", "is not the metadata of a run"),
        (7, "is not the metadata of a run"),
        ('{"config": {}, "data": {}, "command": ""}', "are invalid"),
    ],
)
def test_invalid_metadata_in_a_file_raise(back, said, message, capsys):
    path, _ = back
    content = torch.load(path, weights_only=True) | {"mrm_jax": said}
    torch.save(content, path)
    assert convert_again(path) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "more", "message"),
    [
        ("none.pth", [], "none.pth"),
        ("text.pth", [], "not a checkpoint of tensors"),
        ("whole.pth", [], r"torch.save(model.state_dict(), FILE)"),
        ("bare.pth", ["--config.seeed=1"], "no value --config.seeed"),
        ("bare.pth", ["--data=no/such"], "no/such/manifest.json was not found"),
    ],
)
def test_incompatible_input_raises_with_a_suggestion(
    files, name, more, message, capsys
):
    assert run(files, name, *more) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and message in error
    assert not (files / "run" / "checkpoints").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\nb\n", "3 outputs, but 2 labels"),
        ("a\nb\na\n", "a more than once"),
        ("\n", "found none"),
    ],
)
def test_wrong_labels_raise(files, text, message, capsys):
    (files / "wrong.txt").write_text(text)
    assert run(files, "bare.pth", labels="wrong.txt") == 2
    assert message in capsys.readouterr().err


def test_labels_ordered_differently_from_the_data_raise(files, shards_dir, capsys):
    (files / "turned.txt").write_text("\n".join(small_runs.LABELS[::-1]))
    more = f"--data={shards_dir}"
    assert run(files, "bare.pth", more, labels="turned.txt") == 2
    assert "waves has them in another order" in capsys.readouterr().err


@pytest.fixture
def limb_leads(files):
    """A file of a network with two leads, which does not name them."""
    net = torch_model.TorchMRMNet(3, width=4, leads=2)
    torch.save(net.state_dict(), files / "two.pth")
    return "two.pth", "--config.data.leads=('I', 'II')"


@pytest.mark.parametrize("with_data", [True, False])
def test_fewer_leads_have_to_be_named(files, limb_leads, shards_dir, capsys, with_data):
    name, leads = limb_leads
    data = [f"--data={shards_dir}"] if with_data else []
    assert run(files, name, *data) == 2
    assert "network has 2 leads as its input, not 12 (I, II" in capsys.readouterr().err
    assert not (files / "run").exists()
    assert run(files, name, *data, leads) == 0
    if not with_data:
        assert mrm_jax.load(files / "run", data=shards_dir).leads == ("I", "II")
    config = evaluation.EvaluationConfig(data=str(shards_dir))
    report = evaluation.evaluate_run(files / "run", config)
    assert report["facts"]["leads"] == ["I", "II"]
    assert mrm_jax.load(files / "run").leads == ("I", "II")


def test_a_run_is_not_overwritten(files, imported, capsys):
    assert run(files, "bare.pth") == 2
    assert "already holds a run" in capsys.readouterr().err


def test_without_data_evaluation_requires_data(files):
    assert run(files, "bare.pth") == 0
    with pytest.raises(ValueError, match="`--data SHARDS`"):
        evaluation.evaluate_run(files / "run")


def test_a_training_starts_from_a_pytorch_file(trained, shards_dir, tmp_path):
    from mrm_jax.interop import torch_source
    from mrm_jax.runs import transfer
    from mrm_jax.training import run_spec

    net, _ = trained
    path = tmp_path / "net.pth"
    torch.save({"model_state_dict": net.state_dict()}, path)
    config = small_runs.config(shards_dir)
    config.model.width = CASE.width
    config.init.run = str(path)
    spec = transfer.prepare(run_spec.build_run_spec(config), torch_source.read(path))
    stem = spec.initial["params"]["stem"]["conv1"]["kernel"]
    theirs = net.state_dict()["BaseBlock.conv_block1.0.weight"].numpy()
    np.testing.assert_array_equal(stem, theirs.transpose(2, 1, 0))
    # PyTorch's file names no labels, so its outputs are not taken for ours.
    assert spec.metadata["init"]["labels_taken"] == []
    assert spec.metadata["init"]["labels_new"] == list(small_runs.LABELS)


def test_a_cross_validation_starts_from_a_pytorch_file(
    files, shards_dir, tmp_path, monkeypatch
):
    started = []
    monkeypatch.setattr(
        experiment, "train_and_evaluate", lambda *given: started.append(given)
    )
    label_set = "--config.data.label_set=waves"
    flags = ["--config=demo", f"--data={shards_dir}", label_set, "--test_folds=3,4"]
    flags += [f"--init_from={files / 'bare.pth'}", f"--workdir={tmp_path}"]
    assert cross_validate.main(flags) == 0
    assert [folder.name for _, folder, *_ in started] == ["fold03", "fold04"]
    for *_, source in started:
        assert source.name == str(files / "bare.pth")
        assert source.variables["params"]["stem"]["conv1"]["kernel"].shape[0] == 11
