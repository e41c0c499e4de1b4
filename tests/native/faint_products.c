/* The products of faint.h beside plain multiplication, on numbers of every magnitude; SIMD names the
   vocabulary. Prints those that differ. */
#include <stdio.h>

#include "kernels_common.h"
#include SIMD

static uint64_t state = 88172645463325252u;
static uint64_t random_bits(void) {
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return state >> 8;
}

/* Any bits; subnormal; small; near 1; 0, infinity and NaN. */
static float number(int kind) {
    uint32_t bits = (uint32_t)random_bits(), sign = bits & 0x80000000u;
    if (kind == 1) bits &= 0x007fffffu;
    if (kind == 2) bits &= 0x0fffffffu;
    if (kind == 3) bits = (bits & 0x807fffffu) | (100 + (bits >> 24) % 40) << 23;
    if (kind == 4) bits = sign | (uint32_t[]){0, 0x7f800000u, 0x7fc00000u}[bits % 3];
    float a;
    memcpy(&a, &bits, sizeof a);
    return a;
}

static int wrong;

static void compare(const char *what, double a, double b, double want, double got) {
    if ((want == got && !signbit(want) == !signbit(got)) || (isnan(want) && isnan(got))) return;
    if (wrong++ < 10) printf("%s: %a * %a is %a, not %a\n", what, a, b, want, got);
}

static void products(void) {
    float a[f32_width], b[f32_width], faint[f32_width], wide[f32_width];
    int kind = (int)(random_bits() % 5), other = (int)(random_bits() % 5);
    for (int l = 0; l < f32_width; l++) {
        a[l] = number(random_bits() % 8 ? kind : 4);
        b[l] = number(other);
    }
    f32_store(faint, f32_mul_faint(f32_load(a), f32_load(b)));
    f32_store(wide, f32_mul_wide(f32_load(a), f32_load(b)));
    for (int l = 0; l < f32_width; l++) {
        compare("mul_faint", a[l], b[l], a[l] * b[l], faint[l]);
        compare("mul_wide", a[l], b[l], a[l] * b[l], wide[l]);
    }
}

/* Exponentials over sums, a third of the quotients near halfway between two subnormals. */
#define SCALES(prefix, real, shift, digits, least, bottom)                                         \
    static void prefix##_scales(void) {                                                            \
        real a[prefix##_width], got[prefix##_width];                                               \
        double fraction = 1 + (double)(random_bits() >> 4) * 0x1p-52;                              \
        real c = (real)ldexp(fraction, -(shift + (int)(random_bits() % 26)));                      \
        for (int l = 0; l < prefix##_width; l++) {                                                 \
            double units = (double)(random_bits() % ((uint64_t)1 << digits)) + 0.5;                \
            fraction = 1 + (double)(random_bits() >> 4) * 0x1p-52;                                 \
            a[l] = (real)ldexp(fraction, shift - (int)(random_bits() % bottom));                   \
            if (random_bits() % 3 == 0) a[l] = (real)(units / ((double)c / least));                \
            if (random_bits() % 9 == 0) a[l] = 0;                                                  \
        }                                                                                          \
        prefix##_vec unit = prefix##_set(prefix##_units(c));                                       \
        prefix##_store(got, prefix##_scale_faint(prefix##_load(a), prefix##_set(c), unit));        \
        for (int l = 0; l < prefix##_width; l++)                                                   \
            compare(#prefix "_scale_faint", a[l], c, a[l] * c, got[l]);                            \
    }
SCALES(f32, float, 64, 23, 0x1p-149, 152)
SCALES(f64, double, 512, 52, 0x1p-1074, 1076)

static void search(void) {
    enum { COUNT = 4 };
    float a[COUNT * f32_width];
    bool faint = false, small = false;
    for (int i = 0; i < COUNT * f32_width; i++) {
        a[i] = random_bits() % 64 ? 1 : random_bits() % 3 ? 0 : number(1 + (int)random_bits() % 3);
        a[i] = a[i] < 0 ? -a[i] : a[i];
        faint |= a[i] > 0 && a[i] < 0x1p-100f;
        small |= a[i] < 0x1p-63f;
    }
    f32_vec vectors[COUNT];
    for (int k = 0; k < COUNT; k++) vectors[k] = f32_load(a + k * f32_width);
    if (f32_any_faint(vectors, COUNT) != faint) wrong++, puts("any_faint");
    if (small && f32_none_small(vectors, COUNT)) wrong++, puts("none_small");
}

int main(void) {
    for (int i = 0; i < 200000; i++) {
        products();
        f32_scales();
        f64_scales();
        search();
    }
    return wrong != 0;
}
