#!/usr/bin/python3 -B
"""
Every network at hand under every ISA that this machine runs, one thread, int8 and float32: milliseconds, rate, and
the share of the rate at which one core's registers could multiply (bench_kernels --peaks). Called by `make bench`.

  tests/bench/nets.py BUILD_DIR [--json]

Networks: the defaults in build/models, those in $FM_SHARED_DATA/models (default ../shared/data) where there are any,
and the files and directories that FM_NETS names, separated by spaces. In the environment too: SECONDS_EACH (0.3; a
turn, after a warm-up of 0.2 s), ROUNDS (3 turns each), CPU (a core to stay on).
A table of one network's layers: facematchctl bench net MODEL.onnx --layers
"""
import datetime
import glob
import json
import os
import subprocess
import sys

from common import (BenchError, DEFAULT_NETWORKS, bench_net, cpu_name, median, pin_from_environment, print_table, run,
                    say, shared_models)

PRECISIONS = ("int8", "float32")
OPEN_SIZE = "640x640"  # of networks that leave height and width open, as cameras' pictures come
SLOW_MS = 50  # more than any vector row takes for a network that a box would run


def networks():
    paths = [f"build/models/{name}.onnx" for name in DEFAULT_NETWORKS]
    for place in [shared_models(), *os.environ.get("FM_NETS", "").split()]:
        paths += sorted(glob.glob(f"{place}/*.onnx")) if os.path.isdir(place) else []
        paths += [place] if place.endswith(".onnx") else []
    for path in paths:
        if not os.path.exists(path):
            raise BenchError(f"{path} is not there")
    return list(dict.fromkeys(paths))


def precisions_of(model):
    """A network that is quantized in its file runs in int8 whatever is asked."""
    with open(model, "rb") as file:
        return PRECISIONS[:1] if b"QuantizeLinear" in file.read() else PRECISIONS


def peaks(build):
    """GMAC/s of one core by ISA and precision; 0 where it was not measured. The best of all that were asked."""
    done = subprocess.run([f"{build}/tests/bench/bench_kernels", "--peaks"], capture_output=True, text=True,
                          check=False)
    if done.returncode != 0:
        raise BenchError(f"bench_kernels: {done.stderr.strip()}")
    rows = (line.split() for line in done.stdout.splitlines())
    return {isa: {"int8": float(int8), "float32": float(float32)} for isa, int8, float32 in rows}


def size_of(build, model):
    """What a network that leaves its size open is given, None where the file says it."""
    done = subprocess.run([f"{build}/facematchctl", "model", "inspect", model], capture_output=True, text=True,
                          check=False)
    return OPEN_SIZE if "leaves its" in done.stderr else None


def measure(build, model, precision, isa, rounds, seconds, size):
    """One row, or why there is none. What is slow gets one turn."""
    turns = []
    while len(turns) < rounds and not (turns and turns[0]["median_ms"] > SLOW_MS):
        turn = bench_net(build, model, precision, seconds, isa=isa, size=size)
        if isinstance(turn, str):
            return turn
        if turn["isa"] != isa:
            raise BenchError(f"asked for {isa}, but {turn['isa']} ran")
        turns.append(turn)
    ms = median(turn["median_ms"] for turn in turns)
    return {"network": os.path.basename(model).removesuffix(".onnx"), "size": size, "precision": precision, "isa": isa,
            "median_ms": ms, "min_ms": min(turn["min_ms"] for turn in turns), "macs": turns[0]["macs"],
            "gmac_per_s": turns[0]["macs"] / ms / 1e6}


def print_report(report):
    print(f"{report['date']}  {report['cpu']}, core: {report['core']}, load {report['load_before']:.1f} before and "
          f"{report['load_after']:.1f} after")
    print("peaks, GMAC/s: " + "; ".join(
        f"{isa} " + ", ".join(f"{precision} {peak:.0f}" for precision, peak in both.items() if peak)
        for isa, both in report["peaks"].items() if any(both.values())))
    for network in dict.fromkeys(row["network"] for row in report["rows"]):
        rows = [row for row in report["rows"] if row["network"] == network]
        size = f" at {rows[0]['size']}" if rows[0]["size"] else ""
        print(f"\n{network}{size}, {rows[0]['macs'] / 1e6:.1f} MMAC, one thread\n")
        print_table([("ISA", "precision", "median ms", "fastest ms", "GMAC/s", "% of peak")] + [
            (row["isa"], row["precision"], f"{row['median_ms']:.3f}", f"{row['min_ms']:.3f}",
             f"{row['gmac_per_s']:.1f}", f"{100 * row['share_of_peak']:.1f}" if row["share_of_peak"] else "-")
            for row in rows])
    for network, why in report["refused"].items():
        print(f"\n{network}: not timed: {why}")


def main():
    arguments = [a for a in sys.argv[1:] if a != "--json"]
    build = arguments[0] if arguments else "build/release"
    rounds, seconds = int(os.environ.get("ROUNDS", "3")), float(os.environ.get("SECONDS_EACH", "0.3"))
    models = networks()
    report = {"date": datetime.datetime.now().astimezone().isoformat(timespec="minutes"), "cpu": cpu_name(),
              "core": pin_from_environment(), "load_before": os.getloadavg()[0], "rows": [], "refused": {}}
    peak = peaks(build)
    isas = list(peak)[::-1]
    for model in models:
        say(model)
        size = size_of(build, model)
        for isa in isas:
            for precision in precisions_of(model):
                row = measure(build, model, precision, isa, rounds, seconds, size)
                if isinstance(row, str):
                    report["refused"][os.path.basename(model)] = row
                else:
                    report["rows"].append(row)
            if os.path.basename(model) in report["refused"]:
                break
    for isa, later in peaks(build).items():
        peak[isa] = {precision: max(value, later[precision]) for precision, value in peak[isa].items()}
    for row in report["rows"]:
        bound = peak[row["isa"]][row["precision"]]
        row["share_of_peak"] = row["gmac_per_s"] / bound if bound else None
    report["peaks"], report["load_after"] = peak, os.getloadavg()[0]
    if "--json" in sys.argv:
        json.dump(report, sys.stdout, indent=1)
        print()
    else:
        print_report(report)
    return 0


run(main)
