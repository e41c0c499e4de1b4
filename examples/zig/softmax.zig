//! Softmax of one row, eight logits at a time.

const lanes = 8;
const Block = @Vector(lanes, f32);

/// The row's block from `start` on, what lies past its end filled up.
fn block(x: [*]const f32, start: usize, n: usize, filling: f32) Block {
    var values: [lanes]f32 = undefined;
    for (0..lanes) |k| {
        values[k] = if (start + k < n) x[start + k] else filling;
    }
    return values;
}

fn row(x: [*]const f32, y: [*]f32, n: usize, filling: f32) void {
    var max = block(x, 0, n, filling);
    var i: usize = lanes;
    while (i < n) : (i += lanes) {
        max = @max(max, block(x, i, n, filling));
    }
    const top = @reduce(.Max, max);
    var sum: f32 = 0;
    for (0..n) |j| {
        y[j] = @exp(x[j] - top);
        sum += y[j];
    }
    for (0..n) |j| {
        y[j] /= sum;
    }
}

export fn softmax(x: [*]const f32, y: [*]f32, n: usize) void {
    row(x, y, n, -@as(f32, @bitCast(@as(u32, 0x7f800000))));
}

/// The mistake: the last block is filled up with zeros, which enter the maximum.
export fn softmax_zero_filled(x: [*]const f32, y: [*]f32, n: usize) void {
    row(x, y, n, 0);
}
