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


def of_letters(**changes):
    entry = dataclasses.asdict(LABEL_SET) | changes
    return {"label_sets": {"letters": entry}}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_samples": "many"}, r"Expected `int`, got `str` - at `\$.num_samples`"),
        ({"num_samples": 0}, "num_samples have to be positive"),
        ({"num_records": -1}, "num_records and num_skipped cannot be negative"),
        ({"split_folds": {"train": [1, 2], "val": [2], "test": [3]}}, "in two splits"),
        ({"split_folds": {"train": [1], "test": [3]}}, "expected train, val, test"),
        ({"data_set": "hand\x1b[2J-made"}, "control characters in the name"),
        ({"files": {"../names.npy": "0" * 64}}, "expected files of this folder"),
        (of_letters(labels=["a", "a"]), "label set letters: the labels have to be"),
        (of_letters(labels=[], descriptions=[]), "at least one"),
        (of_letters(labels=["a", "b\n"]), "control characters"),
        (of_letters(descriptions=["the only"]), "1 descriptions of 2 labels"),
        (of_letters(std_uv=0.0), "std_uv has to be positive, found 0"),
        (of_letters(std_uv=-200.5), "std_uv has to be positive"),
        (of_letters(mean_uv=float("nan")), "have to be finite"),
        (of_letters(mean_uv="none"), "Expected `float`, got `str`"),
        (of_letters(records={"train": 3}), "records: expected train, val, test"),
        (of_letters(mean_uv=-1.26), "it differs from its checksum"),
    ],
)
def test_impossible_manifests_are_named(tmp_path, changes, message):
    manifest.write(MANIFEST, tmp_path)
    rewrite(tmp_path, **changes)
    with pytest.raises(ValueError, match=rf"manifest.json is damaged .*{message}"):
        manifest.read(tmp_path)


def test_manifests_without_a_checksum_are_read(tmp_path):
    manifest.write(MANIFEST, tmp_path)
    path = tmp_path / manifest.MANIFEST
    fields = json.loads(path.read_text())
    del fields["checksum"]
    path.write_text(json.dumps(fields))
    assert manifest.read(tmp_path) == MANIFEST


def test_sha256_of_a_file(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert manifest.sha256(tmp_path / "abc") == expected
