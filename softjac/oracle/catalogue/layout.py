"""Mistakes in which element, lane, tail or row is used: the layout of loops and arrays."""

from __future__ import annotations

from softjac.oracle.catalogue.entry import Entry

__all__ = ["LAYOUT"]

LAYOUT: dict[str, Entry] = {
    "batch-reduced": Entry(
        "The sum in the derivative runs over the whole batch instead of each row.",
        "The candidate computes one s = sum(y * dy) over all rows (or drops keepdims, so that "
        "sums of different rows meet) and uses it for every row. Each row has its own: "
        "dx_ri = y_ri (dy_ri - sum_j y_rj dy_rj). A batch of one row hides it.",
        "Sum along the class axis only, one sum for each row (axis=-1, keepdims=True).",
        ("SKaiNET#863",),
    ),
    "first-row-only": Entry(
        "Only the first row is right; the others repeat it, use its sums, or are left out.",
        "The loop over the rows is missing, or what belongs inside it (maximum, sum, pointer) "
        "stands before it, so rows after the first are not written, are copies, or are "
        "computed with the first row's numbers. A batch of one row hides it.",
        "Compute maximum, sum and pointers inside the loop over the rows.",
        ("tutorial code that keeps one sample's Jacobian",),
    ),
    "last-row-only": Entry(
        "Only the last row is right; the others use its sums or are left out.",
        "The maximum or sum of each row is overwritten by the next one before it is used, or "
        "all rows are stored in one place. A batch of one row hides it.",
        "Finish a row before starting the next, or keep one maximum and one sum for each row.",
        ("tutorial code that keeps one sample's Jacobian",),
    ),
    "wrong-axis": Entry(
        "The reduction runs along the wrong axis.",
        "The candidate normalises (or sums) down the columns, over the rows of the batch, or "
        "over a flattened array, instead of along the classes. Square inputs and a batch of "
        "equal rows hide it.",
        "Reduce along the class axis: stride 1 inside a row of n, in Python axis=-1.",
        ("CUDA.jl#599", "chainer#5502", "openvino#37823", "tvm#20183", "onnx#3244"),
    ),
    "lane-error": Entry(
        "Some lanes of the vector loop are wrong: elements at fixed positions modulo the vector "
        "length.",
        "The wrong elements, or the elements missing from a sum, all have the same index modulo "
        "the vector length: a lane dropped in the horizontal reduction, a wrong shuffle, an "
        "accumulator that is never added. In a long row one lane is a small part of any sum; a "
        "spike of the input in that lane makes the error large.",
        "Compare the horizontal reduction and the shuffles lane by lane; the evidence names "
        "the lanes.",
    ),
    "pointer-not-advanced": Entry(
        "A pointer is not advanced in the vector loop, so every block reads the first block's "
        "data.",
        "One of the operands is loaded from the same address in each iteration (or each "
        "unrolled step): from the second block on, dy_i is really dy_(i mod L). Short rows "
        "hide it, and so does a constant operand.",
        "Advance the pointer with the others, or index all operands with the loop variable.",
        ("a published AVX kernel",),
    ),
    "tail-ignored": Entry(
        "The last n mod L elements are left out of a step.",
        "A vector loop covers a multiple of L elements and no scalar loop follows it, so the "
        "tail is missing from the maximum, from the normaliser or sum(y * dy), or from the last "
        "step, though it may be written. Lengths that are multiples of L hide it.",
        "Add the remaining elements, with a masked load (neutral element in the unused lanes) "
        "or a scalar loop.",
    ),
    "tail-not-written": Entry(
        "The last n mod L elements of a row are never written.",
        "The storing loop stops at the last full vector, so the tail keeps what was in memory "
        "before. Zeroed buffers and lengths that are multiples of L hide it.",
        "Store the remaining elements with a masked store or a scalar loop.",
        ("pytorch#75923",),
    ),
    "tail-leaks-in": Entry(
        "Unused lanes of the last vector enter the reduction.",
        "The tail is padded with a value that is not neutral: zeros (or -1e4) enter the maximum "
        "or add exp(0 - max) to the sum, once for each unused lane. Rows of large positive "
        "logits and lengths that are multiples of L hide it.",
        "Pad with -infinity for the maximum, and set the unused lanes of exp to zero before "
        "they are added.",
        ("NNPACK#174", "CTranslate2#351", "tract#2318", "vllm#55009"),
    ),
    "output-not-written": Entry(
        "Some elements of the output are never written.",
        "Elements other than a row's tail keep what was in memory before the call: a skipped "
        "row, a branch that stores nothing, an early return. Freshly zeroed buffers hide it.",
        "Store every element on every path, zeros included.",
        ("pytorch#75923",),
    ),
    "accumulates": Entry(
        "The result is added to the output instead of stored (or stored where adding is the "
        "contract).",
        "out[i] += r keeps what was there before: right only when the caller cleared the "
        "array, wrong from the second call on. With --accumulates the contract is the reverse, "
        "and out[i] = r loses what was there.",
        "Store with =; or, if adding is meant, say so with --accumulates.",
        ("micrograd#102", "mxnet#17989"),
    ),
    "row-stride": Entry(
        "The distance between rows is wrong.",
        "The row stride of an array is ignored, taken from another array, counted in bytes, or "
        "assumed to be n: the first row is right and the following ones read or write shifted "
        "data. Contiguous arrays hide it.",
        "Start row r of each array at base + r * its own stride, in elements; in Python, "
        "respect the strides or make a contiguous copy.",
        ("burn#4815", "apex#1568", "FlagGems#5723", "pytorch#139740"),
    ),
    "index-overflow": Entry(
        "An index or a length does not fit the integer type that holds it.",
        "n, or rows * n, wraps in 16 or 32 bits: elements after 65535 (or offsets past 2^31) "
        "are left out or land in the wrong place. Small arrays hide it.",
        "Use size_t (or ptrdiff_t) for lengths, indices and their products.",
        ("pytorch#84144", "onnxruntime#32299", "Paddle#71935"),
    ),
    "size-specialised": Entry(
        "The path taken for some lengths is wrong.",
        "Results are right at other lengths and wrong on a range of n, at one n, or above a "
        "threshold: a specialised kernel, a block path, or the code that joins blocks. Tests "
        "at one size pass.",
        "Test the path that the evidence names on its own; compare it with the general path.",
        ("Megatron-LM#132", "DeepSpeed#2709", "Paddle#57858"),
    ),
    "wrong-shape": Entry(
        "The returned array has the wrong shape.",
        "The output must have the inputs' shape (rows, n), a Jacobian (rows, n, n). A lost "
        "axis, a squeezed row of one, or one Jacobian for the whole batch broadcasts "
        "silently in the caller.",
        "Return (rows, n), for a Jacobian (rows, n, n), for every rows and n, 1 included.",
    ),
    "wrong-dtype": Entry(
        "The returned array has the wrong dtype.",
        "The result must have the dtype that was asked for; a float64 result for float32 "
        "inputs (or an integer one) changes what the caller computes next. NumPy "
        "promotes silently: a float64 constant array or an integer intermediate is enough.",
        "Convert the result to the inputs' dtype, and compute in that dtype or a wider one.",
    ),
}
