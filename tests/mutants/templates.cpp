// C++ templates over the element type, the axis and the reduction.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <functional>
#include <limits>
#include <numeric>
#include <vector>

namespace {

template <typename Real> struct Row {
    const Real *first;
    std::size_t size;
    const Real *begin() const { return first; }
    const Real *end() const { return first + size; }
};

template <typename Real> Real largest(Row<Real> row, Real start) {
    return std::accumulate(row.begin(), row.end(), start,
                           [](Real a, Real b) { return std::max(a, b); });
}

template <typename Real, typename Sum>
void softmax(const Real *x, Real *y, std::size_t rows, std::size_t n, Real start) {
    for (std::size_t r = 0; r < rows; ++r, x += n, y += n) {
        const Real m = largest(Row<Real>{x, n}, start);
        Sum sum{};
        for (std::size_t i = 0; i < n; ++i)
            sum += y[i] = std::exp(x[i] - m);
        std::transform(y, y + n, y, [sum](Real e) { return e / static_cast<Real>(sum); });
    }
}

} // namespace

extern "C" {

// numeric_limits::min() is the smallest positive number, not the lowest.
// @softmax | values | max-from-constant
void template_limits_min(const float *x, float *y, std::size_t rows, std::size_t n) {
    softmax<float, float>(x, y, rows, n, std::numeric_limits<float>::min());
}

// The same in double.
// @softmax | values | max-from-constant
void template_limits_min_double(const double *x, double *y, std::size_t rows, std::size_t n) {
    softmax<double, double>(x, y, rows, n, std::numeric_limits<double>::min());
}

// The sum is an integer, because its type was deduced from a literal 0.
// @softmax | values | unknown or low-precision-sum
void template_integer_sum(const float *x, float *y, std::size_t rows, std::size_t n) {
    softmax<float, int>(x, y, rows, n, std::numeric_limits<float>::lowest());
}

// accumulate with a float 0 in a double routine: the sum is rounded to float.
// @softmax_vjp | values | low-precision or low-precision-sum
void template_float_accumulator(const double *y, const double *dy, double *dx, std::size_t rows,
                                std::size_t n) {
    for (std::size_t r = 0; r < rows; ++r, y += n, dy += n, dx += n) {
        const double s = std::inner_product(y, y + n, dy, 0.0f);
        std::transform(y, y + n, dy, dx, [s](double p, double g) { return p * (g - s); });
    }
}

// A vector that is static, to spare the allocation: right in one thread.
// @softmax_vjp | threads | not-thread-safe
void template_static_vector(const float *y, const float *dy, float *dx, std::size_t rows,
                            std::size_t n) {
    static float products[1 << 18];
    for (std::size_t r = 0; r < rows; ++r, y += n, dy += n, dx += n) {
        std::vector<float> own(n > 1 << 18 ? n : 0);
        float *p = own.empty() ? products : own.data();
        std::transform(y, y + n, dy, p, std::multiplies<float>());
        const float s = std::accumulate(p, p + n, 0.0f);
        for (std::size_t i = 0; i < n; ++i)
            dx[i] = p[i] - y[i] * s;
    }
}

// An exception nobody catches ends the process.
// @softmax | values | exits
void template_throws(const float *x, float *y, std::size_t rows, std::size_t n) {
    std::vector<float> e(5000);
    for (std::size_t k = 0; k < rows * n; ++k)
        e.at(k % n) = x[k];
    softmax<float, float>(x, y, rows, n, -std::numeric_limits<float>::infinity());
}

// Keeps a vector for all callers, which each of them may make longer.
// @softmax | threads | not-thread-safe
void template_shared_vector(const float *x, float *y, std::size_t rows, std::size_t n) {
    static std::vector<float> e;
    for (std::size_t r = 0; r < rows && n; r++, x += n, y += n) {
        e.assign(x, x + n);
        float top = *std::max_element(e.begin(), e.end()), sum = 0;
        for (float &one : e)
            sum += one = std::exp(one - top);
        for (std::size_t i = 0; i < n; i++)
            y[i] = e[i] / sum;
    }
}
}
