#!/usr/bin/python3
"""Lives with a facematchd for a while, as good and bad clients do, and looks for what grows or gets lost.

    tests/soak/soak.py BUILD [--minutes 20] [--clients 12] [--seed 1]

Starts the daemon on a free port of loopback with a gallery of its own. Clients enrol, identify, verify, list and delete,
send broken photos, cut uploads short, dribble bytes, hold idle connections; now and then the settings are read again
(SIGHUP) and the gallery is backed up. After the first fifth and at the end the clients rest for as long as the daemon takes
to tidy up, and its memory is read: how many photos are just being worked on, which the machine's load decides, would hide
what grows. At the end: resident memory at rest within 5 % of what it was after the first fifth, no descriptor more, no
request that failed where it should not, and everything acknowledged as it was acknowledged, also after a restart. Exits 1
where one of these is not so. Ends only what it started.
"""
import argparse
import http.client
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PHOTOS = [ROOT / "build/demo" / f"sample{n}.jpg" for n in range(1, 7)]
SETTINGS = """[server]
connections_max = 200
[gallery]
keep_crops = yes
[match]
false_match_rate = {rate}
"""
REST_S = 65  # the daemon gives memory back once a minute
# What a well-behaved request may be answered with under load, beside success.
BUSY = (429, 503)


class Daemon:
    def __init__(self, build, directory):
        self.build, self.directory = build, directory
        self.process = None
        self.port = 0
        self.configure("1e-4")

    def configure(self, rate):
        (self.directory / "facematchd.conf").write_text(SETTINGS.format(rate=rate))

    def start(self):
        port_file = self.directory / "port"
        port_file.unlink(missing_ok=True)
        self.process = subprocess.Popen(
            [f"{self.build}/facematchd", "--config", self.directory / "facematchd.conf", "--listen", "127.0.0.1:0",
             "--gallery", self.directory / "gallery.db", "--models", ROOT / "build/models", "--port-file", port_file],
            stderr=(self.directory / "log").open("a"))
        for _ in range(600):
            if port_file.exists() and port_file.read_text().strip():
                self.port = int(port_file.read_text())
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.1)
        sys.exit("soak: facematchd did not start:\n" + (self.directory / "log").read_text()[-2000:])

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def resident_kib(self):
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
        return 0

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))


class Ledger:
    """What the daemon has acknowledged: people and how many faces each has."""

    def __init__(self):
        self.lock = threading.Lock()
        self.people = {}
        self.deleted = set()
        self.counts = {}
        self.wrong = []

    def count(self, what):
        with self.lock:
            self.counts[what] = self.counts.get(what, 0) + 1

    def complain(self, text):
        with self.lock:
            self.wrong.append(text)
            print("soak:", text, file=sys.stderr)


class Gate:
    """Clients pass it before each deed; closed, it waits until all of them stand before it."""

    def __init__(self, clients):
        self.changed = threading.Condition()
        self.clients, self.waiting = clients, 0
        self.shut = self.over = False

    def passes(self):
        """False when all is over."""
        with self.changed:
            self.waiting += 1
            self.changed.notify_all()
            self.changed.wait_for(lambda: self.over or not self.shut)
            self.waiting -= 1
            return not self.over

    def close(self):
        """False when somebody does not come."""
        with self.changed:
            self.shut = True
            return self.changed.wait_for(lambda: self.waiting == self.clients, 180)

    def release(self, over=False):
        with self.changed:
            self.shut, self.over = False, over
            self.changed.notify_all()


class Client(threading.Thread):
    def __init__(self, daemon, ledger, photos, seed, gate):
        super().__init__(daemon=True)
        self.target, self.ledger, self.photos = daemon, ledger, photos
        self.random = random.Random(seed)
        self.gate = gate
        self.connection = None
        self.mine = []  # ids of people that this client alone changes

    def ask(self, method, path, body=None, wanted=(200, 201, 204), content_type="application/octet-stream"):
        """The reply's JSON, or None where the daemon was too busy."""
        for attempt in (1, 2):
            if self.connection is None:
                self.connection = http.client.HTTPConnection("127.0.0.1", self.target.port, timeout=120)
            try:
                headers = {"Content-Type": content_type} if body is not None else {}
                self.connection.request(method, path, body, headers)
                reply = self.connection.getresponse()
                text = reply.read()
                break
            except (http.client.HTTPException, OSError) as error:
                self.connection.close()
                self.connection = None
                # A kept-alive connection may have been closed for its silence; twice in a row is a fault.
                if attempt == 2:
                    self.ledger.complain(f"{method} {path}: {error!r}")
                    return None
        self.ledger.count(f"{reply.status}")
        if reply.status in BUSY:
            time.sleep(float(reply.getheader("Retry-After", "1")) * self.random.random())
            return None
        if reply.status not in wanted:
            self.ledger.complain(f"{method} {path.split('?')[0]}: {reply.status} {text[:200]!r}")
            return None
        return json.loads(text) if text and "json" in reply.getheader("Content-Type", "") else {}

    def photo(self):
        return self.random.choice(self.photos)

    def enrol(self):
        reply = self.ask("POST", "/v1/people", json.dumps({"name": f"P {self.random.random()}"}),
                         content_type="application/json")
        if not reply:
            return
        person = reply["id"]
        with self.ledger.lock:
            self.ledger.people[person] = 0
        self.mine.append(person)
        for _ in range(self.random.randint(0, 2)):
            added = self.ask("POST", f"/v1/people/{person}/faces?face=largest", self.photo(), (200, 201, 422))
            if added and "face" in added:
                faces = self.ask("GET", f"/v1/people/{person}/faces")
                if faces is not None:
                    with self.ledger.lock:
                        self.ledger.people[person] = len(faces["faces"])

    def delete(self):
        # The gallery keeps its size, so that memory can be compared.
        while len(self.mine) > 6:
            person = self.mine.pop(0)
            if self.ask("DELETE", f"/v1/people/{person}") is None:
                self.mine.append(person)
                return
            with self.ledger.lock:
                del self.ledger.people[person]
                self.ledger.deleted.add(person)

    def identify(self):
        self.ask("POST", "/v1/identify?limit=3", self.photo())

    def verify(self):
        if self.mine:
            self.ask("POST", f"/v1/verify?person={self.random.choice(self.mine)}", self.photo(), (200, 409))

    def listing(self):
        self.ask("GET", "/v1/people?limit=50")
        self.ask("GET", "/metrics")

    def broken(self):
        photo = bytearray(self.photo())
        if self.random.random() < 0.5:
            photo = photo[:self.random.randrange(len(photo))]
        else:
            for _ in range(50):
                photo[self.random.randrange(len(photo))] = self.random.randrange(256)
        self.ask("POST", "/v1/identify", bytes(photo), (200, 400, 413, 415))
        self.ask("POST", "/v1/people", b"{\"name\":", (400,), "application/json")
        self.ask("GET", "/v1/people/%zz", wanted=(400, 404))

    def raw(self, *pieces, pause=0.0, wait=False):
        """Bytes on a socket of their own, in pieces."""
        try:
            with socket.create_connection(("127.0.0.1", self.target.port), 10) as connection:
                for piece in pieces:
                    connection.sendall(piece)
                    time.sleep(pause)
                if wait:
                    connection.settimeout(5)
                    connection.recv(4096)
        except OSError:
            pass  # being cut off is what such a client may expect

    def abort(self):
        photo = self.photo()
        head = f"POST /v1/identify HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(photo)}\r\n\r\n".encode()
        self.raw(head, photo[:self.random.randrange(len(photo))])
        self.raw(head, photo)  # gone before the reply

    def dribble(self):
        self.raw(*[bytes([b]) for b in b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"], pause=0.02, wait=True)
        self.raw(b"\x16\x03\x01\x02\x00\x01nonsense\r\n\r\n", wait=True)

    def run(self):
        deeds = [(self.enrol, 3), (self.delete, 3), (self.identify, 6), (self.verify, 3), (self.listing, 2),
                 (self.broken, 2), (self.abort, 1), (self.dribble, 1)]
        names, weights = zip(*deeds)
        while self.gate.passes():
            self.random.choices(names, weights)[0]()


def people_of(daemon):
    connection = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=60)
    found, after = {}, ""
    while after is not None:
        connection.request("GET", f"/v1/people?limit=1000{'&after=' + after if after else ''}")
        page = json.loads(connection.getresponse().read())
        found.update({person["id"]: person["faces"] for person in page["people"]})
        after = page["next"]
    return found


def compare(ledger, daemon, when):
    found = people_of(daemon)
    for person, faces in ledger.people.items():
        if found.get(person) != faces:
            ledger.complain(f"{when}: person {person} has {found.get(person)} faces, {faces} were acknowledged")
    for person in ledger.deleted & set(found):
        ledger.complain(f"{when}: person {person} was deleted and is there")


def disturb(daemon, ledger, beat):
    if beat % 10 == 3:
        daemon.configure(random.choice(("1e-4", "1e-5", "nonsense")))
        daemon.process.send_signal(signal.SIGHUP)
        ledger.count("reloads")
    if beat % 60 == 30:
        connection = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=60)
        connection.request("POST", "/v1/admin/backup", b"")
        reply = connection.getresponse()
        if reply.status not in (200,) + BUSY or (reply.status == 200 and not reply.read().startswith(b"SQLite format 3")):
            ledger.complain(f"backup: {reply.status}")
        connection.close()
        ledger.count("backups")


def work(daemon, ledger, seconds):
    """Samples once a second; returns the median of resident KiB, or None where the daemon has ended."""
    samples = []
    for beat in range(int(seconds)):
        time.sleep(1)
        if daemon.process.poll() is not None:
            ledger.complain(f"facematchd ended with {daemon.process.returncode}")
            return None
        disturb(daemon, ledger, beat)
        samples.append(daemon.resident_kib())
        if beat % 30 == 29:
            print(f"{beat + 1:5d} s  {samples[-1] / 1024:6.1f} MiB  {daemon.descriptors():4d} descriptors  "
                  f"{sum(v for k, v in ledger.counts.items() if k.isdigit())} replies", flush=True)
    window = max(5, len(samples) // 4)
    return sorted(samples[-window:])[window // 2]


def rest(daemon, ledger, gate):
    """Returns resident KiB and descriptors without clients at work."""
    if not gate.close():
        ledger.complain("a client has not ended its work after three minutes")
    time.sleep(REST_S)
    return daemon.resident_kib(), daemon.descriptors()


def watch(daemon, ledger, gate, seconds):
    """Returns what work() and rest() say (KiB busy, KiB, descriptors) after the warm-up and at the end; None: it ended."""
    figures = []
    for name, part in (("after warm-up", 0.2), ("at the end", 0.8)):
        busy = work(daemon, ledger, seconds * part)
        if busy is None:
            return None
        figures.append((busy, *rest(daemon, ledger, gate)))
        print(f"{name}: {busy / 1024:.1f} MiB at work, {figures[-1][1] / 1024:.1f} MiB at rest, "
              f"{figures[-1][2]} descriptors", flush=True)
        if len(figures) == 1:
            gate.release()
    return figures


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build")
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--clients", type=int, default=12)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    photos = [path.read_bytes() for path in PHOTOS]
    directory = Path(tempfile.mkdtemp(prefix="facematchd-soak-"))
    daemon, ledger, gate = Daemon(arguments.build, directory), Ledger(), Gate(arguments.clients)
    daemon.start()
    idle_descriptors = daemon.descriptors()
    clients = [Client(daemon, ledger, photos, arguments.seed * 1000 + i, gate) for i in range(arguments.clients)]
    try:
        for client in clients:
            client.start()
        figures = watch(daemon, ledger, gate, arguments.minutes * 60)
        gate.release(over=True)
        for client in clients:
            client.join(180)
            if client.connection:
                client.connection.close()
        if figures:
            time.sleep(2)
            left = daemon.descriptors()
            compare(ledger, daemon, "before the restart")
            warm, last = figures
            for name, index in (("at work", 0), ("at rest", 1)):
                print(f"resident {name}: {warm[index] / 1024:.1f} MiB after warm-up, {last[index] / 1024:.1f} MiB at the end "
                      f"({100 * (last[index] / warm[index] - 1):+.1f} %)")
            print(f"descriptors: {idle_descriptors} idle at the start, {left} idle at the end")
            if last[1] > warm[1] * 1.05:
                ledger.complain("memory grew by more than 5 %")
            if left > idle_descriptors + 8:
                ledger.complain("descriptors are left open")
            daemon.configure("1e-4")
            if daemon.stop() != 0:
                ledger.complain("facematchd did not end cleanly")
            daemon.start()
            compare(ledger, daemon, "after the restart")
            daemon.stop()
        print("replies and events:", ", ".join(f"{v} {k}" for k, v in sorted(ledger.counts.items())))
        print(f"{len(ledger.people)} people there, {len(ledger.deleted)} deleted; {len(ledger.wrong)} faults")
    finally:
        gate.release(over=True)
        if daemon.process.poll() is None:
            daemon.process.kill()
        if ledger.wrong:
            print(f"soak: log and gallery are in {directory}", file=sys.stderr)
        else:
            shutil.rmtree(directory)
    return 1 if ledger.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
