/* Products that may be subnormal, at the speed of others.

   An Intel processor takes some hundred cycles for every vector in which a multiplication or a
   fused multiply-add takes or gives a subnormal number; an addition, a comparison and a conversion
   cost what they always cost. Half of a row 95 below its maximum made softmax 15 times as slow and
   its VJP 70 times. So a number that is not 0 and so small that its product with an ordinary one
   may be subnormal is called faint, steps with faint numbers are told from others, and their
   products take another way to the same bits:

   mul_wide     by double. A product of two floats is exact there (48 bits, exponents from -298), so
                that the conversion back is the only rounding, as in the multiplication.
   mul_faint    the same for faint a, with integers where the processor has masks.
   scale_faint  a c for normal a >= 0 and c > 0. In units of the smallest subnormal a product below
                the smallest normal number is rounded to an integer. fma(a, c / unit, 2^p), p the
                bits of a fraction, rounds the same number to the same grid, to nearest and even,
                and has that integer above 2^p: less the bits of 2^p, its bits are the integer,
                which are those of the subnormal number, or of the smallest normal one for 2^p. */
#ifndef SOFTJAC_FAINT_H
#define SOFTJAC_FAINT_H

/* 2^-100: at 2^26 times that, a product is normal. */
#define f32_faint_bits ((127 - 100) << 23)
/* Nothing is looked for in double, where no wider type is at hand. */
#define f64_any_faint(a, count) ((void)(a), (void)(count), false)
#define f64_none_small(a, count) ((void)(a), (void)(count), true)

/* Units in products that are surely subnormal; close to 2^p either way is right. */
#define f32_subnormal_units (0x1p23f - 8)
#define f64_subnormal_units (0x1p52 - 8)
/* c over the smallest subnormal; where that is infinite, products are not subnormal. */
#define f32_units(c) ((c) * 0x1p75f * 0x1p74f)
#define f64_units(c) ((c) * 0x1p537 * 0x1p537)
/* Exponentials whose quotient by a sum of up to 2^25 of them may be subnormal: 2^-101 and 2^-997 at
   most, their shifts included, and what they are exponentials of. */
#define f32_faint_exponential 0x1p-37f
#define f64_faint_exponential 0x1p-485
#define f32_faint_distance -70.0f
#define f64_faint_distance -691.0

#endif
