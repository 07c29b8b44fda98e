#!/usr/bin/env python3
"""Makes a Python environment with pinned packages: python_env.py FOLDER REQUIREMENTS_FILE.

Does nothing when the environment was made from the same file.
"""

import shutil
import subprocess
import sys
from pathlib import Path

from machine import fail, install_packages, say


def main():
    if len(sys.argv) != 3:
        fail("usage: python_env.py FOLDER REQUIREMENTS_FILE")
    folder, requirements = Path(sys.argv[1]), Path(sys.argv[2])
    stamp = folder / "made-from.txt"
    if stamp.exists() and stamp.read_text() == requirements.read_text():
        say(f"{folder} is in place")
        return
    say(f"making {folder} from {requirements} (a minute or so)")
    shutil.rmtree(folder, ignore_errors=True)
    if not make(sys.executable, folder) and not (install_packages("python3-venv") and make("/usr/bin/python3", folder)):
        fail("Python cannot make environments; install its venv module first, on Debian: apt-get install python3-venv")
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--disable-pip-version-check", "--quiet"]
    if subprocess.run([*pip, "--requirement", str(requirements)]).returncode != 0:
        fail(f"cannot install the packages of {requirements}; see the messages above")
    shutil.copyfile(requirements, stamp)
    say(f"{folder} is ready")


def make(python, folder):
    """A venv without ensurepip is created and unusable, so what counts is its pip."""
    shutil.rmtree(folder, ignore_errors=True)
    made = subprocess.run([python, "-m", "venv", str(folder)], capture_output=True)
    return made.returncode == 0 and (folder / "bin" / "pip").exists()


if __name__ == "__main__":
    main()
