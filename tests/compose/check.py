"""Checks docker-compose.yml and what it uses, without an engine.

usage: check.py NATS_SERVER [FOLDER_OF_BINARIES]

The file is checked against the compose specification's schema and against the rules below. setup.sh is run, the broker
is started with the configuration that comes out, and every user of it is tried: what it may do, and what it may not.
With the folder of the built programs the configuration of each role and the simulator's start are checked as well.
"""

import json
import pathlib
import re
import socket
import ssl
import subprocess
import sys
import tempfile
import time

from ruamel.yaml import YAML

ROOT = pathlib.Path(__file__).resolve().parents[2]
ROLES = {"detector": "9471", "debouncer": "9472", "teams-sync": "9473", "sync-log": "9474"}
# roles that do without the broker
ALONE = {"notifier": "9476"}
# which stream a role reads, and with which consumers
READS = {
    "debouncer": [("TANDEM_CHANGED", "debouncer", "tandem.v1.changed.*")],
    "teams-sync": [
        ("TANDEM_DUE", "teams-sync-auto", "tandem.v1.due.auto.*"),
        ("TANDEM_DUE", "teams-sync-manual", "tandem.v1.due.manual.*"),
    ],
    "sync-log": [("TANDEM_EVENTS", "sync-log", "tandem.v1.event.*.*")],
}
failures = 0


def check(what, good, seen=""):
    global failures
    if not good:
        failures += 1
        print(f"FAILED  {what}" + (f": {seen}" if seen else ""))


def check_schema(file):
    checker = pathlib.Path(sys.executable).parent / "check-jsonschema"
    done = subprocess.run([checker, "--builtin-schema", "vendor.compose-spec", file], capture_output=True, text=True)
    check("docker-compose.yml follows the compose schema", done.returncode == 0, done.stdout)


def check_rules(compose):
    services = compose["services"]
    mentioned = set()
    for name, service in services.items():
        once = name in ("setup", "migrate", "operator")
        check(f"{name} ends or has a health check", once or "healthcheck" in service)
        check(f"{name} ends or starts again", once or service.get("restart") == "unless-stopped")
        user = str(service.get("user", "0")).split(":")[0]
        check(f"{name} does not run as root", name == "setup" or user not in ("0", "root"), user)
        check(f"{name} drops its capabilities", service.get("cap_drop") == ["ALL"])
        tag = service["image"].rpartition(":")[2]
        check(f"{name} pins a tag", ":" in service["image"] and tag != "latest", service["image"])
        for other, how in service.get("depends_on", {}).items():
            check(f"{name} waits for a service", other in services, other)
            healthy = how["condition"] == "service_healthy"
            check(f"{name} waits for what {other} can tell", healthy == ("healthcheck" in services.get(other, {})))
        for port in service.get("ports", []):
            check(f"{name} publishes on this machine only", str(port).startswith("127.0.0.1:"), port)
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("./"):
                check(f"{name} mounts what is there", (ROOT / source).exists(), source)
            else:
                mentioned.add(source)
            shared = [n for n, s in services.items() if n not in (name, "setup") and volume in s.get("volumes", [])]
            check(f"{name} has its volumes for itself", source.startswith("./") or name == "setup" or not shared, shared)
    check("every volume is declared and used", mentioned == set(compose["volumes"]), mentioned ^ set(compose["volumes"]))
    for role, port in {**ROLES, **ALONE}.items():
        check(f"{role} runs itself", services[role]["command"] == ["run", role])
        check(f"{role} is asked at its port", services[role]["healthcheck"]["test"][1:] == ["tandem-ready", port])
    health = (ROOT / "deploy/compose/tandem.toml").read_text()
    for role, port in {**ROLES, **ALONE}.items():
        check(f"{role} listens where it is asked", f'{role.replace("-", "_")} = "0.0.0.0:{port}"' in health)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Nats:
    """Enough of the client's protocol to try permissions."""

    def __init__(self, port, ca, user=None, password=None):
        raw = socket.create_connection(("127.0.0.1", port), timeout=5)
        raw.recv(65536)  # INFO
        self.socket = ssl.create_default_context(cafile=str(ca)).wrap_socket(raw, server_hostname="localhost")
        self.rest = b""
        options = {"verbose": False, "pedantic": False, "tls_required": True, "headers": True, "lang": "python", "version": "0"}
        if user:
            options |= {"user": user, "pass": password}
        self.send(f"CONNECT {json.dumps(options)}\r\nPING\r\n")
        self.welcome = self.line()

    def send(self, text):
        self.socket.sendall(text.encode())

    def line(self):
        while b"\r\n" not in self.rest:
            more = self.socket.recv(65536)
            if not more:
                return "closed"
            self.rest += more
        line, self.rest = self.rest.split(b"\r\n", 1)
        return line.decode()

    def refused(self, command):
        """Whether the broker says that this may not be done."""
        self.send(f"{command}\r\nPING\r\n")
        refused = False
        while (line := self.line()) != "PONG":
            if line == "closed":
                raise ConnectionError("the broker hung up")
            refused |= "ermissions Violation" in line
        return refused

    def may_publish(self, subject):
        return not self.refused(f"PUB {subject} 0\r\n")

    def may_subscribe(self, subject):
        return not self.refused(f"SUB {subject} 1\r\nUNSUB 1")


def check_nats(server, secrets, work):
    port = free_port()
    text = (secrets / "nats/tandem.conf").read_text()
    text = text.replace("/run/tandem", str(secrets / "nats")).replace('"/data"', f'"{work}/jetstream"')
    text = text.replace('"0.0.0.0:4222"', f'"127.0.0.1:{port}"').replace('"127.0.0.1:8222"', '"127.0.0.1:-1"')
    config = secrets / "nats/here.conf"
    config.write_text(text)
    done = subprocess.run([server, "-t", "-c", config], capture_output=True, text=True)
    check("nats-server accepts its configuration", done.returncode == 0, done.stderr)
    with open(work / "nats.log", "wb") as log:
        running = subprocess.Popen([server, "-c", config], stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and running.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                pass
        try_users(port, secrets)
    finally:
        running.terminate()
        running.wait(timeout=10)


def try_users(port, secrets):
    ca = secrets / "operator/ca.pem"
    stranger = Nats(port, ca)
    check("strangers are refused", "Authorization Violation" in stranger.welcome, stranger.welcome)
    for role in [*ROLES, "operator"]:
        password = (secrets / role / "nats-password").read_text().strip()
        user = Nats(port, ca, role, password)
        check(f"{role} is let in", user.welcome == "PONG", user.welcome)
        writes = role != "operator"
        for subject in ("tandem.v1.changed.a", "tandem.v1.due.auto.a", "tandem.v1.event.a.j"):
            check(f"{role} publishes {subject}: {writes}", user.may_publish(subject) == writes)
        check(f"{role} makes streams", user.may_publish("$JS.API.STREAM.CREATE.TANDEM_DUE"))
        for other, consumers in READS.items():
            for stream, consumer, pattern in consumers:
                mine = other == role
                for subject in (
                    f"$JS.API.CONSUMER.CREATE.{stream}.{consumer}.{pattern.replace('*', 'x')}",
                    f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}",
                    f"$JS.ACK.{stream}.{consumer}.1.1.1.1.0",
                ):
                    check(f"{role} may use {subject}: {mine}", user.may_publish(subject) == mine)
        for subject in ("$JS.API.STREAM.DELETE.TANDEM_DUE", "$JS.API.STREAM.PURGE.TANDEM_DUE", "$SYS.REQ.SERVER.PING", "other"):
            check(f"{role} may not publish {subject}", not user.may_publish(subject))
        check(f"{role} reads its answers", user.may_subscribe("_INBOX.x.>"))
        for subject in (">", "tandem.v1.>", "$SYS.>"):
            check(f"{role} may not subscribe to {subject}", not user.may_subscribe(subject))


def check_programs(binaries, secrets):
    for role in [*ROLES, *ALONE]:
        # only the role's own secrets are there; the files of the others are told, and nothing else
        done = subprocess.run(
            [binaries / "tandem", "config", "check", "--config", secrets / role / "tandem.toml"],
            capture_output=True, text=True,
        )
        problems = [line for line in done.stderr.splitlines() if re.match(r"\s+\S+: ", line)]
        strange = [p for p in problems if "No such file" not in p and "push.secrets_dir: is not a folder" not in p]
        check(f"the configuration of {role} is good", not strange, strange or done.stderr)
        own = f"tandem_{role.replace('-', '_')}"
        check(f"{role} finds its password", not any(own in p for p in problems), problems)
    command = [binaries / "tandem", "config", "check", "--config", secrets / "migrate/tandem.toml"]
    done = subprocess.run(command, capture_output=True, text=True)
    check("where doctor runs, every secret is there", done.returncode == 0, done.stderr)
    port = free_port()
    folder = secrets / "msgraph-sim"
    listen = ["--listen", f"127.0.0.1:{port}", "--tls", folder / "server.pem", folder / "server.key"]
    sim = subprocess.Popen(
        [binaries / "msgraph-sim", *listen, "--world", folder / "world.json"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )
    try:
        check("the simulator starts with its world", "listening" in sim.stdout.readline())
        ready = ROOT / "deploy/compose/ready.sh"
        check("its health check sees it", subprocess.run([ready, "tls", str(port)]).returncode == 0)
        dead = subprocess.run([ready, str(free_port())], stderr=subprocess.DEVNULL)
        check("the health check of a role that is away fails", dead.returncode != 0)
    finally:
        sim.terminate()
        sim.wait(timeout=10)


def main():
    server = pathlib.Path(sys.argv[1])
    file = ROOT / "docker-compose.yml"
    check_schema(file)
    check_rules(YAML(typ="safe").load(file.read_text()))
    with tempfile.TemporaryDirectory() as name:
        work = pathlib.Path(name)
        secrets = work / "setup"
        command = ["sh", ROOT / "deploy/compose/setup.sh", ROOT / "deploy", secrets]
        done = subprocess.run(command, capture_output=True, text=True)
        check("setup.sh runs", done.returncode == 0, done.stderr)
        before = (secrets / "nats/passwords.conf").read_text()
        subprocess.run(command, capture_output=True)
        check("a second start keeps the passwords", (secrets / "nats/passwords.conf").read_text() == before)
        check_nats(server, secrets, work)
        if len(sys.argv) > 2:
            check_programs(pathlib.Path(sys.argv[2]), secrets)
    print(f"{failures} checks failed" if failures else "docker-compose.yml and its parts are fine")
    return 1 if failures else 0


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    sys.exit(main())
