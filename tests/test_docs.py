"""The documents: their examples do what they say, and the site needs no network."""

import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests import conftest

pytest.importorskip("mkdocs", reason="the extra [docs] is not installed")
pytest.importorskip("sybil", reason="the extra [dev] is not installed")

from tests import doc_examples  # noqa: E402  (needs sybil)

DOCS = conftest.ROOT / "docs"
START = DOCS / "start.md"
PAGES = [conftest.ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]


@pytest.fixture(scope="session")
def started(tmp_path_factory):
    """A clone in which the commands of the start page were given."""
    clone = doc_examples.make_clone(tmp_path_factory.mktemp("docs") / "clone")
    doc_examples.Page(START, clone).run()
    return clone


def test_the_examples_of_the_start_page(started):
    assert (started / "runs" / "first" / "report.json").is_file()


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if page != START],
    ids=lambda page: str(page.relative_to(conftest.ROOT)),
)
def test_the_examples_of_a_page(page, started, tmp_path):
    clone = shutil.copytree(started, tmp_path / "clone")
    doc_examples.Page(page, clone).run()
