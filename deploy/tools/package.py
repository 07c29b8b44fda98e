#!/usr/bin/env python3
"""Makes sure that a command is there: package.py COMMAND installs the Debian package of that name when root calls it."""

import shutil
import sys

from machine import fail, install_packages


def main():
    if len(sys.argv) != 2:
        fail("usage: package.py COMMAND")
    name = sys.argv[1]
    if not shutil.which(name) and not install_packages(name):
        fail(f"{name} is missing; install it first, on Debian: apt-get install {name}")


if __name__ == "__main__":
    main()
