import dataclasses
import json

import pytest

from mrm_jax.data import manifest

LABEL_SET = manifest.LabelSet(
    labels=("b", "a"),
    descriptions=("the second", "the first"),
    mean_uv=-1.25,
    std_uv=200.5,
    records={"train": 3, "val": 1, "test": 1},
    label_counts={s: {"b": 1, "a": 0} for s in ("train", "val", "test")},
    has_first_label=False,
)
MANIFEST = manifest.Manifest(
    data_set="hand-made",
    data_set_version="1",
    sampling_rate=100,
    num_samples=1000,
    num_records=5,
    num_skipped=0,
    length_policy="exact",
    label_sets={"letters": LABEL_SET},
    sources={"table.csv": "0" * 64},
    files={"names.npy": "1" * 64},
)


def rewrite(folder, **changes):
    path = folder / manifest.MANIFEST
    fields = json.loads(path.read_text()) | changes
    path.write_text(json.dumps(fields))


def test_manifest_round_trip(tmp_path):
    manifest.write(MANIFEST, tmp_path)
    assert manifest.read(tmp_path) == MANIFEST
    assert manifest.read(str(tmp_path)) == MANIFEST


def test_label_order_is_preserved(tmp_path):
    manifest.write(MANIFEST, tmp_path)
    assert manifest.read(tmp_path).label_sets["letters"].labels == ("b", "a")


def test_a_missing_manifest_error_suggests_a_command(tmp_path):
    with pytest.raises(
        ValueError, match="manifest.json was not found. Build the shards first"
    ):
        manifest.read(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"), [("{", "not JSON"), ("[]", "format version 1, found None")]
)
def test_a_damaged_manifest_raises(tmp_path, text, message):
    (tmp_path / manifest.MANIFEST).write_text(text)
    with pytest.raises(ValueError, match=message):
        manifest.read(tmp_path)


def test_another_format_version_raises(tmp_path):
    manifest.write(dataclasses.replace(MANIFEST, format_version=2), tmp_path)
    with pytest.raises(ValueError, match="expected format version 1, found 2"):
        manifest.read(tmp_path)


def test_missing_and_unknown_fields_raise(tmp_path):
    manifest.write(MANIFEST, tmp_path)
    rewrite(tmp_path, colour="red")
    with pytest.raises(ValueError, match=r"unknown \['colour'\]"):
        manifest.read(tmp_path)
    manifest.write(MANIFEST, tmp_path)
    rewrite(tmp_path, label_sets={"letters": {"labels": ["b", "a"]}})
    with pytest.raises(ValueError, match=r"missing \['descriptions', "):
        manifest.read(tmp_path)


def test_sha256_of_a_file(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert manifest.sha256(tmp_path / "abc") == expected
