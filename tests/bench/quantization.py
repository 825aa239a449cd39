#!/usr/bin/python3 -B
"""The table of docs/QUANTIZATION.md: what quantization does to fr_feature and, where it is at hand, to EdgeFace-XS.

    tests/bench/quantization.py BUILD [--write]

Needs LFW View 1 under FM_SHARED_DATA (default ../shared/data): lfw-view1/images/PERSON/PHOTO and lfw-view1/pairs.csv
(a,b,same); EdgeFace-XS as models/edgeface_xs.onnx there. Every eighth person by name serves for calibration, three
quarters of their photos to learn from and the rest to compare embeddings on; no pair with any of them is in the
accuracy. --write puts the table into the document. ONNX Runtime's times where onnxruntime-node is under build/npm
(scripts/fetch-onnxruntime.sh).
"""
import csv
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

from common import BenchError, bench_net, cpu_name, pin_from_environment, say

DOCUMENT = "docs/QUANTIZATION.md"
BEGIN, END = "<!-- report-quantization begins -->", "<!-- report-quantization ends -->"
ROUNDS = 5
SECONDS = 0.5
STATIC = ["--activations", "static", "--method"]
# What is written, as which options of `model quantize`.
FILES = [
    ("8 bits", []),
    ("8 bits, one scale a tensor", ["--per", "tensor"]),
    ("8 bits, tuned", ["--tune"]),
    ("6 bits", ["--bits", "6"]),
    ("6 bits, tuned", ["--bits", "6", "--tune"]),
    ("4 bits", ["--bits", "4"]),
    ("4 bits, tuned", ["--bits", "4", "--tune"]),
    ("8 bits, static, minmax", STATIC + ["minmax"]),
    ("8 bits, static, percentile", STATIC + ["percentile"]),
    ("8 bits, static, entropy", STATIC + ["entropy"]),
    ("8 bits, static, mse", STATIC + ["mse"]),
    ("8 bits, static, mse, tuned", STATIC + ["mse", "--tune"]),
]


def sha256_of(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def person_of(photo):
    return photo.split("/")[0]


def divide(lfw, work):
    """Folders of symbolic links for calibration and comparison, the pairs that remain, and counts in words."""
    with open(f"{lfw}/pairs.csv", encoding="utf-8") as file:
        pairs = [(row["a"], row["b"], row["same"]) for row in csv.DictReader(file)]
    photos = sorted({photo for pair in pairs for photo in pair[:2]})
    people = sorted({person_of(photo) for photo in photos})
    calibration = set(people[::8])
    chosen = [photo for photo in photos if person_of(photo) in calibration]
    held_out = chosen[len(chosen) - len(chosen) // 4:]
    for folder, members in (("calibration", chosen), ("held-out", held_out)):
        for photo in members:
            os.makedirs(f"{work}/{folder}/{person_of(photo)}", exist_ok=True)
            os.symlink(os.path.abspath(f"{lfw}/images/{photo}"), f"{work}/{folder}/{photo}")
    kept = [pair for pair in pairs if not {person_of(pair[0]), person_of(pair[1])} & calibration]
    with open(f"{work}/pairs.csv", "w", encoding="utf-8") as file:
        file.write("a,b,same\n")
        file.writelines(",".join(pair) + "\n" for pair in kept)
    return (f"{len(chosen)} photos of {len(calibration)} people for calibration, the last {len(held_out)} of them held "
            f"out for the cosine; accuracy over {len(kept)} pairs ({sum(pair[2] == '1' for pair in kept)} of the same "
            f"person) of the {len(people) - len(calibration)} other people")


class Network:
    """A models directory whose fr_feature.conf names any file; and the file's original."""

    def __init__(self, build, work, name, original):
        self.ctl, self.build, self.work, self.name, self.original = f"{build}/facematchctl", build, work, name, original
        self.dir = f"{work}/{name}"
        os.makedirs(self.dir)
        for file in ("fr_detect", "fr_landmark"):
            os.symlink(os.path.abspath(f"build/models/{file}.onnx"), f"{self.dir}/{file}.onnx")
            shutil.copy(f"config/models/{file}.conf", self.dir)
        with open(f"config/models/{name}.conf", encoding="utf-8") as file:
            self.manifest = file.read()
        self.use(original)

    def use(self, path):
        text = re.sub(r"(?m)^sha256 = .*", f"sha256 = {sha256_of(path)}", self.manifest)
        text = re.sub(r"(?m)^name = .*", "name = fr_feature", text)
        text = re.sub(r"(?m)^file = .*", "file = network.onnx", text)
        with open(f"{self.dir}/fr_feature.conf", "w", encoding="utf-8") as file:
            file.write(text)
        link = f"{self.dir}/network.onnx"
        if os.path.lexists(link):
            os.unlink(link)
        os.symlink(os.path.abspath(path), link)

    def run(self, *arguments):
        done = subprocess.run([self.ctl, *arguments], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise BenchError(f"facematchctl {' '.join(arguments)}: {done.stderr.strip()}")
        return json.loads(done.stdout)

    def quantize(self, options, out):
        learns = "--tune" in options or "static" in options
        self.use(self.original)
        return self.run("model", "quantize", "--json", "--models", self.dir, "--photos", "4096", "--calibrate",
                        f"{self.work}/{'calibration' if learns else 'held-out'}", *options, self.original, out)

    def accuracy(self, path, precision, images):
        self.use(path)
        report = self.run("eval", "--models", self.dir, "--images", images, "--pairs", f"{self.work}/pairs.csv",
                          "--precision", precision, "--json", "-")
        return report["accuracy"]


class Row:
    def __init__(self, label, path, precision, cosine, accuracy):
        self.label, self.path, self.precision, self.cosine, self.accuracy = label, path, precision, cosine, accuracy
        self.ours, self.theirs = [], []

    def cells(self, name):
        fastest = lambda times: f"{min(times):.2f}" if times else ""
        return [name, self.label, self.precision, f"{os.path.getsize(self.path) / 1000:.0f}", f"{self.cosine:.4f}",
                f"{100 * self.accuracy:.2f}", fastest(self.ours), fastest(self.theirs)]


def rows_of(network, images):
    rows = []
    for label, options in FILES:
        say(f"{network.name}: {label}")
        out = f"{network.work}/{network.name}-{len(rows)}.onnx"
        output = network.quantize(options, out)["outputs"][0]
        accuracy = network.accuracy(out, "int8", images)
        say(f"  cosine {output['int8_cosine_mean']:.4f}, accuracy {100 * accuracy:.2f} %")
        rows.append(Row(label, out, "int8", output["int8_cosine_mean"], accuracy))
    # Of the original run in int8: --float-depthwise gives the original's results, bit for bit.
    same = network.quantize(["--float-depthwise"], f"{network.work}/same.onnx")["outputs"][0]
    original = network.original
    return [Row("original", original, "float32", 1, network.accuracy(original, "float32", images)),
            Row("original", original, "int8", same["int8_cosine_mean"], network.accuracy(original, "int8", images))] + rows


def onnx_runtime():
    if not os.path.isdir("build/npm/node_modules/onnxruntime-node") or not shutil.which("node"):
        say("ONNX Runtime's times are left out: onnxruntime-node is not under build/npm (scripts/fetch-onnxruntime.sh)")
        return None
    from ort import OnnxRuntime
    return OnnxRuntime()


def time_rows(build, rows):
    """In turns, so that what else the machine does falls on all."""
    runtime = onnx_runtime()
    for row in rows if runtime else []:
        runtime.ask("load", model=row.path)
    for turn in range(ROUNDS):
        say(f"timing, round {turn + 1} of {ROUNDS}")
        for row in rows:
            measured = bench_net(build, row.path, row.precision, SECONDS)
            if isinstance(measured, str):
                raise BenchError(measured)
            row.ours.append(measured["min_ms"])
            if runtime:
                row.theirs += runtime.ask("run", model=row.path, seconds=SECONDS)["ms"]
    return runtime.version if runtime else None


def table(head, lines):
    widths = [max(len(line[i]) for line in [head] + lines) for i in range(len(head))]
    rule = ["-" * width for width in widths]
    return "\n".join("| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths)) + " |"
                     for line in [head, rule] + lines)


def report(build, work):
    shared = os.environ.get("FM_SHARED_DATA", "../shared/data")
    lfw = f"{shared}/lfw-view1"
    if not os.path.isfile(f"{lfw}/pairs.csv"):
        raise BenchError(f"{lfw}/pairs.csv is not there: FM_SHARED_DATA names the folder that holds lfw-view1/images "
                         "and lfw-view1/pairs.csv")
    core = pin_from_environment()
    division = divide(lfw, work)
    networks = [Network(build, work, "fr_feature", "build/models/fr_feature.onnx")]
    edgeface = f"{shared}/models/edgeface_xs.onnx"
    if os.path.isfile(edgeface):
        networks.append(Network(build, work, "edgeface_xs", edgeface))
    named = [(network.name, row) for network in networks for row in rows_of(network, f"{lfw}/images")]
    version = time_rows(build, [row for _, row in named])
    head = ["network", "file", "run in", "KB", "cosine", "accuracy %", "ms", "ORT ms"]
    return (f"LFW View 1: {division}. Times: the fastest run of one thread on {cpu_name()} (core: {core})"
            + (f"; ONNX Runtime {version}, one thread, on the same file" if version else "") + ".\n\n"
            + table(head, [row.cells(name) for name, row in named]))


def write_document(text):
    with open(DOCUMENT, encoding="utf-8") as file:
        before, rest = file.read().split(BEGIN)
    after = rest.split(END)[1]
    with open(DOCUMENT, "w", encoding="utf-8") as file:
        file.write(f"{before}{BEGIN}\n{text}\n{END}{after}")
    say(f"{DOCUMENT} has the new table")


def main():
    if len(sys.argv) not in (2, 3) or sys.argv[2:] not in ([], ["--write"]):
        print(__doc__, file=sys.stderr)
        return 2
    work = tempfile.mkdtemp()
    try:
        text = report(sys.argv[1], work)
        print(text)
        if sys.argv[2:]:
            write_document(text)
    except BenchError as error:
        say(f"quantization.py: {error}")
        return 1
    finally:
        shutil.rmtree(work)
    return 0


if __name__ == "__main__":
    sys.exit(main())
