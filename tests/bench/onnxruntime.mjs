// A process that holds ONNX Runtime's sessions for the Python scripts beside it: one JSON request a line on standard
// input, one JSON answer a line on standard output. One thread, denormals flushed.
//
//   {do: "fold", model, to}          writes the network with constants and batch norms folded, standard ops only
//   {do: "ranges", model, inputs}    {name: [low, high]} of the input and each output over the input files (raw float32)
//   {do: "outputs", model, inputs}   per input file the first output, flattened
//   {do: "load", model}              keeps a session
//   {do: "run", model, seconds}      {ms: [...]}: runs it on made-up input after a warm-up of 0.2 s
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';

const ort = createRequire(resolve('build/npm/bench.js'))('onnxruntime-node');
const sessions = new Map();

function create(model, more = {}) {
	return ort.InferenceSession.create(model, {
		intraOpNumThreads: 1,
		interOpNumThreads: 1,
		executionMode: 'sequential',
		graphOptimizationLevel: 'all',
		logSeverityLevel: 3,
		// Takes hold of the main thread, where sessions run, with the first session of a process.
		extra: { session: { set_denormal_as_zero: '1' } },
		...more,
	});
}

function feeds(session, data) {
	const { name, shape } = session.inputMetadata[0];
	const dims = shape.map((d) => (typeof d === 'number' && d > 0 ? d : 1));
	return { [name]: new ort.Tensor('float32', data(dims.reduce((a, b) => a * b, 1)), dims) };
}

function fromFile(path) {
	const bytes = readFileSync(path);
	return () => new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
}

function pattern(count) {
	const input = new Float32Array(count);
	let state = 1;
	for (let i = 0; i < count; i++) {
		state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
		input[i] = (state / 2 ** 32) * 2 - 1;
	}
	return input;
}

async function timeRuns(session, seconds) {
	const input = feeds(session, pattern);
	const timesFor = async (s, least) => {
		const times = [];
		const end = performance.now() + s * 1000;
		while (times.length < least || performance.now() < end) {
			const begin = performance.now();
			await session.run(input);
			times.push(performance.now() - begin);
		}
		return times;
	};
	await timesFor(0.2, 3);
	return timesFor(seconds, 3);
}

const answers = {
	async version() {
		return { version: ort.env.versions.node };
	},
	async fold({ model, to }) {
		const session = await create(model, { graphOptimizationLevel: 'basic', optimizedModelFilePath: to });
		await session.release();
		return {};
	},
	async ranges({ model, inputs }) {
		const session = await create(model, { graphOptimizationLevel: 'disabled' });
		const ranges = {};
		for (const input of inputs) {
			const data = feeds(session, fromFile(input));
			const outputs = await session.run(data);
			for (const [name, tensor] of [...Object.entries(data), ...Object.entries(outputs)]) {
				if (tensor.type !== 'float32') continue;
				const range = (ranges[name] ??= [0, 0]);
				for (const v of tensor.data) {
					if (v < range[0]) range[0] = v;
					if (v > range[1]) range[1] = v;
				}
			}
		}
		await session.release();
		return ranges;
	},
	async outputs({ model, inputs }) {
		const session = await create(model);
		const found = [];
		for (const input of inputs) {
			const outputs = await session.run(feeds(session, fromFile(input)));
			found.push([...outputs[session.outputNames[0]].data]);
		}
		await session.release();
		return { outputs: found };
	},
	async load({ model }) {
		sessions.set(model, await create(model));
		return {};
	},
	async run({ model, seconds }) {
		return { ms: await timeRuns(sessions.get(model), seconds) };
	},
};

for await (const line of createInterface({ input: process.stdin })) {
	const request = JSON.parse(line);
	let answer;
	try {
		answer = await answers[request.do](request);
	} catch (error) {
		answer = { error: error.message };
	}
	process.stdout.write(JSON.stringify(answer) + '\n');
}
