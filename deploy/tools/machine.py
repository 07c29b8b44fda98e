"""What the scripts beside this one share: messages, and packages of the machine."""

import os
import shutil
import subprocess
import sys


def say(text):
    print(f"tools: {text}", flush=True)


def fail(text):
    print(f"tools: {text}", file=sys.stderr)
    sys.exit(1)


def install_packages(*names):
    """Installs Debian packages when root calls; says so. False when it cannot."""
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        return False
    say(f"installing {' '.join(names)} of Debian")
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(["apt-get", "update", "-q"], env=quiet, check=False)
    install = ["apt-get", "install", "-y", "-q", "--no-install-recommends", *names]
    return subprocess.run(install, env=quiet).returncode == 0
