"""Computes expected.npz, which the tests without PyTorch compare with.

By the reference in PyTorch, in float64, from the seeded weights and signals of
cases.KEPT: python -m tests.parity.make_expected
"""

from pathlib import Path

import numpy as np

from tests.parity import cases, compare, torch_side

FILE = Path(__file__).with_name("expected.npz")


def main():
    kept = {}
    for case_name, case in cases.KEPT.items():
        given = cases.given(case)
        exact = compare.summary(torch_side.quantities(*given, np.float64))
        kept |= {f"{case_name}/{name}": array for name, array in exact.items()}
    np.savez_compressed(FILE, **kept)
    print(f"{FILE}: {len(kept)} arrays, {FILE.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
