// Softmax of each of `rows` rows of n logits.
#include <stddef.h>

void softmax(const float *x, float *y, size_t rows, size_t n);
void softmax_max_from_zero(const float *x, float *y, size_t rows, size_t n);
