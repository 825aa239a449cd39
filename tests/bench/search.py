#!/usr/bin/python3 -B
"""Times the exact search of made-up galleries: `facematchctl bench search`, and FAISS beside it.

    tests/bench/search.py [BUILD_DIR] [--peers] [--json]      FACES=1000000 ROUNDS=3 SECONDS_EACH=2 CPU=

Without --peers: 100,000 faces under every ISA that the machine runs, and FACES faces for 1, 4 and 16 probes at once.
With --peers: FACES faces here and in FAISS IndexFlatIP (float32, Debian's python3-faiss with libopenblas0) in turns, one
thread each; embeddings are random unit vectors of 512 numbers in both, not the same ones.
"""
import argparse
import json
import os
import platform
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from common import BenchError, cpu_name, median, pin_from_environment, say  # noqa: E402

DIM = 512
TOP = 10
ISAS = ("neondot", "neon", "scalar") if platform.machine() == "aarch64" else (
    "avx512vnni", "avx512vlvnni", "avxvnni", "avx2", "sse41", "scalar")


def ours(build, faces, probes, seconds, isa=None):
    environment = dict(os.environ)
    environment.pop("FACEMATCH_ISA", None)
    if isa:
        environment["FACEMATCH_ISA"] = isa
    done = subprocess.run(
        [f"{build}/facematchctl", "bench", "search", "--faces", str(faces), "--dim", str(DIM), "--threads", "1",
         "--probes", str(probes), "--top", str(TOP), "--seconds", str(seconds), "--json"],
        env=environment, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise BenchError("facematchctl bench search failed")
    return json.loads(done.stdout)


class Faiss:
    """A flat index of the same size, filled once."""

    def __init__(self, faces):
        try:
            import faiss
            import numpy
        except ImportError as error:
            raise BenchError(f"{error}: scripts/install-deps.sh bench-peers installs it") from error
        faiss.omp_set_num_threads(1)
        self.random = numpy.random.default_rng(1)
        self.numpy = numpy
        self.version = faiss.__version__
        self.index = faiss.IndexFlatIP(DIM)
        for first in range(0, faces, 50000):
            self.index.add(self.units(min(50000, faces - first)))

    def units(self, count):
        rows = self.random.standard_normal((count, DIM), dtype="float32")
        return rows / self.numpy.linalg.norm(rows, axis=1, keepdims=True)

    def search_ms(self, probes, seconds):
        times = []
        end = time.perf_counter() + seconds
        while len(times) < 3 or time.perf_counter() < end:
            rows = self.units(probes)
            start = time.perf_counter()
            self.index.search(rows, TOP)
            times.append((time.perf_counter() - start) * 1e3)
        return median(times)


def print_rows(title, rows):
    print(f"\n**{title}**\n")
    print("| faces | probes | ISA | median ms | ms a probe | fetched a probe | bytes a face | add us | remove ms |")
    print("| ----: | -----: | --- | --------: | ---------: | --------------: | -----------: | -----: | --------: |")
    for row in rows:
        print(f"| {row['faces']:,} | {row['probes']} | {row['isa']} | {row['median_ms']:.2f} "
              f"| {row['median_ms_per_probe']:.2f} | {row['fetched_per_probe']:.0f} | {row['bytes_per_face']:.0f} "
              f"| {row['add_us']:.1f} | {row['remove_ms']:.3f} |")


def alone(build, faces, seconds, as_json):
    rows = []
    for isa in ISAS:
        row = ours(build, 100000, 1, seconds, isa)
        if row["isa"] == isa:
            rows.append(row)
    for probes in (1, 4, 16):
        rows.append(ours(build, faces, probes, seconds))
    if as_json:
        print(json.dumps({"cpu": cpu_name(), "search": rows}))
    else:
        print_rows(f"Exact search, random unit vectors, top {TOP}, one thread, {cpu_name()}", rows)


def with_peers(build, faces, rounds, seconds, as_json):
    say(f"FAISS: {faces:,} faces")
    faiss = Faiss(faces)
    times = {"here": {1: [], 16: []}, "faiss": {1: [], 16: []}}
    for turn in range(rounds):
        say(f"turn {turn + 1} of {rounds}")
        for probes in (1, 16):
            times["faiss"][probes].append(faiss.search_ms(probes, seconds))
            times["here"][probes].append(ours(build, faces, probes, seconds)["median_ms"])
    rows = [{"probes": probes, "here_ms": median(times["here"][probes]), "faiss_ms": median(times["faiss"][probes]),
             "ratio": median([b / a for a, b in zip(times["here"][probes], times["faiss"][probes])])}
            for probes in (1, 16)]
    if as_json:
        print(json.dumps({"cpu": cpu_name(), "faces": faces, "dim": DIM, "top": TOP, "faiss": faiss.version,
                          "rounds": rounds, "search": rows}))
        return
    print(f"\n**Exact search beside FAISS {faiss.version} IndexFlatIP, {faces:,} x {DIM}, top {TOP}, one thread each, "
          f"medians of {rounds} turns, {cpu_name()}**\n")
    print("| probes at once | here ms | FAISS ms | FAISS / here |")
    print("| -------------: | ------: | -------: | -----------: |")
    for row in rows:
        print(f"| {row['probes']} | {row['here_ms']:.1f} | {row['faiss_ms']:.1f} | {row['ratio']:.1f} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", nargs="?", default="build/release")
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    faces = int(os.environ.get("FACES", "1000000"))
    seconds = float(os.environ.get("SECONDS_EACH", "2"))
    pin_from_environment()
    if options.peers:
        with_peers(options.build, faces, int(os.environ.get("ROUNDS", "3")), seconds, options.json)
    else:
        alone(options.build, faces, seconds, options.json)


if __name__ == "__main__":
    # Before NumPy loads OpenBLAS, which reads it once.
    os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"
    try:
        main()
    except (BenchError, ValueError) as error:
        sys.exit(f"search.py: {error}")
