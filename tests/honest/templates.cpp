// C++ templates over the element type and the type of the sum.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <numeric>
#include <vector>

namespace {

template <typename Real, typename Sum>
void softmax(const Real *x, Real *y, std::size_t rows, std::size_t n) {
    for (std::size_t r = 0; r < rows; ++r, x += n, y += n) {
        const Real m = std::accumulate(x, x + n, -std::numeric_limits<Real>::infinity(),
                                       [](Real a, Real b) { return std::max(a, b); });
        std::transform(x, x + n, y, [m](Real v) { return std::exp(v - m); });
        const Sum sum = std::accumulate(y, y + n, Sum{});
        std::transform(y, y + n, y, [sum](Real e) { return static_cast<Real>(e / sum); });
    }
}

template <typename Real>
void softmax_vjp(const Real *y, const Real *dy, Real *dx, std::size_t rows, std::size_t n) {
    for (std::size_t r = 0; r < rows; ++r, y += n, dy += n, dx += n) {
        const Real s = std::inner_product(y, y + n, dy, Real{});
        std::transform(y, y + n, dy, dx, [s](Real p, Real g) { return p * (g - s); });
    }
}

} // namespace

extern "C" {

// float throughout.
// @softmax
void template_float(const float *x, float *y, std::size_t rows, std::size_t n) {
    softmax<float, float>(x, y, rows, n);
}

// float with a double sum.
// @softmax
void template_double_sum(const float *x, float *y, std::size_t rows, std::size_t n) {
    softmax<float, double>(x, y, rows, n);
}

// double throughout.
// @softmax
void template_double(const double *x, double *y, std::size_t rows, std::size_t n) {
    softmax<double, double>(x, y, rows, n);
}

// The VJP in double.
// @softmax_vjp
void template_vjp_double(const double *y, const double *dy, double *dx, std::size_t rows,
                         std::size_t n) {
    softmax_vjp(y, dy, dx, rows, n);
}

// A vector for each call.
// @softmax_vjp
int template_vector(const float *y, const float *dy, float *dx, std::size_t rows, std::size_t n) {
    const std::vector<float> copy(dy, dy + rows * n);
    softmax_vjp(y, copy.data(), dx, rows, n);
    return 0;
}
}
