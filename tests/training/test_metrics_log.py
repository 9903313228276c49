import json
import math
import subprocess
import sys

import numpy as np
import pytest

from mrm_jax.training import metrics_log
from mrm_jax.training.tensorboard_events import event_pb2


def write_epochs(workdir, epochs, value=1.0):
    with metrics_log.MetricWriter(workdir, epochs[0]) as writer:
        for epoch in epochs:
            writer.write(epoch, {"train/loss": value, "val/macro_auc_mean": 0.5})


def read_events(workdir):
    """Returns the events of each file, decoded without tensorboardX's own reader."""
    files = []
    for path in sorted((workdir / "tensorboard").iterdir()):
        data, at, events = path.read_bytes(), 0, []
        while at < len(data):
            length = int.from_bytes(data[at : at + 8], "little")
            events.append(event_pb2.Event.FromString(data[at + 12 : at + 12 + length]))
            at += 8 + 4 + length + 4  # length, its checksum, data, their checksum
        files.append(events)
    return files


def test_one_line_of_json_per_epoch(tmp_path):
    write_epochs(tmp_path, [0, 1])
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [
        {"epoch": 0, "train/loss": 1.0, "val/macro_auc_mean": 0.5},
        {"epoch": 1, "train/loss": 1.0, "val/macro_auc_mean": 0.5},
    ]
    assert metrics_log.read(tmp_path) == [json.loads(line) for line in lines]


def test_a_line_is_readable_before_the_writer_is_closed(tmp_path):
    with metrics_log.MetricWriter(tmp_path, 0) as writer:
        writer.write(0, {"train/loss": 2.0})
        assert metrics_log.read(tmp_path) == [{"epoch": 0, "train/loss": 2.0}]


def test_array_scalars_are_written_as_numbers(tmp_path):
    with metrics_log.MetricWriter(tmp_path, 0) as writer:
        writer.write(0, {"a": np.float32(0.5), "b": np.array(2), "c": 3})
    assert metrics_log.read(tmp_path) == [{"epoch": 0, "a": 0.5, "b": 2.0, "c": 3.0}]


def test_nan_is_written_as_null_and_read_as_nan(tmp_path):
    with metrics_log.MetricWriter(tmp_path, 0) as writer:
        writer.write(0, {"a": math.nan, "b": math.inf})
    text = (tmp_path / "metrics.jsonl").read_text()
    assert text == '{"epoch": 0, "a": null, "b": null}\n'
    (entry,) = metrics_log.read(tmp_path)
    assert math.isnan(entry["a"]) and math.isnan(entry["b"])


def test_a_resumed_run_writes_every_epoch_once(tmp_path):
    write_epochs(tmp_path, [0, 1, 2, 3], value=1.0)
    write_epochs(tmp_path, [2, 3, 4], value=2.0)
    history = metrics_log.read(tmp_path)
    assert [line["epoch"] for line in history] == [0, 1, 2, 3, 4]
    assert [line["train/loss"] for line in history] == [1.0, 1.0, 2.0, 2.0, 2.0]


def test_a_torn_last_line_is_dropped(tmp_path):
    write_epochs(tmp_path, [0, 1])
    path = tmp_path / "metrics.jsonl"
    path.write_text(path.read_text()[:-10])
    assert [line["epoch"] for line in metrics_log.read(tmp_path)] == [0]
    write_epochs(tmp_path, [1])
    assert [line["epoch"] for line in metrics_log.read(tmp_path)] == [0, 1]


@pytest.mark.parametrize(
    "line",
    [
        *(b"{", b"[1]", b"7", b'{"train/loss": 1}', b"", b"\xff\xfe", b"[" * 100_000),
        *(b'{"epoch": "1"}', b'{"epoch": 1.5}', b'{"epoch": null}', b'{"epoch": true}'),
        *(b'{"epoch": 1, "a": "x"}', b'{"epoch": 1, "a": [1]}'),
        *(b'{"epoch": 1, "a": true}', b'{"epoch": 1, "a": {}}'),
        b'{"epoch": 1, "a": 1' + b"0" * 400 + b"}",
    ],
)
def test_an_invalid_line_raises_and_is_named(tmp_path, line):
    (tmp_path / "metrics.jsonl").write_bytes(b'{"epoch": 0}\n' + line + b"\n")
    with pytest.raises(ValueError, match=r"metrics.jsonl, line 2: expected a JSON obj"):
        metrics_log.read(tmp_path)


def test_a_line_without_a_metric_is_named(tmp_path):
    write_epochs(tmp_path, [0, 1])
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"epoch": 2, "train/loss": 1}\n')
    assert len(metrics_log.read(tmp_path, "train/loss")) == 3
    with pytest.raises(ValueError, match=r"jsonl, line 3: expected a value of val/mac"):
        metrics_log.read(tmp_path, "val/macro_auc_mean")


def test_a_missing_file_is_an_empty_history(tmp_path):
    assert metrics_log.read(tmp_path / "new") == []


def test_tensorboard_gets_every_scalar_and_purges_repeated_steps(tmp_path):
    write_epochs(tmp_path, [0, 1])
    write_epochs(tmp_path, [1])
    first, second = read_events(tmp_path)
    scalars = [(e.step, v.tag, v.simple_value) for e in first for v in e.summary.value]
    assert scalars == [
        (0, "train/loss", 1.0),
        (0, "val/macro_auc_mean", 0.5),
        (1, "train/loss", 1.0),
        (1, "val/macro_auc_mean", 0.5),
    ]
    starts = [e.step for e in second if e.session_log.status == e.session_log.START]
    assert starts == [1]


@pytest.mark.torch
def test_tensorboard_does_without_pytorch():
    pytest.importorskip("torch", reason="needs torch: make parity")
    code = (
        "import sys; from mrm_jax.training import tensorboard_events; "
        "print('torch' in sys.modules); import torch; print(torch.zeros(2).sum())"
    )
    printed = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert printed.split() == ["False", "tensor(0.)"]
