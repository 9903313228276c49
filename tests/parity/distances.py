"""The differences between both implementations: python -m tests.parity.distances

Prints the tables of docs/parity.md; takes some minutes.
"""

import dataclasses

import numpy as np

from tests.parity import cases, compare, jax_side, torch_side

DRAWS = 3


def float64_errors(case):
    """Returns our relative errors by quantity, PyTorch's float64 being the truth."""
    given = cases.given(case)
    exact = torch_side.quantities(*given, np.float64)
    return compare.relative_errors(jax_side.quantities(*given, np.float64), exact)


def float32_draws(case):
    """Returns pairs of our and PyTorch's relative errors in float32, by draw."""
    draws = []
    for seed in range(DRAWS):
        given = cases.given(dataclasses.replace(case, seed=seed))
        exact = torch_side.quantities(*given, np.float64)
        single = (
            side.quantities(*given, np.float32) for side in (jax_side, torch_side)
        )
        draws.append([compare.relative_errors(found, exact) for found in single])
    return draws


def main():
    print("| float64 | quantities | worst relative error | of |\n|---|---|---|---|")
    for name, case in cases.DOUBLE.items():
        errors = float64_errors(case)
        worst = max(errors, key=errors.get)
        print(
            f"| {name} | {len(errors)} | {errors[worst]:.1e} | `{worst}` |", flush=True
        )
    print("\nfloat32: our distance to the float64 truth over PyTorch's")
    for name, case in cases.SIZES.items():
        ratios = compare.mean_ratios(float32_draws(case))
        print(f"{name}: " + ", ".join(f"{g} {r:.2f}" for g, r in ratios.items()))


if __name__ == "__main__":
    main()
