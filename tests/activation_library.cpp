// The activations of suites/pinn/engine/native/activations.h on arrays, for the tests.
#include "activations.h"

namespace {

// Row k of `out` gets the derivative of order k; what is 0 everywhere gets 0.
template <class A, int order, class T> void evaluate(const T* x, T* out, long count) {
  using V = Vector<T>;
  constexpr int lanes = Traits<V>::lanes, known = order < A::highest ? order : A::highest;
  for (long at = 0; at < count; at += lanes) {
    V found[order + 1] = {};
    A::template at<known, V>(load<V>(x + at), found);
    for (int k = 0; k <= order; ++k) store<V>(out + k * count + at, found[k]);
  }
}

template <class A, class T> void evaluate(const T* x, T* out, long count, int order) {
  switch (order) {
    case 0: return evaluate<A, 0, T>(x, out, count);
    case 1: return evaluate<A, 1, T>(x, out, count);
    case 2: return evaluate<A, 2, T>(x, out, count);
    default: return evaluate<A, 3, T>(x, out, count);
  }
}

}  // namespace

// The pointers are aligned to vectors, and `count` is a multiple of their lanes.
#define EXPORT(name)                                                                             \
  extern "C" void name##_float(const float* x, float* out, long count, int order) {              \
    evaluate<name, float>(x, out, count, order);                                                 \
  }                                                                                              \
  extern "C" void name##_double(const double* x, double* out, long count, int order) {           \
    evaluate<name, double>(x, out, count, order);                                                \
  }
FOR_EACH_ACTIVATION(EXPORT)
