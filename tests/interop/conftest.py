"""A run that all tests in this folder share."""

import pytest

from tests.helpers import drawn_run


@pytest.fixture(scope="package")
def run(tmp_path_factory):
    return drawn_run.write_run(
        tmp_path_factory.mktemp("exported"), 6, **drawn_run.OPTIONS
    )


@pytest.fixture(scope="package")
def shards_dir(run):
    return run.workdir.parent / "shards"
