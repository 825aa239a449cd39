// run-onnxruntime.mjs MODEL.onnx X.npy DIR: runs the model, writes each output as raw float32 into DIR, and prints
// {name: [file, dims]}. Needs onnxruntime-node under build/npm.
import fs from 'node:fs';
import path from 'node:path';
import { createRequire } from 'node:module';

const ort = createRequire(path.resolve('build/npm/x.js'))('onnxruntime-node');
const [model, input, dir] = process.argv.slice(2);
const bytes = fs.readFileSync(input);
const body = bytes.subarray(10 + bytes.readUInt16LE(8));
const x = new Float32Array(body.buffer.slice(body.byteOffset, body.byteOffset + body.length));
const session = await ort.InferenceSession.create(model, {
	intraOpNumThreads: 1,
	logSeverityLevel: 3,
	extra: { session: { set_denormal_as_zero: '1' } },
});
const { name, shape } = session.inputMetadata[0];
const outputs = await session.run({ [name]: new ort.Tensor('float32', x, shape.map((d) => (d > 0 ? d : 1))) });
const written = {};
Object.entries(outputs).forEach(([output, tensor], i) => {
	const file = path.join(dir, `output${i}.raw`);
	fs.writeFileSync(file, Buffer.from(tensor.data.buffer, tensor.data.byteOffset, tensor.data.byteLength));
	written[output] = [file, [...tensor.dims]];
});
console.log(JSON.stringify(written));
