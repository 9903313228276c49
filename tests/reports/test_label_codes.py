import pytest

from mrm_jax.reports import dataset_info


@pytest.mark.parametrize(
    ("description", "name", "code"),
    [
        (
            "atrial fibrillation (SNOMED CT 164889003)",
            "atrial fibrillation",
            "SNOMED CT 164889003",
        ),
        (
            "premature complex(es) (SCP-ECG PRC(S), form statement)",
            "premature complex(es)",
            "SCP-ECG PRC(S), form statement",
        ),
        (
            "hypertrophy (PTB-XL diagnostic class HYP)",
            "hypertrophy",
            "PTB-XL diagnostic class HYP",
        ),
        (
            "bigeminal pattern (unknown origin)",
            "bigeminal pattern (unknown origin)",
            "",
        ),
        (None, "", ""),
    ],
)
def test_a_description_splits_into_name_and_code(description, name, code):
    assert dataset_info.parse(description) == (name, code)
