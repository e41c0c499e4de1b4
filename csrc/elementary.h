/* exp on vectors, log1p and expm1 on scalars, from the vocabulary alone: same bits everywhere.

   exp(d) = 2^e (1 + r + r^2 Q(r)), e = round(d log2(e)), r = d - e ln 2. Q is the minimax
   polynomial (Remez, relative error of the whole) on |r| <= ln(2)/2: degree 4 with error 3.1e-9 for
   float, degree 9 with error 3.7e-18 for double, made with mpmath at 60 digits and then rounded. ln
   2 is split so that e times its high part is exact (Cody and Waite, Software Manual for the
   Elementary Functions, 1980).

   The result carries a factor 2^SHIFT, so that nothing in the sum is subnormal: the caller's last
   multiplication takes it off and is the only one that rounds. What rounds to zero is zeroed by
   comparison, which is right for any argument, -inf included; NaN passes through. */
#ifndef SOFTJAC_ELEMENTARY_H
#define SOFTJAC_ELEMENTARY_H

#define f32_shift 64
#define f64_shift 512
#define f32_shift_factor 0x1p64f
#define f64_shift_factor 0x1p512
/* Halfway to the smallest subnormal: ln 2^-150 and ln 2^-1075. */
#define f32_exp_limit -103.972084f
#define f64_exp_limit -745.13321910194122

static ALWAYS_INLINE f32_vec f32_exp_shifted(f32_vec d) {
    /* 1.5 * 2^23 rounds to an integer in the low bits; the rest is exponent bias and shift. */
    const f32_vec magic = f32_set(12582912.0f + 127.0f + f32_shift);
    f32_vec z = f32_fma(d, f32_set(0x1.715476p+0f), magic);
    f32_vec e = f32_sub(z, magic);
    f32_vec r = f32_fma(e, f32_set(-0x1.62e400p-1f), d);
    r = f32_fma(e, f32_set(-0x1.7f7d1cp-20f), r);
    f32_vec q = f32_set(0x1.6a2432p-10f);
    q = f32_fma(q, r, f32_set(0x1.1239e2p-7f));
    q = f32_fma(q, r, f32_set(0x1.5558f2p-5f));
    q = f32_fma(q, r, f32_set(0x1.555492p-3f));
    q = f32_fma(q, r, f32_set(0x1.fffffcp-2f));
    q = f32_fma(q, r, f32_set(1.0f));
    q = f32_fma(q, r, f32_set(1.0f));
    return f32_zero_below(f32_mul(q, f32_power_of_two(z)), d, f32_set(f32_exp_limit));
}

static ALWAYS_INLINE f64_vec f64_exp_shifted(f64_vec d) {
    const f64_vec magic = f64_set(6755399441055744.0 + 1023.0 + f64_shift);
    f64_vec z = f64_fma(d, f64_set(0x1.71547652b82fep+0), magic);
    f64_vec e = f64_sub(z, magic);
    f64_vec r = f64_fma(e, f64_set(-0x1.62e42fefa3800p-1), d);
    r = f64_fma(e, f64_set(-0x1.ef35793c76730p-45), r);
    f64_vec q = f64_set(0x1.ad7f6d4bc696ap-26);
    q = f64_fma(q, r, f64_set(0x1.28ad72cbcf6d8p-22));
    q = f64_fma(q, r, f64_set(0x1.71df255375f6cp-19));
    q = f64_fma(q, r, f64_set(0x1.a0199a0c68bc6p-16));
    q = f64_fma(q, r, f64_set(0x1.a01a012a57117p-13));
    q = f64_fma(q, r, f64_set(0x1.6c16c1842a10dp-10));
    q = f64_fma(q, r, f64_set(0x1.1111111127be7p-7));
    q = f64_fma(q, r, f64_set(0x1.555555555087cp-5));
    q = f64_fma(q, r, f64_set(0x1.55555555554fap-3));
    q = f64_fma(q, r, f64_set(0x1.000000000000ap-1));
    q = f64_fma(q, r, f64_set(1.0));
    q = f64_fma(q, r, f64_set(1.0));
    return f64_zero_below(f64_mul(q, f64_power_of_two(z)), d, f64_set(f64_exp_limit));
}

/* exp(d) for d <= 0, by the vector function. */
static double exp_scalar(double d) {
    double lanes[f64_width];
    f64_store(lanes, f64_exp_shifted(f64_set(d)));
    return lanes[0] / f64_shift_factor;
}

/* log(1 + rest), where total = 1 + rest rounded and rest >= 0. With 1 + rest = 2^e m and
   u = (m - 1)/(m + 1): e ln 2 + 2 atanh(u), |u| <= 0.2, the series of atanh to u^23 (the first term
   left out is below 2e-18 relative). Exact in relative terms near 0, where log(total) is not. */
static double log1p_scalar(double rest, double total) {
    uint64_t bits, biased;
    memcpy(&bits, &total, sizeof bits);
    /* Adding 2^-2 moves the interval from [1, 2) to [0.75, 1.5). The exponent becomes a number by
       standing in the low bits of 2^52; no branches, so that loops become vectors. */
    biased = (bits + (UINT64_C(1) << 51)) >> 52;
    bits = bits - (biased << 52) + (UINT64_C(1023) << 52);
    biased |= UINT64_C(0x433) << 52;
    double m, e;
    memcpy(&m, &bits, sizeof m);
    memcpy(&e, &biased, sizeof e);
    bool large = total >= 1.5;
    double f = large ? m - 1.0 : rest;
    e = large ? e - (0x1p52 + 1023) : 0;
    double u = f / (2.0 + f), u2 = u * u;
    double p = 1.0 / 23;
    for (int k = 21; k >= 3; k -= 2) p = scalar_fma(p, u2, 1.0 / k);
    double tail = scalar_fma(2.0 * u * u2, p, e * 0x1.ef35793c76730p-45);
    return scalar_fma(e, 0x1.62e42fefa3800p-1, 2.0 * u + tail);
}

/* 1 - exp(d) for -ln 2 <= d <= 0: with h = d/2 and p = 1 - exp(h), p (2 - p). */
static double one_minus_exp(double d) {
    double h = 0.5 * d;
    double q = 0x1.ad7f6d4bc696ap-26;
    q = scalar_fma(q, h, 0x1.28ad72cbcf6d8p-22);
    q = scalar_fma(q, h, 0x1.71df255375f6cp-19);
    q = scalar_fma(q, h, 0x1.a0199a0c68bc6p-16);
    q = scalar_fma(q, h, 0x1.a01a012a57117p-13);
    q = scalar_fma(q, h, 0x1.6c16c1842a10dp-10);
    q = scalar_fma(q, h, 0x1.1111111127be7p-7);
    q = scalar_fma(q, h, 0x1.555555555087cp-5);
    q = scalar_fma(q, h, 0x1.55555555554fap-3);
    q = scalar_fma(q, h, 0x1.000000000000ap-1);
    double p = -scalar_fma(h * h, q, h);
    return p * (2.0 - p);
}

#endif
