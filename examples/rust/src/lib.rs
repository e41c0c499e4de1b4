//! The vector-Jacobian product of softmax, one row a call.

use std::slice::{from_raw_parts, from_raw_parts_mut};

const LANES: usize = 8;

fn dot(y: &[f32], dy: &[f32]) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let (y_blocks, dy_blocks) = (y.chunks_exact(LANES), dy.chunks_exact(LANES));
    let tail: f32 = y_blocks
        .remainder()
        .iter()
        .zip(dy_blocks.remainder())
        .map(|(a, b)| a * b)
        .sum();
    for (a, b) in y_blocks.zip(dy_blocks) {
        for lane in 0..LANES {
            lanes[lane] += a[lane] * b[lane];
        }
    }
    lanes.iter().sum::<f32>() + tail
}

/// dx = y * (dy - sum(y * dy))
///
/// # Safety
/// `y`, `dy` and `dx` point to `n` floats each, and `dx` overlaps neither.
#[no_mangle]
pub unsafe extern "C" fn softmax_vjp(y: *const f32, dy: *const f32, dx: *mut f32, n: usize) {
    if n == 0 {
        return;
    }
    let (y, dy) = (from_raw_parts(y, n), from_raw_parts(dy, n));
    let s = dot(y, dy);
    for (out, (a, b)) in from_raw_parts_mut(dx, n).iter_mut().zip(y.iter().zip(dy)) {
        *out = a * (b - s);
    }
}

/// The mistake: `chunks_exact` leaves a remainder, and nobody adds it to the sum.
///
/// # Safety
/// As for `softmax_vjp`.
#[no_mangle]
pub unsafe extern "C" fn softmax_vjp_no_tail(y: *const f32, dy: *const f32, dx: *mut f32, n: usize) {
    if n == 0 {
        return;
    }
    let (y, dy) = (from_raw_parts(y, n), from_raw_parts(dy, n));
    let s: f32 = y
        .chunks_exact(LANES)
        .zip(dy.chunks_exact(LANES))
        .map(|(a, b)| a.iter().zip(b).map(|(p, q)| p * q).sum::<f32>())
        .sum();
    for (out, (a, b)) in from_raw_parts_mut(dx, n).iter_mut().zip(y.iter().zip(dy)) {
        *out = a * (b - s);
    }
}
