"""The style of figures in report.html, and their conversion to inline SVG.

`settings`, `figure` and `place` set up a figure; HEAD_STYLES and the tables beside it
hold the look of every curve; `markup` turns a figure into a small SVG element with the
page's font and unique ids.

The colours of a themed figure follow the page: each colour of DARK_COLOURS is a
variable of the style sheet, which a dark page sets. Other figures stay on white.

Sizes are in CSS pixels. A figure of WIDTH fits a phone without scaling, so its text
stays readable; the page puts several side by side where there is room.
"""

import contextlib
import io
import re
import warnings
from collections.abc import Collection
from typing import Any, NamedTuple
from xml.etree import ElementTree

import markupsafe
import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

WIDTH = 360
TEXT_SIZE = 12
PIXELS_PER_INCH = 72  # the unit of Matplotlib's SVG
CHARACTER_WIDTH = 7.5  # of text of TEXT_SIZE, in the widest of the usual fonts
SETTINGS: dict[Any, Any] = {
    **dict.fromkeys(
        ("font.size", "axes.titlesize", "axes.labelsize", "legend.fontsize"), TEXT_SIZE
    ),
    **dict.fromkeys(("xtick.labelsize", "ytick.labelsize"), TEXT_SIZE),
    **dict.fromkeys(("axes.spines.top", "axes.spines.right"), False),
    "axes.titley": 1.0,  # or Matplotlib measures all ticks to find it
    "legend.frameon": False,
    "text.parse_math": False,  # names of labels and runs are plain text
    "svg.fonttype": "none",
    "svg.hashsalt": "mrm_jax",  # the same figure always gives the same bytes
}
DARK_COLOURS = {  # colour on a light page -> the same on a dark one
    "#ffffff": "#15191e",  # the page itself
    "#000000": "#e6eaee",
    "#0072b2": "#58b4f5",
    "#d55e00": "#ff9148",
    "#009e73": "#30c79b",
    "#cc79a7": "#e7a1c6",
    "#c3d9ea": "#2d5273",  # bars
    "#5b7f9c": "#86aecb",  # and their edges
    "#cccccc": "#434c56",  # band of the best epoch
}
NO_METADATA = dict.fromkeys(("Date", "Creator", "Format", "Type"))


class Style(NamedTuple):
    """The look of one curve."""

    name: str
    colour: str
    marker: str
    line: str


HEAD_STYLES = {
    "mean": Style("mean", "#000000", "o", "-"),
    "high": Style("high", "#0072B2", "^", "--"),
    "low": Style("low", "#D55E00", "v", "-."),
}
LOSSES = {
    "train/loss": Style("total", "#000000", "o", "-"),
    "train/bce_high": Style("cross-entropy, high", "#0072B2", "^", "--"),
    "train/bce_low": Style("cross-entropy, low", "#D55E00", "v", "-."),
    "train/feature_kl": Style("mutual, features", "#009E73", "s", ":"),
    "train/logit_kl": Style("mutual, logits", "#CC79A7", "D", ":"),
}
SPLITS = {  # the cross-entropies of both branches, weighted as in the loss
    "train/bce": Style("training", "#000000", "o", "-"),
    "val/bce": Style("validation", "#D55E00", "^", "--"),
}
AVERAGES = {
    "micro": Style("micro", "#000000", "", "-"),
    "macro": Style("macro", "#0072B2", "", "--"),
}
TEMPERATURES = {
    "reliability": Style("uncalibrated", "#D55E00", "^", "--"),
    "reliability_scaled": Style("temperature-scaled", "#000000", "o", "-"),
}
CHANCE: dict[str, Any] = {"color": "0.6", "linestyle": ":", "linewidth": 1.2}


def settings() -> contextlib.AbstractContextManager[None]:
    """Returns the context in which figures of the page are drawn and converted."""
    return matplotlib.rc_context(SETTINGS)


def figure(width: float, height: float) -> Figure:
    """Returns an empty figure of a size in pixels."""
    inches = (width / PIXELS_PER_INCH, height / PIXELS_PER_INCH)
    return Figure(inches, PIXELS_PER_INCH)


def place(canvas: Figure, x: float, y: float, width: float, height: float) -> Axes:
    """Returns axes whose lower left corner is at x, y of a figure, in pixels."""
    across, up = canvas.get_size_inches() * PIXELS_PER_INCH
    return canvas.add_axes((x / across, y / up, width / across, height / up))


def shorten(name: str, length: int = 14) -> str:
    """Returns a name shortened to leave room for the figure beside it."""
    return name if len(name) <= length else name[: length - 1] + "…"


def markup(
    canvas: Figure,
    prefix: str,
    description: str,
    scale: float = 1.0,
    margins: tuple[float, float] = (0.0, 0.0),
    themed: bool = True,
) -> markupsafe.Markup:
    """Returns a figure as an SVG element for an HTML page.

    Args:
        canvas: figure drawn within `settings`; call this within them as well.
        prefix: prefix of the ids, different for each figure of a page.
        description: text for screen readers.
        scale: scale of the figure on the page.
        margins: pixels to crop at both sides, and above and below.
        themed: whether the colours follow the page. They should not where they stand
            for numbers, or look like paper.
    """
    root = _svg(canvas)
    _isolate(root, prefix)
    if themed:
        _follow_theme(root)
    left, top = margins
    width, height = canvas.get_size_inches() * PIXELS_PER_INCH
    width, height = width - 2 * left, height - 2 * top
    root.attrib.update(
        {
            "viewBox": f"{left:g} {top:g} {width:g} {height:g}",
            "width": f"{scale * width:g}",
            "height": f"{scale * height:g}",
            "role": "img",
            "aria-label": description,
        }
    )
    return markupsafe.Markup(ElementTree.tostring(root, encoding="unicode"))


def _svg(canvas: Figure) -> ElementTree.Element:
    """Returns a figure as SVG, without rules that would apply to the whole page."""
    buffer = io.StringIO()
    with warnings.catch_warnings():
        # The reader's browser has fonts for the scripts that Matplotlib's own font
        # lacks.
        warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)
        canvas.savefig(buffer, format="svg", metadata=NO_METADATA)
    root = ElementTree.fromstring(buffer.getvalue())
    for definitions in root.findall("{*}defs"):
        if definitions.find("{*}style") is not None:
            root.remove(definitions)
    return root


def _follow_theme(root: ElementTree.Element) -> None:
    """Replaces the colours of DARK_COLOURS by variables of the page's style sheet."""
    for element in root.iter():
        if "style" in element.attrib:
            element.set("style", re.sub(r"#\w{6}", _variable, element.attrib["style"]))
    # Matplotlib writes no colour for what is filled in black, such as text.
    root.attrib.update({"class": "themed", "fill": "currentColor"})


def _variable(colour: re.Match[str]) -> str:
    """Returns the variable of a colour, or the colour if it suits both pages."""
    name = colour[0].lower()
    return f"var(--figure-{name[1:]}, {name})" if name in DARK_COLOURS else name


def _isolate(root: ElementTree.Element, prefix: str) -> None:
    """Makes ids unique to the figure and removes attributes without effect."""
    referred = set(re.findall(r"#([\w-]+)", ElementTree.tostring(root, "unicode")))
    for element in root.iter():
        element.tag = _local(element.tag)
        element.text, element.tail = (element.text or "").strip(), None
        found = {_local(name): value for name, value in element.attrib.items()}
        element.attrib.clear()
        for name, value in found.items():
            if not (_is_idle(name, value) or name == "id" and value not in referred):
                element.set(name, _rewrite(name, value, prefix))


def _local(name: str) -> str:
    """Returns a name without its XML namespace, which HTML does not have."""
    return name.rpartition("}")[2]


def _is_idle(name: str, value: str) -> bool:
    return name == "transform" and value.startswith("rotate(-0 ")


def _rewrite(name: str, value: str, prefix: str) -> str:
    """Returns the value of an attribute in the form the page needs."""
    if name == "id":
        return f"{prefix}-{value}"
    if name in ("d", "x", "y"):
        return " ".join(f"{float(w):.1f}" if "." in w else w for w in value.split())
    if name == "href":
        return re.sub(r"^#", f"#{prefix}-", value)
    value = re.sub(r"font-family: [^;]*;? ?", "", value) if name == "style" else value
    return value.replace("url(#", f"url(#{prefix}-")


def drawn_heads(heads: Collection[str]) -> list[str]:
    """Returns those of some heads that have a style, in the order of drawing."""
    return [head for head in HEAD_STYLES if head in heads]
