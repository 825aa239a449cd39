// make-reference.mjs INPUTS MODELS OUT: runs ONNX Runtime on each INPUTS/NETWORK.CASE.f32 and writes
// OUT/NETWORK.CASE.OUTPUT.bin: FNV-1a of the input, a stride, and every stride-th element, all little-endian 32 bit.
// Large outputs are thinned by a stride that meets every column.
import fs from 'node:fs';
import path from 'node:path';
import { createRequire } from 'node:module';

const ort = createRequire(path.resolve('build/npm/x.js'))('onnxruntime-node');
const [inputs, models, out] = process.argv.slice(2);
const shapes = {
	fr_detect: [1, 3, 240, 320], fr_landmark: [1, 1, 64, 64], fr_feature: [1, 3, 112, 112],
	mobilefacenet_foamliu: [1, 3, 112, 112], yunet_n_320_320: [1, 3, 320, 320], yunet_n_dynamic: [1, 3, 64, 96],
	edgeface_xs: [1, 3, 112, 112], edgeface_xxs: [1, 3, 112, 112], fr_feature_qdq: [1, 3, 112, 112],
};

function fnv1a(bytes) {
	let hash = 0x811c9dc5;
	for (const byte of bytes)
		hash = Math.imul(hash ^ byte, 0x01000193);
	return hash >>> 0;
}

fs.mkdirSync(out, { recursive: true });
for (const [network, shape] of Object.entries(shapes)) {
	if (!fs.readdirSync(inputs).some((f) => f.startsWith(`${network}.`)))
		continue;
	const session = await ort.InferenceSession.create(`${models}/${network}.onnx`, {
		intraOpNumThreads: 1,
		extra: { session: { set_denormal_as_zero: '1' } },
	});
	for (const file of fs.readdirSync(inputs).filter((f) => f.startsWith(`${network}.`)).sort()) {
		const bytes = fs.readFileSync(path.join(inputs, file));
		const x = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
		const results = await session.run({ [session.inputNames[0]]: new ort.Tensor('float32', x, shape) });
		for (const name of session.outputNames) {
			const data = results[name].data;
			const stride = data.length > 4096 ? 7 : 1;
			const kept = Float32Array.from({ length: Math.ceil(data.length / stride) }, (_, i) => data[i * stride]);
			const header = Uint32Array.of(fnv1a(bytes), stride);
			const target = path.join(out, `${file.slice(0, -4)}.${name}.bin`);
			fs.writeFileSync(target, Buffer.concat([Buffer.from(header.buffer), Buffer.from(kept.buffer)]));
			console.log(`${target}: ${kept.length} of ${data.length} values`);
		}
	}
}
