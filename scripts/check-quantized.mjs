// check-quantized.mjs FACEMATCHCTL WORK NETWORK.onnx…: see check-quantized.sh.
import fs from 'node:fs';
import path from 'node:path';
import { execFileSync } from 'node:child_process';
import { createRequire } from 'node:module';

const ort = createRequire(path.resolve('build/npm/x.js'))('onnxruntime-node');
const [facematchctl, work, ...networks] = process.argv.slice(2);
const tolerance = 1e-4; // of an output's largest value; of 0.01 where that is smaller: sigmoids near 0 round coarsely
const variants = [[], ['--float-depthwise'], ['--per', 'tensor'], ['--asymmetric'], ['--per', 'tensor', '--asymmetric'],
	['--bits', '6'], ['--bits', '4'], ['--bits', '6', '--asymmetric'], ['--bits', '4', '--per', 'tensor', '--asymmetric']];

function ctl(...args) {
	return execFileSync(facematchctl, args, { encoding: 'utf8', maxBuffer: 1 << 26 });
}

function writeNpy(file, shape, data) {
	const text = `{'descr': '<f4', 'fortran_order': False, 'shape': (${shape.join(', ')},), }`;
	const header = Buffer.from(text.padEnd(Math.ceil((text.length + 11) / 64) * 64 - 11) + '\n', 'latin1');
	const start = Buffer.from([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, header.length & 255, header.length >> 8]);
	fs.writeFileSync(file, Buffer.concat([start, header, Buffer.from(data.buffer)]));
}

function readNpy(file) {
	const bytes = fs.readFileSync(file);
	const body = bytes.subarray(10 + bytes.readUInt16LE(8));
	return new Float32Array(body.buffer.slice(body.byteOffset, body.byteOffset + body.length));
}

// Static activations of fr_feature, by the ranges on the demo photos' faces. There a sum that lies near a half becomes
// one integer here and the other there, and sends the rest of the network another way: the output is held to a cosine,
// and check-quantized-steps.py compares step by step.
const cosineMin = 0.98;
function cosine(a, b) {
	const dot = (x, y) => x.reduce((sum, value, i) => sum + value * y[i], 0);
	return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
}

const faces = path.join(work, 'faces');
function variantsOf(network) {
	if (path.basename(network) !== 'fr_feature.onnx' || !fs.existsSync('build/demo/sample1.jpg'))
		return variants;
	fs.mkdirSync(path.join(faces, 'demo'), { recursive: true });
	for (const photo of fs.readdirSync('build/demo').filter((f) => f.endsWith('.jpg')))
		fs.copyFileSync(path.join('build/demo', photo), path.join(faces, 'demo', photo));
	return [...variants, ['--bits', '4', '--tune', '--calibrate', faces], ['--activations', 'static', '--bits', '6', '--calibrate', faces],
		['--activations', 'static', '--calibrate', faces]];
}

async function check(network, options) {
	const quantized = path.join(work, path.basename(network));
	const report = JSON.parse(ctl('model', 'quantize', ...options, '--json', network, quantized));
	const inspected = JSON.parse(ctl('model', 'inspect', '--json', quantized));
	const { name, shape } = inspected.inputs[0];
	const x = new Float32Array(shape.reduce((a, b) => a * b, 1));
	for (let i = 0, state = 1; i < x.length; i++) {
		state = (Math.imul(state, 1664525) + 1013904223) >>> 0; // Numerical Recipes' generator
		x[i] = state / 2 ** 31 - 1;
	}

	const session = await ort.InferenceSession.create(quantized, {
		intraOpNumThreads: 1,
		// By default it makes MatMulNBits of a MatMul with 8-bit weights, which quantizes activations: 1 is float32.
		extra: { session: { set_denormal_as_zero: '1', qdq_matmulnbits_accuracy_level: '1' } },
	});
	const theirs = await session.run({ [name]: new ort.Tensor('float32', x, shape) });
	const [input, output] = [path.join(work, 'x.npy'), path.join(work, 'y.npy')];
	writeNpy(input, shape, x);
	ctl('model', 'run', quantized, '--input', input, '--output', output, '--precision', 'float32');

	const isStatic = options.includes('static');
	let worst = 0, nearest = 1;
	for (const { name: out } of inspected.outputs) {
		const file = inspected.outputs.length === 1 ? output : path.join(work, `y.${out}.npy`);
		const [ours, wanted] = [readNpy(file), theirs[out].data];
		if (ours.length !== wanted.length || ours.length === 0)
			throw new Error(`${out}: ${ours.length} values here, ${wanted.length} in ONNX Runtime`);
		const largest = wanted.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
		const error = wanted.reduce((a, b, i) => Math.max(a, Math.abs(b - ours[i])), 0);
		nearest = Math.min(nearest, cosine(ours, wanted));
		worst = Math.max(worst, error / Math.max(largest, 0.01));
	}
	const right = isStatic ? nearest >= cosineMin : worst <= tolerance;
	console.log(`${right ? 'ok  ' : 'FAIL'} ${path.basename(network)} ${options.join(' ') || 'default'}: ` +
		`${report.file_bytes_before} -> ${report.file_bytes} bytes, differs by ${worst.toExponential(2)}, cosine ${nearest.toFixed(6)}`);
	return right;
}

let failed = 0;
for (const network of networks)
	for (const options of variantsOf(network))
		failed += !(await check(network, options));
process.exit(failed ? 1 : 0);
