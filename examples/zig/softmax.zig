//! Softmax of one row, eight logits at a time.

const lanes = 8;
const Block = @Vector(lanes, f32);
const infinity = @as(f32, @bitCast(@as(u32, 0x7f800000)));

/// The row's block from `start` on, what lies past its end filled up.
fn block(x: [*]const f32, start: usize, n: usize, filling: f32) Block {
    var values: [lanes]f32 = undefined;
    for (0..lanes) |k| {
        values[k] = if (start + k < n) x[start + k] else filling;
    }
    return values;
}

fn row(x: [*]const f32, y: [*]f32, n: usize, filling: f32) void {
    var max: Block = @splat(-infinity);
    var i: usize = 0;
    while (i < n) : (i += lanes) {
        max = @max(max, block(x, i, n, filling));
    }
    const top: Block = @splat(@reduce(.Max, max));
    var sum: f32 = 0;
    i = 0;
    while (i < n) : (i += lanes) {
        const exponentials: Block = @exp(block(x, i, n, filling) - top);
        sum += @reduce(.Add, exponentials);
        const e: [lanes]f32 = exponentials;
        for (0..@min(lanes, n - i)) |k| {
            y[i + k] = e[k];
        }
    }
    for (0..n) |j| {
        y[j] /= sum;
    }
}

export fn softmax(x: [*]const f32, y: [*]f32, n: usize) void {
    row(x, y, n, -infinity);
}

/// The mistake: the last block is filled up with zeros, which enter maximum and sum.
export fn softmax_zero_filled(x: [*]const f32, y: [*]f32, n: usize) void {
    row(x, y, n, 0);
}
