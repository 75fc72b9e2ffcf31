// The activations of the suite and their derivatives, for vectors of float and double.
//
// Each is a struct of the name of its Python class, with
//
//   static constexpr int highest;   // derivatives above it are 0 everywhere and are not written
//   template <int order, class V> static inline void at(V x, V* s);
//
// which sets s[0 … order] = σ(x), σ′(x), σ″(x), σ‴(x), order ≤ 3. All of one evaluation share an
// exponential and a division. No formula cancels at 0, and none overflows.
#pragma once

#include "elementary.h"

struct IReLU {
  static constexpr int highest = 2;
  template <int order, class V> static inline void at(V x, V* s) {
    using E = Element<V>;
    const V positive = ramp<V>(x);
    s[0] = E(0.5) * positive * positive;
    if constexpr (order >= 1) s[1] = positive;
    if constexpr (order >= 2) s[2] = select<V>(x > E(0), broadcast<V>(1), V{});
  }
};

struct ReLU {
  static constexpr int highest = 1;
  template <int order, class V> static inline void at(V x, V* s) {
    s[0] = ramp<V>(x);
    if constexpr (order >= 1) s[1] = select<V>(x > Element<V>(0), broadcast<V>(1), V{});
  }
};

struct Tanh {
  static constexpr int highest = 3;
  template <int order, class V> static inline void at(V x, V* s) {
    using E = Element<V>;
    const V t = exponential<V>(E(-2) * absolute<V>(x)).exp;
    set_slopes<order, V>(tanh_from<V>(x, t, E(1) / (t + E(1))), s);
  }
  // From y = tanh(x).
  template <int order, class V> static inline void set_slopes(V y, V* s) {
    using E = Element<V>;
    s[0] = y;
    if constexpr (order >= 1) s[1] = E(1) - y * y;
    if constexpr (order >= 2) s[2] = E(-2) * y * s[1];
    if constexpr (order >= 3) s[3] = s[1] * (E(6) * y * y - E(2));
  }
};

struct Sine {
  static constexpr int highest = 3;
  template <int order, class V> static inline void at(V x, V* s) {
    const SineCosine<V> found = sine_cosine<V>(x);
    s[0] = found.sine;
    if constexpr (order >= 1) s[1] = found.cosine;
    if constexpr (order >= 2) s[2] = -found.sine;
    if constexpr (order >= 3) s[3] = -found.cosine;
  }
};

// The logistic function and its derivatives, from t = e^−|x|.
template <class V> struct Logistic {
  V value;     // 1/(1 + e^−x)
  V first;     // t/(1 + t)²
  V half;      // tanh(x/2), which is 1 − 2 value without its cancellation at 0

  Logistic(V x, const Exponential<V>& of, V reciprocal) {
    using E = Element<V>;
    const V small = of.exp * reciprocal;
    value = select<V>(x < E(0), small, reciprocal);
    first = small * reciprocal;
    half = copy_sign<V>(of.expm1 * reciprocal, x);
  }
  V second() const { return -(first * half); }
  V third() const { return first * (Element<V>(1.5) * half * half - Element<V>(0.5)); }
};

struct Sigmoid {
  static constexpr int highest = 3;
  template <int order, class V> static inline void at(V x, V* s) {
    using E = Element<V>;
    const Exponential<V> of = exponential<V>(-absolute<V>(x));
    const Logistic<V> logistic(x, of, E(1) / (of.exp + E(1)));
    set<order, V>(logistic, s);
  }
  template <int order, class V> static inline void set(const Logistic<V>& logistic, V* s) {
    s[0] = logistic.value;
    if constexpr (order >= 1) s[1] = logistic.first;
    if constexpr (order >= 2) s[2] = logistic.second();
    if constexpr (order >= 3) s[3] = logistic.third();
  }
};

struct SiLU {
  static constexpr int highest = 3;
  template <int order, class V> static inline void at(V x, V* s) {
    using E = Element<V>;
    const Exponential<V> of = exponential<V>(-absolute<V>(x));
    set<order, V>(x, Logistic<V>(x, of, E(1) / (of.exp + E(1))), s);
  }
  template <int order, class V> static inline void set(V x, const Logistic<V>& logistic, V* s) {
    using E = Element<V>;
    const V half = logistic.half, first = logistic.first;
    s[0] = x * logistic.value;
    if constexpr (order >= 1) s[1] = logistic.value + x * first;
    if constexpr (order >= 2) s[2] = first * (E(2) - x * half);
    if constexpr (order >= 3) s[3] = first * (x * (E(1.5) * half * half - E(0.5)) - E(3) * half);
  }
};

struct Softplus {
  static constexpr int highest = 3;
  template <int order, class V> static inline void at(V x, V* s) {
    const Exponential<V> of = exponential<V>(-absolute<V>(x));
    const Log1pReciprocal<V> with = log1p_reciprocal<V>(of.exp);
    s[0] = ramp<V>(x) + with.log1p;
    if constexpr (order >= 1) {
      Sigmoid::set<order - 1, V>(Logistic<V>(x, of, with.reciprocal), s + 1);
    }
  }
};

struct ShiftedSoftplus {
  static constexpr int highest = 3;
  template <int order, class V> static inline void at(V x, V* s) {
    using E = Element<V>;
    const Exponential<V> of = exponential<V>(-absolute<V>(x));
    // log((1 + t)/2), relatively accurate at t = 1, and 1/(1 + t), by one division.
    const V one = of.exp + E(1), four = of.expm1 + E(4), inverse = E(1) / (one * four);
    s[0] = ramp<V>(x) + log_of_ratio<V>(of.expm1 * (one * inverse));
    if constexpr (order >= 1) {
      Sigmoid::set<order - 1, V>(Logistic<V>(x, of, four * inverse), s + 1);
    }
  }
};

struct GELU {
  static constexpr int highest = 3;
  template <int order, class V> static inline void at(V x, V* s) {
    const NormalTail<V> tail(x);
    set<order, V>(x, tail, tail.upper(), s);
  }
  template <int order, class V>
  static inline void set(V x, const NormalTail<V>& tail, V upper, V* s) {
    using E = Element<V>;
    s[0] = ramp<V>(x) - tail.a * upper;
    const V near = copy_sign<V>(tail.a, x), square = near * near;
    if constexpr (order >= 1) {
      s[1] = select<V>(x < E(0), upper, E(1) - upper) + near * tail.density;
    }
    if constexpr (order >= 2) s[2] = tail.density * (E(2) - square);
    if constexpr (order >= 3) s[3] = near * tail.density * (square - E(4));
  }
};

struct ELU {
  static constexpr int highest = 3;
  template <int order, class V> static inline void at(V x, V* s) {
    const Exponential<V> of = exponential<V>(negative<V>(x));
    set<order, V>(x, of, s);
  }
  // min(0, x), and NaN for NaN.
  template <class V> static inline V negative(V x) { return minimum(V{}, x); }
  template <int order, class V> static inline void set(V x, const Exponential<V>& of, V* s) {
    using E = Element<V>;
    s[0] = select<V>(x > E(0), x, of.expm1);
    if constexpr (order >= 1) s[1] = of.exp;  // 1 for x > 0
    if constexpr (order >= 2) s[2] = select<V>(x > E(0), V{}, of.exp);
    if constexpr (order >= 3) s[3] = s[2];
  }
};

struct IntegratedELU {
  static constexpr int highest = 3;
  template <int order, class V> static inline void at(V x, V* s) {
    using E = Element<V>;
    const Exponential<V> of = exponential<V>(ELU::negative<V>(x));
    s[0] = select<V>(x > E(0), E(0.5) * x * x, of.remainder);
    if constexpr (order >= 1) ELU::set<order - 1, V>(x, of, s + 1);
  }
};

// `tail` where x ≤ 0, and x²/2 + constant − tail where x > 0.
template <class V> static inline V reflect(V x, V tail, Element<V> constant) {
  using E = Element<V>;
  return select<V>(x > E(0), E(0.5) * x * x + (constant - tail), tail);
}

constexpr double kPiSquaredSixth = 1.644934066848226436;  // π²/6

struct IntegratedSoftplus {
  static constexpr int highest = 3;
  template <int order, class V> static inline void at(V x, V* s) {
    using E = Element<V>;
    const Exponential<V> of = exponential<V>(-absolute<V>(x));
    const Log1pReciprocal<V> with = log1p_reciprocal<V>(of.exp);
    s[0] = reflect<V>(x, dilogarithm_tail<V>(with.log1p), E(kPiSquaredSixth));
    if constexpr (order >= 1) s[1] = ramp<V>(x) + with.log1p;
    if constexpr (order >= 2) {
      Sigmoid::set<order - 2, V>(Logistic<V>(x, of, with.reciprocal), s + 2);
    }
  }
};

struct IntegratedSiLU {
  static constexpr int highest = 3;
  template <int order, class V> static inline void at(V x, V* s) {
    using E = Element<V>;
    const V a = absolute<V>(x);
    const Exponential<V> of = exponential<V>(-a);
    const Log1pReciprocal<V> with = log1p_reciprocal<V>(of.exp);
    const V tail = -(a * with.log1p) - dilogarithm_tail<V>(with.log1p);
    s[0] = reflect<V>(x, tail, E(-kPiSquaredSixth));
    if constexpr (order >= 1) {
      SiLU::set<order - 1, V>(x, Logistic<V>(x, of, with.reciprocal), s + 1);
    }
  }
};

struct IntegratedGELU {
  static constexpr int highest = 3;
  template <int order, class V> static inline void at(V x, V* s) {
    const NormalTail<V> tail(x);
    s[0] = reflect<V>(x, tail.integral(), Element<V>(-0.5));
    if constexpr (order >= 1) GELU::set<order - 1, V>(x, tail, tail.upper(), s + 1);
  }
};

struct IntegratedTanh {
  static constexpr int highest = 3;
  template <int order, class V> static inline void at(V x, V* s) {
    using E = Element<V>;
    const V a = absolute<V>(x), square = x * x;
    const Exponential<V> of = exponential<V>(E(-2) * a);
    const Log1pReciprocal<V> with = log1p_reciprocal<V>(of.exp);
    s[0] = select<V>(a < E(0.5), square * polynomial<V>(square, kLogCoshFloat, kLogCoshDouble),
                     a + (with.log1p - E(kLn2)));
    if constexpr (order >= 1) {
      Tanh::set_slopes<order - 1, V>(tanh_from<V>(x, of.exp, with.reciprocal), s + 1);
    }
  }
};

#define FOR_EACH_ACTIVATION(ACTION)                                                              \
  ACTION(IReLU)                                                                                  \
  ACTION(IntegratedELU)                                                                          \
  ACTION(IntegratedGELU)                                                                         \
  ACTION(IntegratedSiLU)                                                                         \
  ACTION(IntegratedTanh)                                                                         \
  ACTION(IntegratedSoftplus)                                                                     \
  ACTION(Tanh)                                                                                   \
  ACTION(Sine)                                                                                   \
  ACTION(SiLU)                                                                                   \
  ACTION(GELU)                                                                                   \
  ACTION(ELU)                                                                                    \
  ACTION(Softplus)                                                                               \
  ACTION(ShiftedSoftplus)                                                                        \
  ACTION(ReLU)                                                                                   \
  ACTION(Sigmoid)
