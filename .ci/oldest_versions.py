"""Prints the lower bounds of setup.cfg as constraints, for `make test-oldest`.

The bounds are those of the package itself and of the extras below, not of tools.
"""

import configparser
import re
from pathlib import Path

EXTRAS = ("files", "sweep", "hub", "test")
BOUND = re.compile(r"([\w.-]+)(?:\[[\w,]+\])?>=([\w.]+)")

config = configparser.ConfigParser(interpolation=None)
config.read(Path(__file__).parents[1] / "setup.cfg")
listed = config["options"]["install_requires"].splitlines()
for extra in EXTRAS:
    listed += config["options.extras_require"][extra].splitlines()
for name, version in BOUND.findall("\n".join(listed)):
    print(f"{name}=={version}")
