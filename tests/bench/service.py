#!/usr/bin/python3
"""What HTTP costs: /v1/identify of one photo against 10,000 faces, beside the pipeline alone on the same cores.

    tests/bench/service.py BUILD [--json]

In turns, ROUNDS=3 times of SECONDS_EACH=5: two `facematchctl bench photo` at once, each on one of two cores, and a
facematchd with two workers on these cores, asked by clients that each wait for their reply and keep their connection
(tests/bench/bench_http, on the other cores where there are some). PHOTO=FILE, FACES=10000, CLIENTS=4. The faces are random
unit vectors. Last, what a request costs beside connections that say nothing: /healthz over one that stays, alone and beside
IDLE=2000. Run it under `chrt -f 1` on a machine that does other things as well.
"""
import array
import json
import math
import os
import random
import resource
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from pathlib import Path

from common import BenchError, cpu_name, median, say

ROUNDS = int(os.environ.get("ROUNDS", "3"))
SECONDS = float(os.environ.get("SECONDS_EACH", "5"))
FACES = int(os.environ.get("FACES", "10000"))
CLIENTS = int(os.environ.get("CLIENTS", "4"))
IDLE = int(os.environ.get("IDLE", "2000"))
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
QUALITY = '{"score":0.9,"size_px":100,"sharpness":0.5,"brightness":0.5,"yaw_deg":0,"roll_deg":0}'


def default_photo():
    shared = Path(os.environ.get("FM_SHARED_DATA", "../shared/data")) / "lfw-view1/images"
    photos = sorted(shared.glob("*/*.jpg"))
    return str(photos[0]) if photos else "build/demo/sample4.jpg"


def start(build, directory, cores):
    """A facematchd on these cores; returns it and its port."""
    port_file = Path(directory, "port")
    port_file.unlink(missing_ok=True)
    Path(directory, "conf").write_text(
        f"[workers]\ncount = 2\n[log]\nlevel = warning\n[server]\nidle_timeout_s = 3600\nconnections_max = {IDLE + 100}\n"
        f"connections_per_address_max = {IDLE + 100}\n")
    daemon = subprocess.Popen(
        ["taskset", "-c", cores, f"{build}/facematchd", "--config", f"{directory}/conf", "--listen", "127.0.0.1:0",
         "--gallery", f"{directory}/gallery.db", "--models", "build/models", "--port-file", str(port_file)],
        stderr=subprocess.PIPE)
    for _ in range(600):
        if port_file.exists() and port_file.read_text().strip():
            return daemon, int(port_file.read_text())
        if daemon.poll() is not None:
            break
        time.sleep(0.05)
    raise BenchError("facematchd did not start: " + daemon.stderr.read().decode())


def stop(daemon):
    daemon.terminate()
    daemon.wait(60)


def unit_vector(dim, source):
    values = [source.gauss(0, 1) for _ in range(dim)]
    length = math.sqrt(sum(v * v for v in values))
    return array.array("f", (v / length for v in values)).tobytes()


def network(port):
    """Under which name embeddings are stored, and how long they are."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/info") as reply:
        info = json.load(reply)
    return info["models"]["embedding"]["fingerprint"], info["embedding_dim"]


def fill(directory, model, dim):
    """Behind the gallery's back, while nobody serves it: rows as it would have written them."""
    source = random.Random(1)
    database = sqlite3.connect(f"{directory}/gallery.db")
    with database:
        database.execute("INSERT OR IGNORE INTO models (text, dim) VALUES (?, ?)", (model, dim))
        (key,) = database.execute("SELECT key FROM models WHERE text = ?", (model,)).fetchone()
        for i in range(FACES):
            person = database.execute(
                "INSERT INTO people (collection, id, name, metadata, created_at_ms, updated_at_ms)"
                " VALUES (1, ?, ?, '{}', 1700000000000, 1700000000000)", (str(uuid.uuid4()), f"Person {i}")).lastrowid
            database.execute(
                "INSERT INTO faces (id, collection, person, model, created_at_ms, quality, image_sha256, box_x, box_y,"
                " box_width, box_height, embedding) VALUES (?, 1, ?, ?, 1700000000000, ?, ?, 1, 1, 9, 9, ?)",
                (str(uuid.uuid4()), person, key, QUALITY, i.to_bytes(32, "big"), unit_vector(dim, source)))
    database.close()


def run_json(command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BenchError(f"{' '.join(command)}: {done.stderr.strip()}")
    return json.loads(done.stdout)


def pipeline_alone(build, photo, cores):
    """Photos a second of one pipeline on each core, at the same time."""
    running = [subprocess.Popen(
        ["taskset", "-c", core, f"{build}/facematchctl", "--models", "build/models", "bench", "photo", photo, "--seconds",
         str(SECONDS), "--json"], stdout=subprocess.PIPE, text=True) for core in cores.split(",")]
    rates = []
    for process in running:
        output, _ = process.communicate()
        if process.returncode != 0:
            raise BenchError("facematchctl bench photo failed")
        rates.append(1000 / json.loads(output)["total_median_ms"])
    return sum(rates)


def cpu_seconds(process):
    fields = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def over_http(build, photo, daemon, port, others):
    before = cpu_seconds(daemon)
    reply = run_json(["taskset", "-c", others, f"{build}/tests/bench/bench_http", "--port", str(port), "--photo", photo,
                      "--closed", str(CLIENTS), "--seconds", str(SECONDS)])
    reply["cpu_ms"] = 1000 * (cpu_seconds(daemon) - before) / max(1, reply["served"])
    return reply


def ask_health(connection):
    connection.sendall(HEALTH)
    reply = b""
    while b'"ok"' not in reply:
        piece = connection.recv(4096)
        if not piece:
            raise BenchError("a connection was closed: " + reply.decode())
        reply += piece


def health_ms(port, times=2001):
    """The median over a connection that stays."""
    taken = []
    with socket.create_connection(("127.0.0.1", port)) as connection:
        for _ in range(times):
            begin = time.perf_counter()
            ask_health(connection)
            taken.append(1000 * (time.perf_counter() - begin))
    return median(taken)


def beside_idle(port):
    """What /healthz takes alone and beside IDLE connections that have been served once."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < IDLE + 100:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, IDLE + 100), hard))
    alone = health_ms(port)
    idle = []
    try:
        for _ in range(IDLE):
            idle.append(socket.create_connection(("127.0.0.1", port)))
            ask_health(idle[-1])
        return alone, health_ms(port)
    finally:
        for connection in idle:
            connection.close()


def main():
    build = sys.argv[1]
    photo = os.environ.get("PHOTO") or default_photo()
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 2:
        raise BenchError("two cores are needed")
    cores = ",".join(map(str, allowed[-2:]))
    others = ",".join(map(str, allowed[:-2] or allowed))
    rounds = []
    with tempfile.TemporaryDirectory(prefix="facematchd-bench-") as directory:
        daemon, port = start(build, directory, cores)
        model, dim = network(port)
        stop(daemon)
        fill(directory, model, dim)
        daemon, port = start(build, directory, cores)
        try:
            for number in range(ROUNDS):
                say(f"round {number + 1} of {ROUNDS}")
                alone = pipeline_alone(build, photo, cores)
                rounds.append((alone, over_http(build, photo, daemon, port, others)))
            idle = [beside_idle(port) for _ in range(ROUNDS)]
        finally:
            stop(daemon)
    figures = {
        "cpu": cpu_name(), "photo": photo, "faces": FACES, "clients": CLIENTS, "rounds": ROUNDS,
        "pipeline_per_s": median([alone for alone, _ in rounds]),
        "http_per_s": median([http["served_per_s"] for _, http in rounds]),
        "ratio": median([http["served_per_s"] / alone for alone, http in rounds]),
        "p50_ms": median([http["served_ms"]["p50"] for _, http in rounds]),
        "p99_ms": median([http["served_ms"]["p99"] for _, http in rounds]),
        "cpu_ms_per_request": median([http["cpu_ms"] for _, http in rounds]),
        "idle_connections": IDLE,
        "health_alone_ms": median([alone for alone, _ in idle]),
        "health_beside_idle_ms": median([beside for _, beside in idle]),
    }
    if "--json" in sys.argv:
        print(json.dumps(figures))
        return
    print(f"{figures['cpu']}, cores {cores}; {photo}, {FACES} faces, {CLIENTS} clients; medians of {ROUNDS} rounds")
    print(f"pipeline alone, one thread a core   {figures['pipeline_per_s']:7.1f} photos a second")
    print(f"/v1/identify over HTTP              {figures['http_per_s']:7.1f} photos a second ({figures['ratio']:.0%})")
    print(f"p50 {figures['p50_ms']:.1f} ms, p99 {figures['p99_ms']:.1f} ms, "
          f"{figures['cpu_ms_per_request']:.1f} ms of CPU a request")
    print(f"/healthz {figures['health_alone_ms']:.3f} ms alone, {figures['health_beside_idle_ms']:.3f} ms beside {IDLE} idle "
          f"connections")


if __name__ == "__main__":
    try:
        main()
    except BenchError as error:
        sys.exit(f"bench-http: {error}")
