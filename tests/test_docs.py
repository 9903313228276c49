"""Tests of the documents: their examples are correct, and the site needs no network."""

import contextlib
import importlib
import re
import subprocess
import sys
from html.parser import HTMLParser

import pytest

from tests import conftest
from tests.helpers import doc_examples

pytest.importorskip("mkdocs", reason="the extra [docs] is not installed")
pytest.importorskip("sybil", reason="the extra [dev] is not installed")

pytestmark = pytest.mark.slow


DOCS = conftest.ROOT / "docs"
START = DOCS / "start.md"
EXTENDING = DOCS / "extending.md"  # changes the package
PAGES = [conftest.ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]


def check_examples(pages, clone):
    done = doc_examples.run(pages, clone, conftest.QUICK_TO_COMPILE)
    assert done.returncode == 0, done.stdout


def test_examples_give_the_documented_output(tmp_path):
    clone = doc_examples.make_clone(tmp_path / "clone")
    # The README reads what `make demo` makes, which is more of the same.
    for folder, name in (
        ("data", "synthetic"),
        ("shards", "synthetic"),
        ("runs", "demo"),
    ):
        (clone / folder).mkdir()
        (clone / folder / name).symlink_to("first")
    others = [
        page
        for page in PAGES
        if page not in (START, EXTENDING) and doc_examples.Page(page).has_examples()
    ]
    assert len(others) >= 7
    check_examples([START, *others], clone)


def test_examples_of_extending_the_package_work(tmp_path):
    check_examples([EXTENDING], doc_examples.make_clone(tmp_path / "clone"))


def test_skipped_examples_have_a_reason():
    for page in PAGES:
        for skip in re.findall(r"<!--+ *skip:.*", page.read_text()):
            assert re.fullmatch(
                r'<!-- skip: (next|start) ".+" -->|<!-- skip: end -->', skip
            )


def test_commands_appear_only_in_tested_blocks():
    for page in DOCS.rglob("*.md"):
        fences = re.findall(r"^``+(\w*)", page.read_text(), re.MULTILINE)
        assert set(fences[::2]) <= {"bash", "diff", "python", "text"}, page
        assert not re.search(
            r"^    (python|pip|make) ", page.read_text(), re.MULTILINE
        ), page


def commands_not_run():
    """Yields page, module and flags of each command of ours that no test gives."""
    skipped = re.compile(r"<!-- skip: next .*\n```bash\n((?:.*\n)*?)```")
    command = re.compile(r"python -m ((?:mrm_jax|data_prep)\.\w+)(.*)")
    for page in PAGES:
        text = page.read_text().replace("\\\n", " ")
        blocks = [text] if page.name == "README.md" else skipped.findall(text)
        for module, rest in (
            found for block in blocks for found in command.findall(block)
        ):
            yield page, module, re.findall(r"(?<!\S)--[\w.]+", rest)


def test_skipped_commands_use_existing_flags(capsys, monkeypatch):
    monkeypatch.chdir(conftest.ROOT)
    explained = {}
    for page, module, flags in commands_not_run():
        if module not in explained:
            with contextlib.suppress(SystemExit):
                importlib.import_module(module).main(["--help"])
            explained[module] = set(re.findall(r"--[\w.]+", capsys.readouterr().out))
        unknown = set(flags) - explained[module]
        assert not unknown, f"{page}: {module} has no {unknown}"
    assert len(explained) > 5


class ResourceCollector(HTMLParser):
    """Collects what a browser fetches to show a page."""

    def __init__(self):
        super().__init__()
        self.addresses = []

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        if tag != "a":
            self.addresses += [
                attributes.get(n) for n in ("src", "srcset", "href", "data")
            ]


def test_the_site_is_complete_and_needs_no_network(tmp_path):
    site = tmp_path / "site"
    build = [
        sys.executable,
        "-m",
        "mkdocs",
        "build",
        "--strict",
        "--site-dir",
        str(site),
    ]
    done = subprocess.run(build, cwd=conftest.ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for page in site.rglob("*.html"):
        loads = ResourceCollector()
        loads.feed(page.read_text())
        outside = [a for a in loads.addresses if a and re.match(r"(\w+:)?//", a)]
        assert not outside, f"{page}: {outside}"
    for sheet in site.rglob("*.css"):
        assert not re.search(r"(url\(|@import)\W*(https?:)?//", sheet.read_text()), (
            sheet
        )
    # The comments beside the fields of records, which say shapes and units.
    assert (
        "1. for a record, 0. for padding"
        in (site / "reference/training.html").read_text()
    )
    # Material would fetch these for a page that asks for a diagram or a repository.
    text = "".join(page.read_text() for page in site.rglob("*.html"))
    assert 'class="mermaid' not in text and 'data-md-component="source"' not in text
