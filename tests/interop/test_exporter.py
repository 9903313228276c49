import copy
import dataclasses

import numpy as np
import pytest

from mrm_jax.data import shards
from mrm_jax.interop import exporter, npz_format, verify
from mrm_jax.training import metadata
from tests.helpers import small_runs

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def data(shards_dir):
    return shards.load(shards_dir)


@pytest.fixture(scope="module")
def records(data):
    """Two, so that each call is of one record and there is little to compile."""
    found = verify.of_shards(data)
    return dataclasses.replace(
        found, names=found.names[:2], signals_uv=found.signals_uv[:2]
    )


def test_a_file_with_different_scores_is_discarded(run, records, tmp_path, monkeypatch):
    class WrongScores:
        SUFFIX = npz_format.SUFFIX
        require = staticmethod(npz_format.require)
        load = staticmethod(npz_format.load)

        @staticmethod
        def write(path, network):
            said = network.metadata
            moved = said | {"mean_mv": said["mean_mv"] + 0.05}
            npz_format.write(path, dataclasses.replace(network, metadata=moved))

    monkeypatch.setitem(exporter.FORMATS, "npz", WrongScores)
    path = tmp_path / "model.npz"
    path.write_bytes(b"the one before")
    with pytest.raises(ValueError, match=r"scores_\w+ of R0\d9, \w+: the run gives"):
        exporter.export(run, "npz", path, records)
    assert path.read_bytes() == b"the one before"
    assert [file.name for file in tmp_path.iterdir()] == ["model.npz"]


def test_missing_metadata_raises(run, records, tmp_path, monkeypatch):
    class WithoutMetadata:
        SUFFIX = npz_format.SUFFIX
        require = staticmethod(npz_format.require)
        write = staticmethod(npz_format.write)

        @staticmethod
        def load(path):
            said, score = npz_format.load(path)
            return {**said, "labels": said["labels"][::-1]}, score

    monkeypatch.setitem(exporter.FORMATS, "npz", WithoutMetadata)
    with pytest.raises(ValueError, match="metadata read back differ"):
        exporter.export(run, "npz", tmp_path / "model.npz", records)
    assert not list(tmp_path.iterdir())


def test_a_suffix_of_another_format_raises(run, records, tmp_path):
    with pytest.raises(ValueError, match=r"ends in .stablehlo.zip"):
        exporter.export(run, "stablehlo", tmp_path / "a.onnx", records)


def test_a_run_in_bfloat16_is_exported_in_float32(run, records, tmp_path):
    saved = copy.deepcopy(run.metadata)
    saved["config"]["model"]["compute_dtype"] = "bfloat16"
    rounded = dataclasses.replace(run, metadata=saved)
    path = tmp_path / "model.npz"
    result = exporter.export(rounded, "npz", path, records)
    assert result.difference < 1e-6
    assert 1e-5 < result.rounding < 0.1
    _, score = npz_format.load(path)
    own = verify.own_scores(run, run.model, records)["scores_high"]
    found = score(records.signals_mv)["scores_high"]
    np.testing.assert_allclose(found, own, atol=1e-6, rtol=0)


def without_data(run):
    unknown = run.metadata | {"data": metadata.describe_labels(run.labels)}
    return dataclasses.replace(run, metadata=unknown)


def test_imported_weights_take_normalisation_statistics_from_shards(run, data):
    with pytest.raises(ValueError, match="statistics are unknown.* --data"):
        exporter.with_data(without_data(run), None)
    found = exporter.with_data(without_data(run), data)
    assert found.data == run.data
    assert found.model == run.model


def test_records_of_another_kind_raise(run, data):
    faster = dataclasses.replace(data.manifest, sampling_rate=500)
    with pytest.raises(ValueError, match="sampling_rate 100 .* found 500"):
        exporter.with_data(run, shards.Shards(data.folder, faster))


def test_shards_without_test_records_raise(tmp_path):
    folder = small_runs.write_shards(tmp_path / "shards")
    data = shards.load(folder)
    data.folds[:] = 1
    with pytest.raises(ValueError, match="no records in the test folds"):
        verify.of_shards(data)
