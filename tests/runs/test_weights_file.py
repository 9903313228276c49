import json

import numpy as np
import pytest

from mrm_jax.runs import weights_file

VARIABLES = {
    "params": {"stem": {"kernel": np.linspace(-1, 1, 7, dtype=np.float32)}},
    "batch_stats": {"stem": {"var": np.array([1e6, 1e-9], np.float32)}},
}
METADATA = {"labels": ["AF"], "run": {"epoch": 3}}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.npz"


def test_arrays_and_metadata_are_read_as_written(path):
    weights_file.write(path, VARIABLES, METADATA)
    variables, metadata = weights_file.read(path)
    assert metadata == weights_file.read_metadata(path) == METADATA
    for collection, leaf in (("params", "kernel"), ("batch_stats", "var")):
        expected = VARIABLES[collection]["stem"][leaf]
        np.testing.assert_array_equal(variables[collection]["stem"][leaf], expected)


def test_numpy_reads_the_file_without_this_package(path):
    weights_file.write(path, VARIABLES, METADATA)
    with np.load(path, allow_pickle=False) as file:
        assert json.loads(str(file["metadata"])) == METADATA
        assert file["params/stem/kernel"].dtype == np.float32


def test_float16_rounds_the_parameters_only(path):
    weights_file.write(path, VARIABLES, METADATA, weights_file.FLOAT16)
    with np.load(path, allow_pickle=False) as file:
        assert file["params/stem/kernel"].dtype == np.float16
    variables, _ = weights_file.read(path)
    kernel = VARIABLES["params"]["stem"]["kernel"]
    found = variables["params"]["stem"]["kernel"]
    assert found.dtype == np.float32 and not np.array_equal(found, kernel)
    np.testing.assert_allclose(found, kernel, rtol=2**-11)
    expected = VARIABLES["batch_stats"]["stem"]["var"]
    np.testing.assert_array_equal(variables["batch_stats"]["stem"]["var"], expected)


def test_a_parameter_beyond_float16_raises(path):
    large = {"params": {"stem": {"kernel": np.array([1.0, -7e4], np.float32)}}}
    with pytest.raises(ValueError, match=r"params/stem/kernel has a value of 7e\+04"):
        weights_file.write(path, large, METADATA, weights_file.FLOAT16)
    assert not path.exists()


def test_every_flipped_byte_of_an_array_is_noticed(path):
    weights_file.write(path, VARIABLES, METADATA)
    whole = path.read_bytes()
    start = whole.index(VARIABLES["params"]["stem"]["kernel"].tobytes())
    for place in range(start, start + 28):
        damaged = bytearray(whole)
        damaged[place] ^= 1
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="model.npz is damaged"):
            weights_file.read(path)


@pytest.mark.parametrize("content", [b"", b"text", b"PK\3\4 torn", b"\x93NUMPY"])
def test_other_files_raise(path, content):
    path.write_bytes(content)
    with pytest.raises(
        ValueError, match="was not written by `python -m mrm_jax.export"
    ):
        weights_file.read(path)


@pytest.mark.parametrize("metadata", [None, "[1]", "{torn"])
def test_archives_without_metadata_raise(path, metadata):
    arrays = {} if metadata is None else {"metadata": np.array(metadata)}
    np.savez(path, a=np.zeros(3), **arrays)
    with pytest.raises(ValueError, match="metadata|not written by"):
        weights_file.read(path)


def test_pickled_arrays_are_refused(path):
    np.savez(path, a=np.array([{}], object), metadata=np.array("{}"))
    with pytest.raises(ValueError, match="allow_pickle"):
        weights_file.read(path)


def test_a_pytorch_file_is_named(tmp_path):
    path = tmp_path / "weights.pth"
    path.touch()
    with pytest.raises(ValueError, match="convert --torch .*weights.pth --run RUN"):
        weights_file.read(path)


def test_a_missing_file_raises(path):
    with pytest.raises(OSError, match="model.npz"):
        weights_file.read(path)
