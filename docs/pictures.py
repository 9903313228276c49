"""Makes the pictures of README and documents anew, from a run of the demo.

  make demo
  python docs/pictures.py --workdir runs/demo --raw_dir data/synthetic

Into --out_dir go prediction.png and explanation.png, as a prediction draws them
of the first records of the test fold that have the labels of `PICTURED` and of
`EXPLAINED`, no others, and in which just those are found; curves.png, the run's; and
report.png, the top of its report.html in a browser (Chromium or Chrome, left out
where there is none). All are made smaller for pages in the web, to 256 colours.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

import mrm_jax
from mrm_jax import predict

PICTURED = ("AF", "RBBB")
EXPLAINED = ("PVC",)
WIDTH = 1280  # pixels; those of the report are a desk's
REPORT_HEIGHT = 1000
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def main(argv: Sequence[str] | None = None) -> int:
    """Makes all pictures; returns the exit status."""
    flags = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    flags.add_argument("--workdir", type=Path, required=True, help="the demo's run")
    flags.add_argument("--raw_dir", type=Path, required=True, help="the raw records")
    flags.add_argument(
        "--out_dir",
        type=Path,
        default=Path(__file__).parent / "images",
        help="where the pictures go (default: images, beside this file)",
    )
    args = flags.parse_args(argv)
    print(f"pictures of {args.workdir} -> {args.out_dir}")
    args.out_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for name, picture in _pictures(args.workdir, args.raw_dir, Path(folder)):
            path = args.out_dir / f"{name}.png"
            _shrink(picture, path)
            print(f"{path}: {path.stat().st_size / 1000:.0f} kB")
    return 0


def _pictures(workdir: Path, raw_dir: Path, folder: Path) -> Iterator[tuple[str, Path]]:
    """Yields the name of each picture and its file, as it was made."""
    chosen = [_first(workdir, raw_dir, labels) for labels in (PICTURED, EXPLAINED)]
    (explained,) = EXPLAINED
    flags = [f"--workdir={workdir}", f"--plot={folder}", f"--explain={explained}"]
    if predict.main([*flags, *map(str, chosen)]):
        raise SystemExit("error: the records could not be drawn")
    drawn, laid_over = chosen
    yield "prediction", folder / f"{drawn.stem}.png"
    yield "explanation", folder / f"{laid_over.stem}--{explained}.png"
    yield "curves", workdir / "curves.png"
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        print(f"no report.png: there is none of {', '.join(BROWSERS)}")
        return
    yield "report", _screenshot(browser, workdir / "report.html", folder)


def _first(workdir: Path, raw_dir: Path, labels: Sequence[str]) -> Path:
    """Returns the first record of the test fold with just these labels, all found."""
    model = mrm_jax.load(workdir)
    truth = np.load(workdir / "scores.npz")
    wanted = np.isin(truth["label_names"], labels)
    names = truth["names"][(truth["labels"] == wanted).all(axis=1)]
    paths = [raw_dir / f"{name}.hea" for name in names]
    for path, result in zip(paths, model.predict_files(paths), strict=True):
        if isinstance(result, ValueError):
            raise SystemExit(f"error: {path}: {result}")
        if sorted(result.found) == sorted(labels):
            return path
    raise SystemExit(
        f"error: none of {len(names)} records with {', '.join(labels)} is found for "
        "what it is; train the demo anew"
    )


def _screenshot(browser: str, page: Path, folder: Path) -> Path:
    """Returns a picture of the top of a page."""
    picture = folder / "report.png"
    flags = [
        "--headless=new",
        "--no-sandbox",
        "--hide-scrollbars",
        f"--user-data-dir={folder / 'profile'}",
        f"--window-size={WIDTH},{REPORT_HEIGHT}",
        f"--screenshot={picture}",
    ]
    subprocess.run(
        [browser, *flags, page.resolve().as_uri()],
        check=True,
        capture_output=True,
        timeout=120,
    )
    return picture


def _shrink(picture: Path, path: Path) -> None:
    """Writes a picture as wide as `WIDTH` at most, in 256 colours."""
    with Image.open(picture) as whole:
        image = whole.convert("RGB")
    if image.width > WIDTH:
        height = round(image.height * WIDTH / image.width)
        image = image.resize((WIDTH, height), Image.Resampling.LANCZOS)
    # Of Pillow's ways the one that keeps white white and thin shades their colour.
    few = image.quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    few.save(path, optimize=True)


if __name__ == "__main__":
    sys.exit(main())
