#!/usr/bin/python3
"""How soon a facematchd with a full gallery is ready, from its start as a process to its line "ready".

    tests/bench/start.py BUILD [--json]

Makes a gallery of FACES=100000 random unit vectors, two a person, under the default embedding network, and starts the
daemon on it ROUNDS=9 times with the page cache warm and as often with gallery, networks and program dropped from it
(posix_fadvise), in turns; beside it an empty gallery. DIRECTORY (default: BUILD) is where the gallery stands: /tmp may be
memory. Run it under `chrt -f 1` on a machine that does other things as well.
"""
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from common import BenchError, cpu_name, median, print_table, run

ROUNDS = int(os.environ.get("ROUNDS", "9"))
FACES = int(os.environ.get("FACES", "100000"))


def drop_from_cache(paths):
    for path in paths:
        fd = os.open(path, os.O_RDONLY)
        os.fsync(fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(fd)


def start(build, gallery):
    """The daemon, and the milliseconds until it was ready."""
    begin = time.monotonic()
    daemon = subprocess.Popen([f"{build}/facematchd", "--config", "/dev/null", "--listen", "127.0.0.1:0", "--gallery", str(gallery),
                               "--models", "build/models"], stderr=subprocess.PIPE, text=True)
    log = ""
    for line in daemon.stderr:
        log += line
        if " ready" in line:
            return daemon, (time.monotonic() - begin) * 1e3, log
    raise BenchError("facematchd did not start: " + log)


def stop(daemon):
    daemon.terminate()
    daemon.stderr.read()
    daemon.wait(60)


def embedding_model(log):
    port = re.search(r"127\.0\.0\.1:(\d+)", log).group(1)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/info") as reply:
        return json.load(reply)["models"]["embedding"]["fingerprint"]


def main():
    if len(sys.argv) < 2:
        raise BenchError("which build?")
    build = sys.argv[1]
    with tempfile.TemporaryDirectory(prefix="bench-start-", dir=os.environ.get("DIRECTORY", build)) as directory:
        empty, full = Path(directory, "empty.db"), Path(directory, "full.db")
        daemon, _, log = start(build, empty)
        model = embedding_model(log)
        stop(daemon)
        subprocess.run([f"{build}/tests/bench/bench_gallery", "--make", str(full), "--model", model,
                        "--faces", str(FACES)], check=True)
        stop(start(build, full)[0])
        files = [f"{build}/facematchd", *Path("build/models").glob("*")]
        cases = {(gallery, cold): [] for gallery in (empty, full) for cold in (False, True)}
        for _ in range(ROUNDS):
            for (gallery, cold), times in cases.items():
                if cold:
                    drop_from_cache([*files, gallery])
                daemon, ready_ms, _ = start(build, gallery)
                stop(daemon)
                times.append(ready_ms)
        results = [{"faces": FACES if gallery == full else 0, "page_cache": "cold" if cold else "warm",
                    "median_ms": round(median(times), 1), "fastest_ms": round(min(times), 1)}
                   for (gallery, cold), times in cases.items()]
    if "--json" in sys.argv:
        print(json.dumps({"cpu": cpu_name(), "rounds": ROUNDS, "starts": results}))
        return 0
    print(f"Until facematchd is ready, {cpu_name()}, {ROUNDS} turns\n")
    print_table([["faces", "page cache", "median ms", "fastest ms"]] +
                [[f"{r['faces']:,}", r["page_cache"], str(r["median_ms"]), str(r["fastest_ms"])] for r in results])
    return 0


if __name__ == "__main__":
    run(main)
