import pytest

from data_prep import challenge, cpsc_format
from mrm_jax.data import label_meanings
from mrm_jax.runs import label_mapping


def described(data_set, label_set, labels, descriptions=None):
    return {
        "data_set": data_set,
        "label_set": label_set,
        "labels": labels,
        "descriptions": descriptions,
    }


CPSC = described(
    "CPSC2018", "cpsc2018", cpsc_format.LABELS, list(cpsc_format.DESCRIPTIONS)
)


def test_statements_of_ptbxl_meet_the_classes_of_cpsc2018():
    ptbxl = described("PTB-XL", "all", ["AFIB", "NORM", "SR", "CRBBB", "SVARR", "PVC"])
    found = label_meanings.match(ptbxl, CPSC)
    assert found.columns == {
        "AFIB": ("AF",),
        "NORM": ("Normal",),
        "CRBBB": ("RBBB",),
        "PVC": ("PVC",),
    }
    assert found.unmapped == ("SR", "SVARR")
    assert found.unused == ("I-AVB", "LBBB", "PAC", "STD", "STE")


def test_the_reverse_direction_maps_the_same_pairs():
    ptbxl = described("PTB-XL", "all", ["AFIB", "NORM", "SR", "CRBBB"])
    found = label_meanings.match(CPSC, ptbxl)
    assert found.columns == {
        "Normal": ("NORM",),
        "AF": ("AFIB",),
        "RBBB": ("CRBBB",),
    }


def test_other_labels_have_the_codes_of_their_descriptions():
    theirs = described(
        "PhysioNet Challenge (georgia)",
        "scored",
        ["LBBB", "NSR", "X", "Y"],
        [
            "left bundle branch block (SNOMED CT 733534002, 164909002)",
            "sinus rhythm (SNOMED CT 426783006)",
            "no code",
            "another (SNOMED CT 1)",
        ],
    )
    ptbxl = described("PTB-XL", "all", ["CLBBB", "SR", "NORM"])
    found = label_meanings.match(ptbxl, theirs)
    assert found.columns == {"CLBBB": ("LBBB",), "SR": ("NSR",)}
    assert found.unmapped == ("NORM",)
    assert found.unused == ("X", "Y")


def test_groups_of_ptbxl_are_not_taken_for_statements():
    groups = described("PTB-XL", "superdiagnostic", ["CD", "HYP", "MI", "NORM", "STTC"])
    found = label_meanings.match(groups, CPSC)
    assert found.columns == {"NORM": ("Normal",)}


def test_labels_without_descriptions_have_no_meaning():
    own = described("mine", "labels", ["AF"])
    assert label_meanings.match(own, CPSC).columns == {}


def test_every_code_of_the_table_is_one_of_the_challenges_or_a_normal_ecg():
    known = set(challenge.known_codes()) | {"164854000"}
    for labels in label_meanings._table().values():
        for label, codes in labels.items():
            assert codes <= known, label


def test_the_table_names_labels_that_ptbxl_has(real_data):
    import pandas as pd

    statements = pd.read_csv(real_data / "ptbxl_labels/scp_statements.csv", index_col=0)
    table = label_meanings._table()
    assert set(table["PTB-XL statements"]) <= set(statements.index)
    subclasses = set(statements.diagnostic_subclass.dropna())
    assert set(table["PTB-XL subclasses"]) <= subclasses
    assert set(table["CPSC2018"]) == set(cpsc_format.LABELS)


def test_a_file_of_ones_own(tmp_path):
    path = tmp_path / "map.csv"
    path.write_text("label,data_label\nA,x\nB,y\nB,z\n")
    found = label_meanings.read(path, ["A", "B", "C"], ["x", "y", "z", "w"])
    assert found.columns == {"A": ("x",), "B": ("y", "z")}
    assert (found.unmapped, found.unused) == (("C",), ("w",))
    narrowed = found.restricted(["x", "z"])
    assert narrowed.columns == {"A": ("x",), "B": ("z",)}


def test_the_mapping_of_an_evaluation_is_read_again(tmp_path):
    columns = {"A": ("x", "y"), "B": ("y",)}
    written = label_meanings.LabelMap(columns, ("C",), ("z",))
    label_mapping.write(tmp_path, written)
    path = tmp_path / label_mapping.FILE
    assert label_meanings.read(path, ["A", "B", "C"], ["x", "y", "z"]) == written


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("label,data_label\n,\n", "line 2: .* found ''"),
        ("label,data_label\nA,q\n", "line 2: .* found 'q', which is none of x, y"),
        ("label,data_label\nQ,x\n", "line 2: .* found 'Q', which is none of A"),
        ("label,b\nA,x\n", "expected the columns label .* found ''"),
        ("a,b\nA,x\n", "expected the columns label .* found ''"),
        (None, "unreadable"),
    ],
)
def test_a_wrong_file_is_named(tmp_path, content, message):
    path = tmp_path / "map.csv"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ValueError, match=f"map.csv.*{message}"):
        label_meanings.read(path, ["A"], ["x", "y"])
