#!/usr/bin/env python3
"""Keeps files small: file_lengths.py ROOT. Fails for a Rust file of more than 500 lines outside tests."""

import os
import sys
from pathlib import Path

HARD_STOP = 500
# build output and fetched tools are not ours; a long test file hides nothing
PASSED_OVER = {"target", ".tools", ".demo", "tests"}


def main():
    root = Path(sys.argv[1])
    files = []
    for folder, below, names in os.walk(root):
        below[:] = [name for name in below if name not in PASSED_OVER]
        files += [Path(folder, name) for name in names if name.endswith(".rs")]
    lengths = {path: path.read_text().count("\n") for path in files}
    too_long = sorted(path for path, length in lengths.items() if length > HARD_STOP)
    for path in too_long:
        print(f"{path.relative_to(root)}: {lengths[path]} lines, at most {HARD_STOP}; split it", file=sys.stderr)
    if too_long:
        sys.exit(1)
    print(f"file lengths: {len(files)} files, the longest has {max(lengths.values(), default=0)} lines")


if __name__ == "__main__":
    main()
