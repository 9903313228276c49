"""Standard names of the twelve leads, and limb leads derived from two others.

The six limb leads are differences of the potentials of three electrodes, so any two of
them determine the other four (Einthoven, Goldberger). The chest leads are independent.
"""

import re
from collections.abc import Mapping, Sequence

import numpy as np

LEADS = ("I", "II", "III", "AVR", "AVL", "AVF", "V1", "V2", "V3", "V4", "V5", "V6")


# Each limb lead as a combination of I and II.
LIMB = {
    "I": (1.0, 0.0),
    "II": (0.0, 1.0),
    "III": (-1.0, 1.0),
    "AVR": (-0.5, -0.5),
    "AVL": (1.0, -0.5),
    "AVF": (-0.5, 1.0),
}
# Largest inconsistency of limb leads, relative to their standard deviation. It is at
# most 0.01 in 3,031 records of PTB-XL, 15 of CPSC2018 and 900 synthetic ones, and at
# least 0.07 if the names of two of those leads are interchanged.
CONTRADICTION = 0.05
_ENOUGH_SAMPLES = 1000  # to measure it

_PREFIX = re.compile(r"^((MDC|ECG|LEAD)[ _]+)+")
# "I_mV", "V1 (uV)"; the last letter is a capital mu.
_UNIT = re.compile(r"([ _]+[MU\u039c]?V|[ _]*[(\[][MU\u039c]?V[)\]])$")
_CHEST = re.compile(r"([VC])[-_ ]([1-6])")  # "V-1"
# Names of the same lead in other languages and standards (IEC: C1-C6 for V1-V6).
_SYNONYMS = {"DI": "I", "DII": "II", "DIII": "III"}
_SYNONYMS |= {f"C{number}": f"V{number}" for number in range(1, 7)}

_OF_I_AND_II = np.array(list(LIMB.values()))
# Projects six limb leads, [time, 6], onto what no electrode potentials can produce.
_IMPOSSIBLE = np.eye(len(LIMB)) - _OF_I_AND_II @ np.linalg.pinv(_OF_I_AND_II)


def standard_name(name: str) -> str:
    """Returns the name as spelled in `LEADS`, or any other name in capitals.

    Leads that only resemble one of the twelve keep their name: "-aVR" is inverted, and
    "MLII" uses other electrode positions.
    """
    short = _PREFIX.sub("", name.strip(" \t'\"").upper())
    for spelling in (short, _UNIT.sub("", short)):
        spelling = _CHEST.sub(r"\1\2", spelling)
        spelling = _SYNONYMS.get(spelling, spelling)
        if spelling in LEADS:
            return spelling
    return short


def standard_names(names: Sequence[str]) -> tuple[str, ...]:
    """Returns the standard names.

    Raises:
        ValueError: "doubled lead: ..." if one of the twelve occurs twice, or if names
            is a single string.
    """
    if isinstance(names, str):
        raise ValueError(
            f"leads: expected a sequence of names, found the string {names!r}"
        )
    found = tuple(standard_name(name) for name in names)
    double = [lead for lead in LEADS if found.count(lead) > 1]
    if double:
        raise ValueError(f"doubled lead: {_spelt(double)}; found {', '.join(names)}")
    return found


def complete(
    signal: np.ndarray, names: Sequence[str], wanted: Sequence[str] = LEADS
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Returns the wanted leads, [time, lead], and notes on those that were computed.

    Args:
        signal: [time, lead]; leads that are not wanted are ignored.
        names: [lead], standard names.
        wanted: standard names of some of the twelve leads, in the order of the result.

    Raises:
        ValueError: "missing lead: ..." if a lead is missing and cannot be computed.
    """
    _check_enough(names, wanted)
    column = {name: i for i, name in enumerate(names)}
    missing = [lead for lead in wanted if lead not in column]
    there = [lead for lead in LIMB if lead in column]
    if not missing:
        return signal[:, [column[lead] for lead in wanted]], ()
    pair = there[:2]
    computed = _from_two(signal[:, [column[lead] for lead in pair]], pair, missing)
    ordered = np.stack(
        [
            computed[lead] if lead in computed else signal[:, column[lead]]
            for lead in wanted
        ],
        axis=1,
    )
    note = f"{_spelt(missing)} computed from {' and '.join(map(spelt, pair))}"
    return ordered, (note,)


def contradictions(signal: np.ndarray, names: Sequence[str] = LEADS) -> tuple[str, ...]:
    """Returns a warning if the limb leads of a signal [time, lead] are inconsistent.

    Constant offsets are ignored, as amplifiers add them. Less than six limb leads are
    not checked.
    """
    if not set(LIMB) <= set(names):
        return ()
    columns = [list(names).index(lead) for lead in LIMB]
    limb = signal[:: max(1, len(signal) // _ENOUGH_SAMPLES), columns]
    limb = limb - limb.mean(axis=0)
    size, rest = np.std(limb), np.std(limb @ _IMPOSSIBLE)
    if rest <= CONTRADICTION * size:
        return ()
    return (
        f"the limb leads contradict each other by {rest / size:.0%} (I + III should be "
        "II, and aVR + aVL + aVF should be zero): check the names of the leads",
    )


def check_subset(names: Sequence[str], known: Sequence[str] = LEADS) -> None:
    """Checks names of leads that were chosen out of others.

    Raises:
        ValueError: if there is none, one occurs twice, or one is unknown.
    """
    unknown = [name for name in names if name not in known]
    if unknown or not names or len(set(names)) < len(names):
        raise ValueError(
            f"leads: expected one or more different leads of {_spelt(known)}, found "
            f"{_spelt(names) or 'none'}"
        )


def spelt(lead: str) -> str:
    """Returns a lead as cardiologists write it: aVR, not AVR."""
    return f"a{lead[1:]}" if lead.startswith("AV") else lead


def _check_enough(names: Sequence[str], wanted: Sequence[str]) -> None:
    missing = [lead for lead in wanted if lead not in names]
    limb = [lead for lead in LIMB if lead in names]
    lost = missing if len(limb) < 2 else [lead for lead in missing if lead not in LIMB]
    if not lost:
        return
    why = "every chest lead is required"
    if tuple(wanted) != LEADS:
        why = f"the network needs {_spelt(wanted)}"
    elif any(lead in LIMB for lead in lost):
        why = f"two limb leads determine the other four, but {why}"
    found = ", ".join(map(spelt, names)) or "none"
    raise ValueError(f"missing lead: no {_spelt(lost)} ({why}); found {found}")


def _from_two(
    two: np.ndarray, pair: Sequence[str], wanted: Sequence[str]
) -> Mapping[str, np.ndarray]:
    """Returns limb leads, [time] each, from two others, [time, 2].

    Any two limb leads are linearly independent, so the matrix can be inverted.
    """
    to_i_and_ii = np.linalg.inv(np.array([LIMB[lead] for lead in pair]))
    shares = np.array([LIMB[lead] for lead in wanted]) @ to_i_and_ii
    computed = (two @ shares.T).astype(two.dtype)
    return dict(zip(wanted, computed.T, strict=True))


def _spelt(names: Sequence[str]) -> str:
    return ", ".join(map(spelt, names))
