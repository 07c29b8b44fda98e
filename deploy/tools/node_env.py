#!/usr/bin/env python3
"""Installs pinned packages of Node: node_env.py FOLDER FOLDER_WITH_PACKAGE_FILES.

Does nothing when FOLDER was made from the same lock file. No script of a package is run.
"""

import shutil
import subprocess
import sys
from pathlib import Path

from machine import fail, install_packages, say

FILES = ("package.json", "package-lock.json")


def main():
    if len(sys.argv) != 3:
        fail("usage: node_env.py FOLDER FOLDER_WITH_PACKAGE_FILES")
    folder, source = Path(sys.argv[1]), Path(sys.argv[2])
    lock, stamp = source / "package-lock.json", folder / "made-from.json"
    if stamp.exists() and stamp.read_text() == lock.read_text():
        say(f"{folder} is in place")
        return
    if not shutil.which("npm") and not (install_packages("nodejs", "npm") and shutil.which("npm")):
        fail("Node is missing; install it first, on Debian: apt-get install nodejs npm")
    say(f"making {folder} from {lock} (a minute or so)")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in FILES:
        shutil.copyfile(source / name, folder / name)
    npm = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    if subprocess.run(npm, cwd=folder).returncode != 0:
        fail(f"cannot install the packages of {lock}; see the messages above")
    shutil.copyfile(lock, stamp)
    say(f"{folder} is ready")


if __name__ == "__main__":
    main()
