#!/usr/bin/python3 -B
"""A statically quantized network step by step: from one QuantizeLinear's input to the next.

    scripts/check-quantized-steps.py FACEMATCHCTL WORK NETWORK.onnx

Roundings spread: where a sum lies within a float's error of half a step, two right computations store different
integers, and the rest of the network goes different ways. So each step is given what ONNX Runtime had there, and must
give what ONNX Runtime gave, within 1e-5 of its largest value, but for the few outputs that such a half reaches: one
step of an input may be off, and with it all that it is multiplied into, by no more than that step. Says how often.
Needs python3-onnx and python3-numpy.
"""
import json
import subprocess
import sys

import numpy
import onnx
from onnx import TensorProto, helper

TOLERANCE = 1e-5
# Of the values of all steps, how many may lie within reach of a half.
SHARE_MAX = 0.001


def float_info(name, shape=None):
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


class Graph:
    def __init__(self, path):
        self.model = onnx.load(path)
        graph = self.model.graph
        self.initializers = {tensor.name: tensor for tensor in graph.initializer}
        self.maker = {output: node for node in graph.node for output in node.output}
        self.cuts = {node.input[0] for node in graph.node if node.op_type == "QuantizeLinear"}
        made = [node.input[0] for node in graph.node if node.op_type == "QuantizeLinear"]
        self.targets = [name for name in made if name in self.maker] + [output.name for output in graph.output]

    def save(self, path, nodes, inputs, outputs, more=()):
        used = {name for node in nodes for name in node.input}
        tensors = [tensor for name, tensor in self.initializers.items() if name in used]
        graph = helper.make_graph(nodes, "part", inputs, outputs, tensors + list(more))
        model = helper.make_model(graph, opset_imports=self.model.opset_import)
        model.ir_version = self.model.ir_version
        onnx.save(model, path)

    def save_tapped(self, path):
        graph = self.model.graph
        self.save(path, graph.node, graph.input, [float_info(name) for name in self.targets])

    def between(self, target):
        """The nodes that make the target, and what goes into the first of them."""
        made, inputs, waiting = set(), [], [target]
        while waiting:
            name = waiting.pop()
            if name in made or name in inputs or name in self.initializers or not name:
                continue
            if name not in self.maker or (name in self.cuts and name != target):
                inputs.append(name)
                continue
            made.add(name)
            waiting += self.maker[name].input
        return [node for node in self.model.graph.node if made & set(node.output)], inputs

    def save_between(self, path, target, shapes):
        """One flat input, because `model run` gives one."""
        nodes, inputs = self.between(target)
        sizes = [int(numpy.prod(shapes[name])) for name in inputs]
        split = [helper.make_node("Split", ["step.all", "step.sizes"], [f"step.{i}" for i in range(len(inputs))], axis=0)]
        more = [helper.make_tensor("step.sizes", TensorProto.INT64, [len(sizes)], sizes)]
        for i, name in enumerate(inputs):
            more.append(helper.make_tensor(f"step.shape{i}", TensorProto.INT64, [len(shapes[name])], shapes[name]))
            split.append(helper.make_node("Reshape", [f"step.{i}", f"step.shape{i}"], [name]))
        used = {name for node in split for name in node.input}
        self.save(path, split + nodes, [float_info("step.all", [sum(sizes)])], [float_info(target)],
                  [tensor for tensor in more if tensor.name in used])
        return inputs


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{command[0]}: {done.stderr.strip()}")
    return done.stdout


def main():
    ctl, work, path = sys.argv[1:]
    graph = Graph(path)
    info = graph.model.graph.input[0]
    shape = [dim.dim_value or 1 for dim in info.type.tensor_type.shape.dim]
    x = numpy.random.default_rng(1).uniform(-1, 1, shape).astype(numpy.float32)
    # Pixels of a photo resemble their neighbours.
    for axis in (2, 3):
        x = sum(numpy.roll(x, shift, axis) for shift in range(8)) / 4
    numpy.save(f"{work}/x.npy", x)
    graph.save_tapped(f"{work}/tapped.onnx")
    theirs = json.loads(run("node", "scripts/run-onnxruntime.mjs", f"{work}/tapped.onnx", f"{work}/x.npy", work))
    values = {name: numpy.fromfile(file, numpy.float32).reshape(dims) for name, (file, dims) in theirs.items()}
    values[info.name] = x
    shapes = {name: list(value.shape) for name, value in values.items()}

    total = off = 0
    worst_near = worst_off = 0.0
    for target in graph.targets:
        inputs = graph.save_between(f"{work}/step.onnx", target, shapes)
        numpy.save(f"{work}/in.npy", numpy.concatenate([values[name].ravel() for name in inputs]))
        run(ctl, "model", "run", f"{work}/step.onnx", "--input", f"{work}/in.npy", "--output", f"{work}/out.npy",
            "--precision", "float32")
        wanted = values[target].ravel()
        errors = numpy.abs(numpy.load(f"{work}/out.npy").ravel() - wanted) / max(float(numpy.abs(wanted).max()), 0.01)
        far = errors > TOLERANCE
        total, off = total + errors.size, off + int(far.sum())
        worst_near = max(worst_near, float(errors[~far].max(initial=0)))
        worst_off = max(worst_off, float(errors[far].max(initial=0)))
    right = off <= SHARE_MAX * total and worst_off < 0.05
    print(f"{'ok  ' if right else 'FAIL'} {path.rsplit('/', 1)[-1]}, {len(graph.targets)} steps: {total - off} of {total} "
          f"values differ by at most {worst_near:.1e} of the largest, {off} by up to {worst_off:.1e}")
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
