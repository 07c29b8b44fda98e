"""The demo as the program under test: started in a folder of its own, stopped with Ctrl-C."""

import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time

START = 240  # seconds until it has told its story, on a busy machine


class Demo:
    """A running demo: where its portal and its simulator are."""

    def __init__(self, tandem):
        self.tandem = str(pathlib.Path(tandem).resolve())
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="tandem-browser-"))
        self.data = self.folder / "demo"
        self.lines = []
        self.process = subprocess.Popen(
            [self.tandem, "demo", "--data", str(self.data)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        threading.Thread(target=self._read, daemon=True).start()
        self.portal = self._line(r"^\s+(http://localhost:\d+)$")
        self.simulator = self._line(r"Microsoft simulator on (http://\S+)")
        self.config = str(self.data / "tandem.toml")

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    def _line(self, pattern):
        deadline = time.monotonic() + START
        while time.monotonic() < deadline:
            found = next((m for m in (re.search(pattern, line) for line in list(self.lines)) if m), None)
            if found:
                return found.group(1)
            if self.process.poll() is not None:
                break
            time.sleep(0.2)
        self.stop()
        raise RuntimeError("the demo did not start:\n" + "\n".join(self.lines))

    def run(self, *words):
        """Runs a command of the program and gives what it prints."""
        done = subprocess.run([self.tandem, *words], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout

    def edit(self, user, *change):
        """Saves an edit in the PBX."""
        self.run("demo", "edit", "--data", str(self.data), "--user", user, *change)

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        elsewhere = self.data / "elsewhere"
        if elsewhere.is_symlink():
            shutil.rmtree(elsewhere.resolve(), ignore_errors=True)
        shutil.rmtree(self.folder, ignore_errors=True)
