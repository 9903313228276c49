"""Figures as inline SVG: the page's own font, ids of their own, and few bytes.

Sizes are in CSS pixels. A figure of WIDTH fits a phone as it is, so that its text stays
readable there; the page sets several of them side by side where there is room.
"""

import contextlib
import io
import re
import warnings
from typing import Any, NamedTuple
from xml.etree import ElementTree

import markupsafe
import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

WIDTH = 360
TEXT_SIZE = 12
PIXELS_PER_INCH = 72  # what Matplotlib's SVG counts in
CHARACTER_WIDTH = 7.5  # of text of TEXT_SIZE, in the widest of the usual fonts
SETTINGS: dict[Any, Any] = {
    **dict.fromkeys(
        ("font.size", "axes.titlesize", "axes.labelsize", "legend.fontsize"), TEXT_SIZE
    ),
    **dict.fromkeys(("xtick.labelsize", "ytick.labelsize"), TEXT_SIZE),
    **dict.fromkeys(("axes.spines.top", "axes.spines.right"), False),
    "legend.frameon": False,
    "text.parse_math": False,  # names of labels and runs are plain text
    "svg.fonttype": "none",
    "svg.hashsalt": "mrm_jax",  # the same figure gives the same bytes
}
NO_METADATA = dict.fromkeys(("Date", "Creator", "Format", "Type"))


def settings() -> contextlib.AbstractContextManager[None]:
    """Returns the context in which figures of the page are drawn and written."""
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
    """Returns a name that leaves room for the figure beside it."""
    return name if len(name) <= length else name[: length - 1] + "…"


def markup(
    canvas: Figure,
    prefix: str,
    description: str,
    scale: float = 1.0,
    margins: tuple[float, float] = (0.0, 0.0),
) -> markupsafe.Markup:
    """Returns a figure as an SVG element to stand inside an HTML page.

    Args:
        canvas: drawn within `settings`, in which this is called as well.
        prefix: of its ids; another one for each figure of a page.
        description: what the figure shows, for readers who do not see it.
        scale: of its size on the page.
        margins: pixels that are left out at both sides, and above and below.
    """
    buffer = io.StringIO()
    with warnings.catch_warnings():
        # The reader's browser has the scripts that Matplotlib's own font lacks.
        warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)
        canvas.savefig(buffer, format="svg", metadata=NO_METADATA)
    root = ElementTree.fromstring(buffer.getvalue())
    # Its rules would hold for the whole page, which has them in its own sheet.
    for definitions in root.findall("{*}defs"):
        if definitions.find("{*}style") is not None:
            root.remove(definitions)
    _isolate(root, prefix)
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


def _isolate(root: ElementTree.Element, prefix: str) -> None:
    """Makes ids the figure's own, and leaves out what the page says or no one needs."""
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
    """Returns a name without its XML namespace, of which HTML knows none."""
    return name.rpartition("}")[2]


def _is_idle(name: str, value: str) -> bool:
    return name == "transform" and value.startswith("rotate(-0 ")


def _rewrite(name: str, value: str, prefix: str) -> str:
    """Returns the value of an attribute as the page needs it."""
    if name == "id":
        return f"{prefix}-{value}"
    if name in ("d", "x", "y"):
        short = re.sub(r"\d+\.\d{2,}", lambda found: f"{float(found[0]):.1f}", value)
        return re.sub(r"\s+", " ", short).strip()
    if name == "href":
        return re.sub(r"^#", f"#{prefix}-", value)
    value = re.sub(r"font-family: [^;]*;? ?", "", value) if name == "style" else value
    return value.replace("url(#", f"url(#{prefix}-")


class Style(NamedTuple):
    """How one curve looks."""

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
AVERAGES = {
    "micro": Style("micro", "#000000", "", "-"),
    "macro": Style("macro", "#0072B2", "", "--"),
}
TEMPERATURES = {
    "reliability": Style("uncalibrated", "#D55E00", "^", "--"),
    "reliability_scaled": Style("temperature-scaled", "#000000", "o", "-"),
}
CHANCE: dict[str, Any] = {"color": "0.6", "linestyle": ":", "linewidth": 1.2}
