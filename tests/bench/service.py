#!/usr/bin/python3
"""What HTTP costs: /v1/identify of one photo against 10,000 faces, beside the pipeline alone on the same cores.

    tests/bench/service.py BUILD [--json]

In turns, ROUNDS=3 times of SECONDS_EACH=5: two `facematchctl bench photo` at once, each on one of two cores, and a
facematchd with two workers on these cores, asked by clients that each wait for their reply and keep their connection
(tests/bench/bench_http, on the other cores where there are some). PHOTO=FILE, FACES=10000, CLIENTS=4. The faces are random
unit vectors. Run it under `chrt -f 1` on a machine that does other things as well.
"""
import array
import json
import math
import os
import random
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
QUALITY = '{"score":0.9,"size_px":100,"sharpness":0.5,"brightness":0.5,"yaw_deg":0,"roll_deg":0}'


def default_photo():
    shared = Path(os.environ.get("FM_SHARED_DATA", "../shared/data")) / "lfw-view1/images"
    photos = sorted(shared.glob("*/*.jpg"))
    return str(photos[0]) if photos else "build/demo/sample4.jpg"


def start(build, directory, cores):
    """A facematchd on these cores; returns it and its port."""
    port_file = Path(directory, "port")
    port_file.unlink(missing_ok=True)
    Path(directory, "conf").write_text("[workers]\ncount = 2\n[log]\nlevel = warning\n")
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
        key = database.execute("INSERT INTO models (text, dim) VALUES (?, ?)", (model, dim)).lastrowid
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
    }
    if "--json" in sys.argv:
        print(json.dumps(figures))
        return
    print(f"{figures['cpu']}, cores {cores}; {photo}, {FACES} faces, {CLIENTS} clients; medians of {ROUNDS} rounds")
    print(f"pipeline alone, one thread a core   {figures['pipeline_per_s']:7.1f} photos a second")
    print(f"/v1/identify over HTTP              {figures['http_per_s']:7.1f} photos a second ({figures['ratio']:.0%})")
    print(f"p50 {figures['p50_ms']:.1f} ms, p99 {figures['p99_ms']:.1f} ms, "
          f"{figures['cpu_ms_per_request']:.1f} ms of CPU a request")


if __name__ == "__main__":
    try:
        main()
    except BenchError as error:
        sys.exit(f"bench-http: {error}")
