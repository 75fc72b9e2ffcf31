// Elementwise activations and their derivatives. `at<order>` writes σ, σ′, … up to the order, or up
// to `highest`, above which a derivative is 0.
#pragma once

#include "vector.h"

struct IReLU {
  static constexpr int highest = 2;
  template <int order, class V> static inline void at(V x, V* s) {
    const V zero{};
    const V positive = maximum<V>(x, zero);
    s[0] = broadcast<V>(0.5f) * positive * positive;
    if constexpr (order > 0) s[1] = positive;
    if constexpr (order > 1) s[2] = select<V>(x > zero, broadcast<V>(1), zero);
  }
};

struct Tanh {
  static constexpr int highest = 3;
  template <int order, class V> static inline void at(V x, V* s) {
    V a = minimum<V>(absolute(x), broadcast<V>(20));
    V n = nearest<V>(a * broadcast<V>(-2.8853900817779268));
    V f = a * broadcast<V>(-2.8853900817779268) - n;
    V e = f * broadcast<V>(0.6931471805599453);
    V p = broadcast<V>(1);
    for (int k = 18; k > 0; --k) p = p * e * broadcast<V>(Element<V>(1) / k) + broadcast<V>(1);
    V t = p * power_of_two(n);
    V y = copy_sign<V>((1 - t) / (1 + t), x);
    s[0] = y;
    if constexpr (order > 0) s[1] = 1 - y * y;
    if constexpr (order > 1) s[2] = -2 * y * s[1];
    if constexpr (order > 2) s[3] = s[1] * (6 * y * y - 2);
  }
};
