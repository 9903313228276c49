"""What a label stands for: its plain name and its code, told from its description."""

import re
from typing import NamedTuple

# A manifest's description ends in the code: "atrial flutter (SCP-ECG AFLT, rhythm
# statement)". Names and codes may have parentheses of their own, as PRC(S).
_DESCRIPTION = re.compile(r"(.*?) \(((?:SNOMED CT|SCP-ECG|PTB-XL) .*)\)", re.DOTALL)


class Meaning(NamedTuple):
    """What a label stands for."""

    name: str  # plain text
    code: str  # with the name of its system; empty where there is none


def parse(description: str | None) -> Meaning:
    """Returns the plain name and the code of a description; None is an unknown one."""
    found = _DESCRIPTION.fullmatch(description or "")
    return Meaning(*found.groups()) if found else Meaning(description or "", "")
