"""Metadata of data sets beyond their manifests: source, licence, citation, people.

`of` looks up a data set by its name; `parse` splits a label's description into its
plain name and its code.
"""

import dataclasses
import re
from typing import NamedTuple

# A manifest's description ends in the code: "atrial flutter (SCP-ECG AFLT, rhythm
# statement)". Names and codes may have parentheses of their own, as PRC(S).
_DESCRIPTION = re.compile(r"(.*?) \(((?:SNOMED CT|SCP-ECG|PTB-XL) .*)\)", re.DOTALL)

_CC_BY = "[CC BY 4.0](https://creativecommons.org/licenses/by/4.0/)"


@dataclasses.dataclass(frozen=True)
class DataSet:
    """A data set, in Markdown."""

    slug: str  # its name on the Hugging Face Hub
    source: str
    licence: str | None = None  # None: no licence that binds the weights
    citation: str | None = None
    bibtex: str | None = None
    people: tuple[str, ...] = ()  # sentences on who was recorded and who labelled
    is_synthetic: bool = False  # simulated, nobody was recorded
    num_records: int | None = None  # of the whole data set, in its latest version


_PTBXL = DataSet(
    slug="ptb-xl",
    num_records=21_799,
    source="<https://physionet.org/content/ptb-xl/>",
    licence=_CC_BY,
    citation="Wagner et al., 2020, "
    "[doi 10.1038/s41597-020-0495-6](https://doi.org/10.1038/s41597-020-0495-6)",
    bibtex="""\
@article{wagner2020ptbxl,
  title   = {{PTB-XL}, a large publicly available electrocardiography dataset},
  author  = {Wagner, Patrick and Strodthoff, Nils and Bousseljot, Ralf-Dieter and
             Kreiseler, Dieter and Lunze, Fatima I. and Samek, Wojciech and
             Schaeffter, Tobias},
  journal = {Scientific Data},
  volume  = {7},
  pages   = {154},
  year    = {2020},
  doi     = {10.1038/s41597-020-0495-6}
}""",
    people=(
        "PTB-XL contains ECGs from 1989 to 1996, recorded with devices of one maker "
        "(Schiller) and collected by Germany's Physikalisch-Technische Bundesanstalt. "
        "In the whole data set, 52 % of the records are from men and 48 % from women; "
        "ages range from 0 to 95 years, with a median of 62.",
        "Its labels are statements by up to two cardiologists. Every statement on a "
        "record counts as present, whatever its stated likelihood; all others count as "
        "absent.",
        "Its folds keep all records of a patient together.",
    ),
)
_CPSC2018 = DataSet(
    slug="cpsc2018",
    num_records=6_877,
    source="<https://physionet.org/content/challenge-2020/>, training set CPSC",
    licence=_CC_BY,
    citation="Liu et al., 2018, "
    "[doi 10.1166/jmihi.2018.2442](https://doi.org/10.1166/jmihi.2018.2442)",
    bibtex="""\
@article{liu2018cpsc,
  title   = {An Open Access Database for Evaluating the Algorithms of
             Electrocardiogram Rhythm and Morphology Abnormality Detection},
  author  = {Liu, Feifei and Liu, Chengyu and Zhao, Lina and Zhang, Xiangyu and
             Wu, Xiaoling and Xu, Xiaoyan and Liu, Yulin and Ma, Caiyun and
             Wei, Shoushui and He, Zhiqiang and Li, Jianqing and Ng Yin Kwee, Eddie},
  journal = {Journal of Medical Imaging and Health Informatics},
  volume  = {8},
  number  = {7},
  pages   = {1368--1373},
  year    = {2018},
  doi     = {10.1166/jmihi.2018.2442}
}""",
    people=(
        "CPSC2018 was collected from eleven hospitals in China.",
        "Of its 6,877 public records, 6,400 have a single label. A label that was not "
        "given counts as absent.",
        "Its records do not identify patients, so records of one patient may lie in "
        "more than one split.",
    ),
)
_SYNTHETIC = DataSet(
    slug="synthetic-cpsc2018-layout",
    source="simulated by `python -m data_prep.synthetic`",
    people=("Nobody was recorded: the ECGs are simulated.",),
    is_synthetic=True,
)

BY_NAME = {
    "PTB-XL": _PTBXL,
    "CPSC2018": _CPSC2018,
    "synthetic (CPSC2018 layout)": _SYNTHETIC,
}


def of(facts_name: str | None) -> DataSet:
    """Returns the metadata of a data set by its name in the manifest."""
    unknown = DataSet(slug=_slug(facts_name or "unknown"), source="unknown")
    return BY_NAME.get(facts_name or "", unknown)


def _slug(name: str) -> str:
    words = "".join(c if c.isascii() and c.isalnum() else " " for c in name.lower())
    return "-".join(words.split())


class Meaning(NamedTuple):
    """The meaning of a label."""

    name: str  # plain text
    code: str  # with the name of its system; empty where there is none


def parse(description: str | None) -> Meaning:
    """Returns the plain name and the code of a description; None if unknown."""
    found = _DESCRIPTION.fullmatch(description or "")
    return Meaning(*found.groups()) if found else Meaning(description or "", "")
