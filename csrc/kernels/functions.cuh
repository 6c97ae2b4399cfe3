// Functions of one number with their derivatives, in double; and short programs of them.
//
// A step is four ints: its number, where its constants begin, and how many numbers on the constants
// of the next row and of the next channel are. Steps work on a stack of (value, derivative) pairs,
// which begins with (x, 1): functions replace its top; COPY puts what stands `begin` places below
// the top on it; joints replace the branches and what they were made of by one pair.
// The numbers are those of dfim_fast/backends/cuda/layers/gates.py; a test compares the two.
#pragma once

#include "port.cuh"

constexpr int RELU = 0;
constexpr int LEAKY_RELU = 1;
constexpr int CLIP = 2;
constexpr int GREATER = 3;
constexpr int LESS = 4;
constexpr int GREATER_OR_EQUAL = 5;
constexpr int LESS_OR_EQUAL = 6;
constexpr int ABS = 7;
constexpr int ELU = 8;
constexpr int ERF = 9;
constexpr int EXP = 10;
constexpr int GELU = 11;
constexpr int TANH_GELU = 12;
constexpr int HARD_SIGMOID = 13;
constexpr int HARD_SWISH = 14;
constexpr int LOG = 15;
constexpr int MISH = 16;
constexpr int POWER = 17;
constexpr int SQRT = 18;
constexpr int RECIPROCAL = 19;
constexpr int SIGMOID = 20;
constexpr int SILU = 21;
constexpr int SOFTPLUS = 22;
constexpr int TANH = 23;
constexpr int AFFINE = 24;
constexpr int COPY = 25;
constexpr int JOIN_ADD = 26;
constexpr int JOIN_MULTIPLY = 27;
constexpr int JOIN_WHERE = 28;
constexpr int JOIN_MAXIMUM = 29;
constexpr int JOIN_MINIMUM = 30;
constexpr int STACK = 8;

struct Dual {
    double value;
    double slope;
};

// 1 / (1 + exp(-x)) without overflow.
DFIM_DEVICE inline double logistic(double x) {
    const double e = exp(-fabs(x));
    return (x < 0 ? e : 1.0) / (1.0 + e);
}

// log(1 + exp(x)) without overflow.
DFIM_DEVICE inline double softplus(double x) {
    return (x > 0 ? x : 0.0) + log1p(exp(-fabs(x)));
}

// f(x) and f'(x) for a step that takes one number; k are its constants.
DFIM_DEVICE inline Dual evaluate(int step, const double* k, double x) {
    constexpr double ROOT_HALF = 0.70710678118654752440;
    constexpr double DENSITY = 0.39894228040143267794;   // 1 / sqrt(2 pi)
    constexpr double TWO_ROOT_PI = 1.12837916709551257390;  // 2 / sqrt(pi)
    constexpr double ROOT_TWO_PI = 0.79788456080286535588;  // sqrt(2 / pi)
    constexpr double CUBE = 0.044715;
    switch (step) {
        case RELU:
            return {x > 0 ? x : 0.0, x > 0 ? 1.0 : 0.0};
        case LEAKY_RELU:
            return {x > 0 ? x : x * k[0], x > 0 ? 1.0 : k[0]};
        case CLIP: {
            const double above = x > k[0] ? x : k[0];
            return {above < k[1] ? above : k[1], x > k[0] && x < k[1] ? 1.0 : 0.0};
        }
        case GREATER:
            return {x > k[0] ? 1.0 : 0.0, 0.0};
        case LESS:
            return {x < k[0] ? 1.0 : 0.0, 0.0};
        case GREATER_OR_EQUAL:
            return {x >= k[0] ? 1.0 : 0.0, 0.0};
        case LESS_OR_EQUAL:
            return {x <= k[0] ? 1.0 : 0.0, 0.0};
        case ABS:
            return {fabs(x), x > 0 ? 1.0 : (x < 0 ? -1.0 : 0.0)};
        case ELU: {  // alpha, scale, rate
            const double below = k[2] * (x < 0 ? x : 0.0);
            return {k[1] * (x > 0 ? x : k[0] * expm1(below)),
                    k[1] * (x > 0 ? 1.0 : k[0] * k[2] * exp(below))};
        }
        case ERF:
            return {erf(x), TWO_ROOT_PI * exp(-x * x)};
        case EXP: {
            const double y = exp(x);
            return {y, y};
        }
        case GELU: {
            const double share = 0.5 * (1.0 + erf(x * ROOT_HALF));
            return {x * share, share + x * DENSITY * exp(-0.5 * x * x)};
        }
        case TANH_GELU: {
            const double t = tanh(ROOT_TWO_PI * (x + CUBE * x * x * x));
            const double inner = ROOT_TWO_PI * (1.0 + 3.0 * CUBE * x * x);
            return {0.5 * x * (1.0 + t), 0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * inner};
        }
        case HARD_SIGMOID: {
            const double y = k[0] * x + k[1];
            return {y < 0 ? 0.0 : (y > 1 ? 1.0 : y), y > 0 && y < 1 ? k[0] : 0.0};
        }
        case HARD_SWISH: {
            const double y = x / 6.0 + 0.5;
            const bool inside = x > -3 && x < 3;
            return {x * (y < 0 ? 0.0 : (y > 1 ? 1.0 : y)),
                    inside ? x / 3.0 + 0.5 : (x > 0 ? 1.0 : 0.0)};
        }
        case LOG:
            return {log(x), 1.0 / x};
        case MISH: {
            const double t = tanh(softplus(x));
            return {x * t, t + x * (1.0 - t * t) * logistic(x)};
        }
        case POWER:
            return {pow(x, k[0]), k[0] * pow(x, k[0] - 1.0)};
        case SQRT: {
            const double y = sqrt(x);
            return {y, 0.5 / y};
        }
        case RECIPROCAL:
            return {1.0 / x, -1.0 / (x * x)};
        case SIGMOID:
            return {logistic(x), logistic(x) * logistic(-x)};
        case SILU: {
            const double u = k[0] * x;
            return {x * logistic(u), logistic(u) * (1.0 + u * logistic(-u))};
        }
        case SOFTPLUS:
            return {softplus(k[0] * x) / k[0], logistic(k[0] * x)};
        case TANH: {
            const double t = tanh(x);
            return {t, 1.0 - t * t};
        }
        case AFFINE:  // scale, shift
        default:
            return {x * k[0] + k[1], k[0]};
    }
}

// A branch that is not taken may overflow: nothing arrives there, and nothing passes.
DFIM_DEVICE inline double passed(double arriving, double slope) {
    return arriving == 0 ? arriving : arriving * slope;
}

struct Program {
    const int* code;
    const double* table;
    int steps;

    DFIM_DEVICE const double* constants(const int* step, int row, int channel) const {
        return table + step[1] + static_cast<size_t>(row) * step[2] +
               static_cast<size_t>(channel) * step[3];
    }

    // f(x) and f'(x) at one entry.
    DFIM_DEVICE Dual run(double x, int row, int channel) const {
        if (steps == 1) {  // all but what a graph spells out: no stack
            return evaluate(code[0], constants(code, row, channel), x);
        }
        Dual stack[STACK];
        stack[0] = {x, 1.0};
        int top = 0;
        for (int i = 0; i < steps; ++i) {
            const int* step = code + 4 * i;
            if (step[0] == COPY) {
                stack[top + 1] = stack[top - step[1]];
                ++top;
            } else if (step[0] < COPY) {
                const Dual f = evaluate(step[0], constants(step, row, channel), stack[top].value);
                stack[top] = {f.value, f.slope * stack[top].slope};
            } else {
                const int branches = step[0] == JOIN_WHERE ? 3 : 2;
                top -= branches;
                stack[top] = join(step[0], constants(step, row, channel), stack + top + 1);
            }
        }
        return stack[0];
    }

    DFIM_DEVICE static Dual join(int kind, const double* signs, const Dual* e) {
        if (kind == JOIN_ADD) {
            return {signs[0] * e[0].value + signs[1] * e[1].value,
                    passed(signs[0], e[0].slope) + passed(signs[1], e[1].slope)};
        }
        if (kind == JOIN_MULTIPLY) {
            return {e[0].value * e[1].value,
                    passed(e[1].value, e[0].slope) + passed(e[0].value, e[1].slope)};
        }
        if (kind == JOIN_WHERE) {
            return e[0].value != 0 ? e[1] : e[2];
        }
        const bool larger = kind == JOIN_MAXIMUM && e[0].value >= e[1].value;
        const bool smaller = kind == JOIN_MINIMUM && e[0].value <= e[1].value;
        return larger || smaller ? e[0] : e[1];
    }
};
