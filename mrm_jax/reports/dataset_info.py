"""What is known of a data set beyond its manifest: origin, terms, people, limits."""

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

    slug: str  # its name on the Hub of models
    source: str  # where it is from
    licence: str | None = None  # None: none that binds the weights
    citation: str | None = None
    bibtex: str | None = None
    people: tuple[str, ...] = ()  # sentences: who was recorded, where, by whom labelled
    is_modelled: bool = False  # nobody was recorded


_PTBXL = DataSet(
    slug="ptb-xl",
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
        "PTB-XL holds ECGs from 1989 to 1996, recorded with devices of one maker "
        "(Schiller) and collected by Germany's Physikalisch-Technische Bundesanstalt. "
        "Of the whole data set 52 % of the records are of men and 48 % of women; ages "
        "are 0 to 95 years, with a median of 62.",
        "Its labels are statements of up to two cardiologists. Each statement on a "
        "record counts as present, however likely it was held to be; one that was not "
        "made counts as absent.",
        "Its folds keep all records of a patient together.",
    ),
)
_CPSC2018 = DataSet(
    slug="cpsc2018",
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
        "Of its 6,877 public records 6,400 carry one label only. A finding that was "
        "not labelled counts as absent.",
        "Its records do not name their patient: whether one has records in more than "
        "one split is not known.",
    ),
)
_SYNTHETIC = DataSet(
    slug="synthetic-cpsc2018-layout",
    source="modelled by `python -m data_prep.synthetic`",
    people=("Nobody was recorded: the ECGs were computed from a model.",),
    is_modelled=True,
)

BY_NAME = {
    "PTB-XL": _PTBXL,
    "CPSC2018": _CPSC2018,
    "synthetic (CPSC2018 layout)": _SYNTHETIC,
}


def of(facts_name: str | None) -> DataSet:
    """Returns what is known of the data set that a manifest names so."""
    unknown = DataSet(slug=_slug(facts_name or "unknown"), source="unknown")
    return BY_NAME.get(facts_name or "", unknown)


def _slug(name: str) -> str:
    words = "".join(c if c.isascii() and c.isalnum() else " " for c in name.lower())
    return "-".join(words.split())


class Meaning(NamedTuple):
    """What a label stands for."""

    name: str  # plain text
    code: str  # with the name of its system; empty where there is none


def parse(description: str | None) -> Meaning:
    """Returns the plain name and the code of a description; None is an unknown one."""
    found = _DESCRIPTION.fullmatch(description or "")
    return Meaning(*found.groups()) if found else Meaning(description or "", "")
