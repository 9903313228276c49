"""Tests of promises that hold under faults; `make reliability` runs them for longer."""
