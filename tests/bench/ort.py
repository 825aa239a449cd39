"""The process of onnxruntime.mjs, as an object."""
import json
import subprocess

from common import BenchError


class OnnxRuntime:
    def __init__(self):
        try:
            self._node = subprocess.Popen(["node", "tests/bench/onnxruntime.mjs"], stdin=subprocess.PIPE,
                                          stdout=subprocess.PIPE, text=True)
        except FileNotFoundError:
            raise BenchError("node is missing: run scripts/install-deps.sh bench-peers") from None
        self.version = self.ask("version")["version"]

    def ask(self, verb, **arguments):
        try:
            print(json.dumps({"do": verb, **arguments}), file=self._node.stdin, flush=True)
        except BrokenPipeError:
            raise BenchError("ONNX Runtime's process has ended") from None
        line = self._node.stdout.readline()
        if not line:
            raise BenchError("ONNX Runtime's process has ended: is onnxruntime-node under build/npm? "
                             "scripts/bench-peers.sh installs it")
        answer = json.loads(line)
        if "error" in answer:
            raise BenchError(f"ONNX Runtime: {answer['error']}")
        return answer

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._node.stdin.close()
        self._node.wait()
