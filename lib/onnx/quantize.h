/*
 * ONNX bytes -> ONNX bytes with the weights in 8, 6 or 4 bits.
 *
 * Each constant weight of Conv, Gemm and MatMul (their second input, an initializer or a Constant node)
 * becomes codes and scales that a DequantizeLinear turns back into a tensor of the old name; everything else
 * stays as it was. Biases and slopes stay float32. The codes are those that lib/nn makes of the same weights
 * at load: dequantized and quantized again they come out the same, bit for bit.
 *
 * Codes of 6 and 4 bits lie packed in one uint8 initializer; a few nodes at the front of the graph (BitShift,
 * Concat, Split; for 6 bits also Cast and MatMul, exact in any float format) unpack them, and runtimes that
 * fold constants do so once, at load. 4 bits: code i is the low half of byte i, code i + h the high half,
 * h = ceil(n / 2). 6 bits: bytes [3][h], h = ceil(n / 4), hold three quarters of the codes in their low bits,
 * and a quarter in their high bits, from high to low. The zero point is 2^(bits - 1) unless asymmetric.
 *
 * DequantizeLinear with one scale per channel needs opset 13: an older model is raised to it where every
 * operator in it keeps its meaning or is rewritten, and refused otherwise. Graph inputs that only give an
 * initializer's default (what IR version 3 wanted) are dropped, so that runtimes may fold the weights, and so
 * are the exporter's notes on nodes. Source: ONNX operators' version history; Jacob et al. 2018
 * (arXiv:1712.05877), section 2.
 */
#ifndef FM_ONNX_QUANTIZE_H
#define FM_ONNX_QUANTIZE_H

#include "lib/onnx/onnx.h"

#define FM_ONNX_QUANTIZED_OPSET 13
/* Smaller weights save nothing worth a node. */
#define FM_ONNX_QUANTIZED_ELEMENTS_MIN 256

/*
 * Grouped convolutions with fewer weights per output channel (3x3 depthwise has 9) stay float32: fr_feature's
 * hold 3 % of its bytes, and in 8 bits they take the mean cosine to float32 on faces from 0.9993 to 0.9978.
 */
#define FM_ONNX_QUANTIZED_DEPTHWISE_MIN 16

/* The smallest and largest value that a tensor takes in use. */
struct fm_onnx_range {
	const char *name;
	float low, high; /* finite, low <= high */
};

/*
 * A weight whose codes were found elsewhere (cli/tune.c), symmetric and per output channel, and the bias that
 * goes with them.
 */
struct fm_onnx_tuned {
	const char *name;
	const int8_t *codes; /* as the tensor's elements; within the bits asked for */
	const float *scales; /* [channels], normal numbers */
	/* This input of that node of the model becomes a float32 tensor [channels], where bias is given. */
	const float *bias;
	size_t bias_node, bias_input;
};

/* Zero is the default everywhere: s8, symmetric, one scale per output channel. */
struct fm_onnx_quantize_options {
	unsigned bits;   /* 8, 6 or 4; 0: 8 */
	bool per_tensor; /* one scale for the whole weight */
	/* Zero point, scale = (max - min) / (2^bits - 1); else scale = max|w| / (2^(bits - 1) - 1). */
	bool asymmetric;
	bool float_depthwise; /* leave all convolutions with more than one group as they are */
	/*
	 * Activations with a range, where a quantized layer takes them as its first input, pass through
	 * QuantizeLinear and DequantizeLinear before it: u8, one scale and zero point for the tensor, the
	 * range widened to hold 0.
	 */
	const struct fm_onnx_range *ranges;
	size_t range_count;
	/* Neither per_tensor nor asymmetric then; weights that stay float32 are not among them. */
	const struct fm_onnx_tuned *tuned;
	size_t tuned_count;
};

/* One weight, in the order of the layers. */
struct fm_onnx_quantized_weight {
	const char *name;
	const char *op;    /* of the layer */
	const char *layer; /* its name, may be "" */
	const char *input; /* the layer's first: the activation that the weight multiplies */
	size_t rank;
	size_t dims[FM_ONNX_RANK_MAX];
	unsigned bits;        /* or 32 where it was left alone */
	size_t axis;          /* of its dimensions, that of the output channels */
	size_t node;          /* the layer, in the model */
	size_t bytes_float32; /* before */
	size_t bytes;         /* after: codes, scales, zero points */
	double snr_db;        /* 10 log10 of the weight's energy over the error's; infinite without error */
};

struct fm_onnx_quantized {
	void *bytes;
	size_t length;
	int64_t opset;
	struct fm_onnx_quantized_weight *weights;
	size_t weight_count;
	size_t activation_count;     /* quantized by their ranges */
	struct fm_onnx_model *model; /* owns the weights' names */
};

/*
 * For a model that lib/nn loads; of any other the outcome is an error or a model that is wrong in the same
 * way. memory_max_bytes bounds as fm_onnx_parse's. The bytes given are not needed afterwards. Errors:
 * fm_onnx_parse's; FM_E_UNSUPPORTED names the operator that cannot be raised; FM_E_INVALID when there is no
 * weight to quantize; FM_E_CORRUPT for a weight that is infinite or not a number.
 */
enum fm_status fm_onnx_quantize(const void *bytes, size_t length,
        const struct fm_onnx_quantize_options *options, size_t memory_max_bytes,
        struct fm_onnx_quantized *ret_quantized, struct fm_error *err);
void fm_onnx_quantized_done(struct fm_onnx_quantized *quantized);

/*
 * The same model with the named activations, float32, for its outputs: to be run for their ranges. *ret_bytes
 * is the caller's to free(). Errors: fm_onnx_parse's; FM_E_TOO_LARGE beyond FM_ONNX_OPERANDS_MAX names. That
 * the names exist, lib/nn checks at load.
 */
enum fm_status fm_onnx_tap(const void *bytes, size_t length, const char *const *names, size_t count,
        size_t memory_max_bytes, void **ret_bytes, size_t *ret_length, struct fm_error *err);

#endif
