#!/usr/bin/python3 -B
"""
The networks in facematchd, ONNX Runtime and OpenCV on this machine: one thread each, denormals flushed everywhere, in
turns, so that whatever else the machine does falls on all. Called by scripts/bench-peers.sh, which sets up.

  tests/bench/peers.py BUILD_DIR [--json]

In the environment: ROUNDS (7), SECONDS_EACH (0.4; a turn, after a warm-up of 0.2 s), CPU (a core to stay on).
"""
import datetime
import json
import os
import re
import sys
import time

os.environ["OPENCV_LOG_LEVEL"] = "SILENT"
from common import (BenchError, DEFAULT_NETWORKS, bench_net, cpu_name, median, pin_from_environment, print_table, run,
                    say, shared_models)
from ort import OnnxRuntime

try:
    import cv2
    import numpy as np
    import crops
    import quantize
except ImportError as missing:
    say(f"peers.py: {missing}: run scripts/install-deps.sh bench-peers")
    sys.exit(1)

LIMIT_S = 200  # from here on every network gets ROUNDS_MIN rounds only
ROUNDS_MIN = 3
WARM_UP_S = 0.2
SHARED_NETWORKS = ("edgeface_xs", "yunet_n_320_320")


class Ours:
    def __init__(self, build, model, precision, isa=None):
        self.name = f"facematchd {precision}" + (f", {isa} cap" if isa else "")
        self._arguments = (build, model, precision)
        self._isa = isa
        self.refusal = None
        result = self._bench(0.01)
        if isinstance(result, str):
            self.refusal = "not timed: " + result
        else:
            self.isa = result["isa"]

    def _bench(self, seconds):
        return bench_net(*self._arguments, seconds, isa=self._isa)

    def turn(self, seconds):
        result = self._bench(seconds)
        if isinstance(result, str):
            raise BenchError(result)
        return result["median_ms"], result["min_ms"]


class Onnx:
    refusal = None

    def __init__(self, ort, form, model):
        self.name = f"ONNX Runtime {form}"
        self._ort, self._model = ort, model
        ort.ask("load", model=model)

    def turn(self, seconds):
        times = self._ort.ask("run", model=self._model, seconds=seconds)["ms"]
        return median(times), min(times)


class OpenCv:
    name = "OpenCV float32"

    def __init__(self, model):
        self.refusal = None
        try:
            self._net = cv2.dnn.readNetFromONNX(model)
            shape = [d.dim_value or 1 for d in quantize.onnx.load(model).graph.input[0].type.tensor_type.shape.dim]
            self._input = np.random.default_rng(1).uniform(-1, 1, shape).astype(np.float32)
            self._outputs = self._net.getUnconnectedOutLayersNames()
            self._once()
        except cv2.error as error:
            node = re.search(r"Node \[(\w+)", str(error))
            self.refusal = "refused" + (f" for its {node[1]}" if node else "")

    def _once(self):
        begin = time.perf_counter()
        self._net.setInput(self._input)  # without it OpenCV gives the last result again
        self._net.forward(self._outputs)
        return (time.perf_counter() - begin) * 1e3

    def _for(self, seconds):
        times, end = [], time.perf_counter() + seconds
        while len(times) < 3 or time.perf_counter() < end:
            times.append(self._once())
        return times

    def turn(self, seconds):
        self._for(WARM_UP_S)
        times = self._for(seconds)
        return median(times), min(times)


def race(contestants, rounds, seconds, deadline):
    """Per contestant a list of (median, minimum), one a round. Each round begins with another contestant."""
    turns = {c.name: [] for c in contestants}
    for number in range(rounds):
        if number >= ROUNDS_MIN and time.monotonic() > deadline:
            break
        first = number % len(contestants)
        for contestant in contestants[first:] + contestants[:first]:
            turns[contestant.name].append(contestant.turn(seconds))
    return turns


def ratio(turns, slow, fast):
    """How many times as fast: the median of the rounds' ratios; nothing where either did not run."""
    if slow not in turns or fast not in turns:
        return None
    return median(s[0] / f[0] for s, f in zip(turns[slow], turns[fast]))


def fastest(turns, name):
    return min(t[1] for t in turns[name])


def times_as_fast(turns, slow, fast):
    if slow not in turns or fast not in turns:
        return None
    return {"median": ratio(turns, slow, fast), "fastest": fastest(turns, slow) / fastest(turns, fast)}


def measure(network, contestants, rounds, seconds, deadline):
    turns = race([c for c in contestants if not c.refusal], rounds, seconds, deadline)
    result = {"network": network, "rounds": max(map(len, turns.values())), "runtimes": []}
    for c in contestants:
        if c.refusal:
            result["runtimes"].append({"name": c.name, "refusal": c.refusal})
            continue
        result["runtimes"].append({
            "name": c.name,
            "median_ms": median(t[0] for t in turns[c.name]),
            "min_ms": fastest(turns, c.name),
            "over_our_int8": ratio(turns, c.name, "facematchd int8"),
            "over_our_float32": ratio(turns, c.name, "facematchd float32"),
        })
    best = min(("ONNX Runtime int8 dynamic", "ONNX Runtime int8 QDQ"), key=lambda name: fastest(turns, name))
    result["times_as_fast"] = {
        "our int8, their float32": times_as_fast(turns, "ONNX Runtime float32", "facematchd int8"),
        "our int8, their best int8": times_as_fast(turns, best, "facematchd int8"),
        "our int8 under avx2, their float32": times_as_fast(turns, "ONNX Runtime float32", "facematchd int8, avx2 cap"),
        "our float32, their float32": times_as_fast(turns, "ONNX Runtime float32", "facematchd float32"),
    }
    result["best_int8_of_onnxruntime"] = best
    return result


def two_threads(build, model, rounds, seconds):
    """Throughput of two sessions on two threads over that of one, in turns."""
    scales = []
    for _ in range(rounds):
        one, two = (bench_net(build, model, "int8", seconds, threads=n) for n in (1, 2))
        scales.append(two["gmac_per_s"] / one["gmac_per_s"])
    return {"median": median(scales), "rounds": rounds}


def number(value, digits=2):
    return "-" if value is None else f"{value:.{digits}f}"


def both(times):
    return "-" if times is None else f"{times['median']:.2f} ({times['fastest']:.2f})"


def print_report(report):
    print(f"{report['date']}  {report['cpu']}, core: {report['core']}, load {report['load_before']:.1f} before and "
          f"{report['load_after']:.1f} after")
    print(f"facematchd on {report['isa']}, ONNX Runtime {report['onnxruntime']}, OpenCV {report['opencv']}; one thread, "
          f"denormals flushed, turns of {report['seconds_each']} s")
    for result in report["networks"]:
        print(f"\n{result['network']}, {result['rounds']} rounds\n")
        rows = [("runtime", "median ms", "fastest ms", "/ our int8", "/ our float32")]
        for r in result["runtimes"]:
            if "refusal" not in r:
                rows.append((r["name"], number(r["median_ms"], 3), number(r["min_ms"], 3), number(r["over_our_int8"]),
                             number(r["over_our_float32"])))
        print_table(rows)
        for r in result["runtimes"]:
            if "refusal" in r:
                print(f"{r['name']}: {r['refusal']}")
    print("\nTimes as fast as ONNX Runtime: the median of the rounds' ratios (the fastest run of each over the other's)\n")
    heads = list(report["networks"][0]["times_as_fast"])
    rows = [("network", *heads)]
    for result in report["networks"]:
        rows.append((result["network"], *(both(result["times_as_fast"][head]) for head in heads)))
    print_table(rows)
    scale = report["two_threads"]
    print(f"\nTwo sessions of fr_feature int8 on two threads: {scale['median']:.2f} times the throughput of one "
          f"(median of {scale['rounds']} rounds)")


def sources():
    for network in DEFAULT_NETWORKS:
        yield network, f"build/models/{network}.onnx"
    for network in SHARED_NETWORKS:
        path = os.path.join(shared_models(), f"{network}.onnx")
        if os.path.exists(path):
            yield network, path
        else:
            say(f"{network}: left out, {path} is not there")


def contestants_of(build, ort, network, source, inputs, directory):
    graphs = quantize.prepare(ort, network, source, inputs, directory)
    given = os.path.join(shared_models(), f"{network}_qdq.onnx")
    return [
        Ours(build, source, "int8"),
        Ours(build, source, "float32"),
        Ours(build, source, "int8", "avx2"),
        Onnx(ort, "float32", graphs["float32"]),
        Onnx(ort, "int8 dynamic", graphs["dynamic"]),
        Onnx(ort, "int8 QDQ", given if os.path.exists(given) else graphs["qdq"]),
        OpenCv(graphs["float32"]),
    ]


def main():
    arguments = [a for a in sys.argv[1:] if a != "--json"]
    build = arguments[0] if arguments else "build/release"
    rounds = max(ROUNDS_MIN, int(os.environ.get("ROUNDS", "7")))
    seconds = float(os.environ.get("SECONDS_EACH", "0.4"))
    deadline = time.monotonic() + LIMIT_S
    report = {"date": datetime.datetime.now().astimezone().isoformat(timespec="minutes"), "cpu": cpu_name(),
              "seconds_each": seconds, "load_before": os.getloadavg()[0]}
    # Before anything is pinned: two threads need two cores.
    say("two sessions on two threads")
    report["two_threads"] = two_threads(build, "build/models/fr_feature.onnx", rounds, seconds)
    report["core"] = pin_from_environment()
    cv2.setNumThreads(1)
    cv2.ocl.setUseOpenCL(False)
    directory = "build/bench-peers"
    os.makedirs(directory, exist_ok=True)
    inputs = crops.write(build, directory)
    results = []
    with OnnxRuntime() as ort:
        report["onnxruntime"], report["opencv"] = ort.version, cv2.__version__
        for network, source in sources():
            contestants = contestants_of(build, ort, network, source, inputs[network], directory)
            report.setdefault("isa", getattr(contestants[0], "isa", "?"))
            say(f"{network}: {len(contestants)} runtimes in turns")
            results.append(measure(network, contestants, rounds, seconds, deadline))
    report["networks"] = results
    report["load_after"] = os.getloadavg()[0]
    if "--json" in sys.argv:
        json.dump(report, sys.stdout, indent=1)
        print()
    else:
        print_report(report)
    return 0


run(main)
