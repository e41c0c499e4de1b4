// The logarithm of softmax, generic in the type; extern "C" gives the names that softjac can find.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

namespace {

template <typename Real> Real sum_of_exp(const Real *x, std::size_t n, Real max)
{
    Real sum = 0;
    for (std::size_t i = 0; i < n; ++i) {
        sum += std::exp(x[i] - max);
    }
    return sum;
}

template <typename Real> Real maximum(const Real *x, std::size_t n)
{
    return n == 0 ? -std::numeric_limits<Real>::infinity() : *std::max_element(x, x + n);
}

} // namespace

extern "C" void log_softmax(const double *x, double *y, std::size_t rows, std::size_t n)
{
    for (; rows > 0; --rows, x += n, y += n) {
        const double max = maximum(x, n);
        const double log_sum = std::log(sum_of_exp(x, n, max));
        for (std::size_t i = 0; i < n; ++i) {
            y[i] = (x[i] - max) - log_sum;
        }
    }
}

// The mistake: the logarithm of a probability that has underflowed is -infinity.
extern "C" void log_of_softmax(const double *x, double *y, std::size_t rows, std::size_t n)
{
    for (; rows > 0; --rows, x += n, y += n) {
        const double max = maximum(x, n);
        const double sum = sum_of_exp(x, n, max);
        for (std::size_t i = 0; i < n; ++i) {
            y[i] = std::log(std::exp(x[i] - max) / sum);
        }
    }
}
