"""
Writes the graphs that the peers run, from a float32 network of ours:

  NAME.float32.onnx   as it is, with denormal weights set to zero
  NAME.dynamic.onnx   as ONNX Runtime's quantize_dynamic makes it: DynamicQuantizeLinear on the activations of every
                      Conv and every product with constant weights, ConvInteger or MatMulInteger, Cast, Mul
  NAME.qdq.onnx       as ONNX Runtime's quantize_static makes it: QuantizeLinear and DequantizeLinear around every
                      Conv, every product with constant weights, and what lies between and keeps to u8;
                      the ranges of activations from calibration

Weights are s8 and symmetric: per tensor in the dynamic graph, which is quantize_dynamic's default, and per output
channel in the QDQ graph. Constants and batch norms are folded by ONNX Runtime beforehand, its own advice.
"""
import os

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, version_converter

from common import BenchError, say

OPSET = 13
COSINE_MIN = 0.8  # of a graph that is quantized, not broken
# What follows quantized activations in u8 too: with its input's scale, or with one of its own.
SAME_RANGE_OPS = {"MaxPool", "Resize", "Reshape", "Transpose", "Flatten", "Squeeze", "Unsqueeze", "Slice"}
RESCALED_OPS = {"Add", "Concat", "Relu", "Sigmoid"}


def flush_denormals(model):
    tiny = np.finfo(np.float32).tiny
    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT:
            values = numpy_helper.to_array(tensor)
            if ((values != 0) & (np.abs(values) < tiny)).any():
                flushed = np.where(np.abs(values) < tiny, np.float32(0), values)
                tensor.CopyFrom(numpy_helper.from_array(flushed, tensor.name))
    return model


class Graph:
    """A model under change: constants by name, nodes in order, names that are free."""

    def __init__(self, path):
        model = onnx.load(path)
        if model.opset_import[0].version < OPSET:
            model = version_converter.convert_version(model, OPSET)
        self.model, self.graph = model, model.graph
        for node in [n for n in self.graph.node if n.op_type == "Constant"]:
            self.graph.initializer.append(node.attribute[0].t)
            self.graph.initializer[-1].name = node.output[0]
            self.graph.node.remove(node)
        self.constants = {t.name: numpy_helper.to_array(t) for t in self.graph.initializer}
        self.outputs = {o.name for o in self.graph.output}
        self.gemm_to_matmul()

    def add_constant(self, name, array):
        if name not in self.constants:
            self.constants[name] = array
            self.graph.initializer.append(numpy_helper.from_array(array, name))
        return name

    def is_weighted(self, node):
        """A Conv, or a product with constant weights."""
        return node.op_type in ("Conv", "MatMul") and node.input[1] in self.constants

    def is_activation(self, name):
        return name and name not in self.constants

    def gemm_to_matmul(self):
        """Gemm becomes MatMul and Add, as quantize_dynamic has it."""
        nodes = []
        for node in self.graph.node:
            attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
            if node.op_type == "Gemm" and node.input[1] in self.constants and not attributes.get("transA") and \
                    attributes.get("alpha", 1) == 1 and attributes.get("beta", 1) == 1:
                weights = self.constants[node.input[1]]
                weights = np.ascontiguousarray(weights.T) if attributes.get("transB") else weights
                name = self.add_constant(node.input[1] + "_matmul", weights)
                product = node.output[0] + "_product" if len(node.input) > 2 else node.output[0]
                nodes.append(helper.make_node("MatMul", [node.input[0], name], [product]))
                if len(node.input) > 2:
                    nodes.append(helper.make_node("Add", [product, node.input[2]], [node.output[0]]))
            else:
                nodes.append(node)
        self.replace_nodes(nodes)

    def replace_nodes(self, nodes):
        nodes = list(nodes)
        del self.graph.node[:]
        self.graph.node.extend(nodes)

    def save(self, path):
        used = {name for node in self.graph.node for name in node.input}
        kept = [t for t in self.graph.initializer if t.name in used]
        del self.graph.initializer[:]
        self.graph.initializer.extend(kept)
        # Inputs that merely name an initializer, which old exporters write, would outlive it.
        inputs = [i for i in self.graph.input if i.name not in self.constants]
        del self.graph.input[:]
        self.graph.input.extend(inputs)
        del self.graph.value_info[:]
        onnx.save(self.model, path)


def symmetric_s8(weights, axis=None):
    """Codes -127..127 and their scale, one or per index of the axis."""
    others = tuple(i for i in range(weights.ndim) if i != axis) if axis is not None else None
    largest = np.abs(weights).max(axis=others, keepdims=axis is not None)
    scale = np.where(largest > 0, largest / 127, 1).astype(np.float32)
    codes = np.clip(np.rint(weights / scale), -127, 127).astype(np.int8)
    return codes, scale.reshape(-1) if axis is not None else np.float32(scale)


def dynamic(source, to):
    g = Graph(source)
    nodes, quantized = [], {}
    for node in g.graph.node:
        if not g.is_weighted(node):
            nodes.append(node)
            continue
        data, weights, out = node.input[0], node.input[1], node.output[0]
        if data not in quantized:
            quantized[data] = [data + "_codes", data + "_scale", data + "_zero"]
            nodes.append(helper.make_node("DynamicQuantizeLinear", [data], quantized[data]))
        codes, scale, zero = quantized[data]
        w_codes, w_scale = symmetric_s8(g.constants[weights])
        integers = helper.make_node(
            "ConvInteger" if node.op_type == "Conv" else "MatMulInteger",
            [codes, g.add_constant(weights + "_codes", w_codes), zero,
             g.add_constant(weights + "_zero", np.int8(0))], [out + "_s32"])
        if node.op_type == "Conv":
            integers.attribute.extend(node.attribute)
        bias = node.op_type == "Conv" and len(node.input) > 2 and node.input[2]
        nodes += [
            integers,
            helper.make_node("Cast", [out + "_s32"], [out + "_f32"], to=TensorProto.FLOAT),
            helper.make_node("Mul", [scale, g.add_constant(weights + "_scale", w_scale)], [out + "_rescale"]),
            helper.make_node("Mul", [out + "_f32", out + "_rescale"], [out + "_nobias" if bias else out]),
        ]
        if bias:
            shaped = g.constants[bias].reshape([1, -1] + [1] * (g.constants[weights].ndim - 2))
            nodes.append(helper.make_node("Add", [out + "_nobias", g.add_constant(bias + "_add", shaped)], [out]))
    g.replace_nodes(nodes)
    g.save(to)


def with_all_outputs(source, to):
    """Every activation as an output, for calibration."""
    g = Graph(source)
    for node in g.graph.node:
        for name in node.output:
            if name and name not in g.outputs:
                g.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    shapes = onnx.shape_inference.infer_shapes(g.model)
    types = {v.name: v.type.tensor_type.elem_type for v in shapes.graph.value_info}
    for output in g.graph.output:
        if output.name in types:
            output.type.tensor_type.elem_type = types[output.name]
    g.save(to)


class Qdq:
    """Marks the activations that get a scale, then writes their pairs. See qdq()."""

    def __init__(self, source, ranges):
        self.g = Graph(source)
        self.ranges = ranges
        self.params = {}  # activation: the name of its scale and of its zero point
        self.readers = {}
        for node in self.g.graph.node:
            for name in node.input:
                self.readers.setdefault(name, []).append(node)

    def mark(self, name, like=None):
        if name in self.params or name not in self.ranges:
            return
        if like:
            self.params[name] = self.params[like]
            return
        low, high = self.ranges[name]
        scale = np.float32((high - low) / 255 or 1)
        zero = np.uint8(np.clip(np.rint(-low / scale), 0, 255))
        self.params[name] = (self.g.add_constant(name + "_scale", scale), self.g.add_constant(name + "_zero", zero))

    def is_fused(self, node):
        """Between a Conv and the activation that alone reads it, nothing is rounded."""
        readers = self.readers.get(node.output[0], [])
        return node.op_type == "Conv" and node.output[0] not in self.g.outputs and len(readers) == 1 and \
            readers[0].op_type in ("Relu", "Clip")

    def mark_all(self):
        fused = set()
        for node in self.g.graph.node:
            inputs = [name for name in node.input if self.g.is_activation(name)]
            if self.g.is_weighted(node):
                self.mark(node.input[0])
                if self.is_fused(node):
                    fused.add(node.output[0])
                else:
                    self.mark(node.output[0])
            elif inputs and inputs[0] in fused:
                self.mark(node.output[0])
            elif inputs and all(name in self.params for name in inputs):
                if node.op_type in SAME_RANGE_OPS:
                    self.mark(node.output[0], like=inputs[0])
                elif node.op_type in RESCALED_OPS and len(inputs) == len(node.input):
                    self.mark(node.output[0])

    def constant_weights(self, node, nodes):
        """Inputs of a weighted node, from codes."""
        g, data, weights = self.g, node.input[0], node.input[1]
        axis = 0 if node.op_type == "Conv" else 1
        codes, scale = symmetric_s8(g.constants[weights], axis)
        inputs = [data + "_dq" if data in self.params else data, weights + "_dq"]
        nodes.append(helper.make_node(
            "DequantizeLinear",
            [g.add_constant(weights + "_codes", codes), g.add_constant(weights + "_scale", scale),
             g.add_constant(weights + "_zero", np.zeros(len(scale), np.int8))], [weights + "_dq"], axis=axis))
        if len(node.input) > 2 and node.input[2]:
            bias = node.input[2]
            bias_scale = g.constants[self.params[data][0]] * scale
            s32 = np.clip(np.rint(g.constants[bias] / bias_scale), -2 ** 31, 2 ** 31 - 1).astype(np.int32)
            nodes.append(helper.make_node(
                "DequantizeLinear",
                [g.add_constant(bias + "_codes", s32), g.add_constant(bias + "_scale", bias_scale),
                 g.add_constant(bias + "_zero", np.zeros(len(scale), np.int32))], [bias + "_dq"], axis=0))
            inputs.append(bias + "_dq")
        return inputs

    def pair(self, name, nodes, source=None):
        """QuantizeLinear and DequantizeLinear of an activation. A network's output keeps its name behind them."""
        nodes.append(helper.make_node("QuantizeLinear", [source or name, *self.params[name]], [name + "_q"]))
        nodes.append(helper.make_node("DequantizeLinear", [name + "_q", *self.params[name]],
                                      [name if source else name + "_dq"]))

    def write(self, to):
        nodes = []
        for value in self.g.graph.input:
            if value.name in self.params:
                self.pair(value.name, nodes)
        for node in self.g.graph.node:
            if self.g.is_weighted(node):
                inputs = self.constant_weights(node, nodes)
            else:
                inputs = [name + "_dq" if name in self.params else name for name in node.input]
            del node.input[:]
            node.input.extend(inputs)
            nodes.append(node)
            for number, name in enumerate(node.output):
                if name in self.params and name in self.g.outputs:
                    node.output[number] = name + "_raw"
                    self.pair(name, nodes, name + "_raw")
                    if name in self.readers:
                        nodes.append(helper.make_node("Identity", [name], [name + "_dq"]))
                elif name in self.params:
                    self.pair(name, nodes)
        self.g.replace_nodes(nodes)
        self.g.save(to)


def qdq(source, to, ranges):
    graph = Qdq(source, ranges)
    graph.mark_all()
    graph.write(to)


def cosine(a, b):
    a, b = np.array(a), np.array(b)
    return float((a @ b) / np.sqrt((a @ a) * (b @ b)))


def prepare(ort, network, source, inputs, directory):
    """
    Writes the three graphs unless they are there, newer than the source. Returns their paths by form. Each is run
    once over the inputs: a graph that no longer computes the network would be a worthless peer.
    """
    paths = {form: os.path.join(directory, f"{network}.{form}.onnx") for form in ("float32", "dynamic", "qdq")}
    newest = max(os.path.getmtime(path) for path in (source, __file__))
    if all(os.path.exists(path) and os.path.getmtime(path) > newest for path in paths.values()):
        return paths
    folded, probe = os.path.join(directory, f"{network}.folded.onnx"), os.path.join(directory, f"{network}.probe.onnx")
    onnx.save(flush_denormals(onnx.load(source)), paths["float32"])
    ort.ask("fold", model=paths["float32"], to=folded)
    with_all_outputs(folded, probe)
    dynamic(folded, paths["dynamic"])
    qdq(folded, paths["qdq"], ort.ask("ranges", model=probe, inputs=inputs))
    for path in (folded, probe):
        os.remove(path)
    truth = ort.ask("outputs", model=paths["float32"], inputs=inputs)["outputs"]
    for form in ("dynamic", "qdq"):
        outputs = ort.ask("outputs", model=paths[form], inputs=inputs)["outputs"]
        mean = float(np.mean([cosine(a, b) for a, b in zip(truth, outputs)]))
        say(f"{network}.{form}.onnx: mean cosine to float32 {mean:.4f} over {len(inputs)} inputs")
        if not mean > COSINE_MIN:
            os.remove(paths[form])
            raise BenchError(f"{network}.{form}.onnx does not compute what {network} computes")
    return paths
