// The vector-Jacobian product of one vector by the definition, in O(n²).
#include <stddef.h>

void softmax_vjp_scalar(const float *y, const float *dy, float *dx, size_t n)
{
    for (size_t i = 0; i < n; ++i) {
        float sum = 0.0f;
        for (size_t j = 0; j < n; ++j) {
            sum += dy[j] * y[j] * -y[i];
        }
        dx[i] = sum + y[i] * dy[i];
    }
}
