"""Prints the table of outcomes if `make reliability` asks for it."""

import os

from tests.helpers import outcomes


def pytest_terminal_summary(terminalreporter):
    if "RELIABILITY_EFFORT" in os.environ and outcomes.ALL:
        terminalreporter.write_line("")
        for line in outcomes.table():
            terminalreporter.write_line(line)
