// Vectors as wide as this CPU's registers, by the vector extensions of GCC and Clang.
//
// Arithmetic operators and comparisons work lane by lane; a comparison gives a vector of integers,
// -1 where it holds. A product and a sum in one expression become one instruction where the CPU has
// one (-ffp-contract=fast), so `fma` is only a name for them.
#pragma once

#include <cstdint>
#include <cstring>
#include <utility>

#if defined(__AVX512F__)
#define VECTOR_BYTES 64
#elif defined(__AVX__)
#define VECTOR_BYTES 32
#else
#define VECTOR_BYTES 16
#endif

typedef float VecF __attribute__((vector_size(VECTOR_BYTES)));
typedef double VecD __attribute__((vector_size(VECTOR_BYTES)));
typedef int32_t IntF __attribute__((vector_size(VECTOR_BYTES)));
typedef int64_t IntD __attribute__((vector_size(VECTOR_BYTES)));

// Of a vector type V: `element`, `integers` (as wide and as many), and `lanes`.
template <class V> struct Traits;
template <> struct Traits<VecF> {
  using element = float;
  using integers = IntF;
  static constexpr int lanes = VECTOR_BYTES / 4;
};
template <> struct Traits<VecD> {
  using element = double;
  using integers = IntD;
  static constexpr int lanes = VECTOR_BYTES / 8;
};
template <class V> using Element = typename Traits<V>::element;
template <class V> using Integers = typename Traits<V>::integers;

// Of an element type T: the vector type.
template <class T> struct VectorOf;
template <> struct VectorOf<float> { using type = VecF; };
template <> struct VectorOf<double> { using type = VecD; };
template <class T> using Vector = typename VectorOf<T>::type;

// The pointer is aligned to VECTOR_BYTES.
template <class V> static inline V load(const Element<V>* from) {
  return *reinterpret_cast<const V*>(from);
}
template <class V> static inline void store(Element<V>* to, V x) {
  *reinterpret_cast<V*>(to) = x;
}

template <class V> static inline V broadcast(Element<V> x) { return x - V{}; }

// mask ? a : b in each lane; `mask` is what a comparison gives.
template <class V> static inline V select(Integers<V> mask, V a, V b) { return mask ? a : b; }
template <class V> static inline V minimum(V a, V b) { return a < b ? a : b; }
template <class V> static inline V maximum(V a, V b) { return a > b ? a : b; }

// a·b + c.
template <class V> static inline V fma(V a, V b, V c) { return a * b + c; }

// The same bits.
template <class V> static inline Integers<V> bits_of(V x) {
  Integers<V> bits;
  std::memcpy(&bits, &x, sizeof bits);
  return bits;
}
template <class V> static inline V from_bits(Integers<V> bits) {
  V x;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}

template <class V> static inline V absolute(V x) {
  using I = Integers<V>;
  const I sign = bits_of<V>(broadcast<V>(Element<V>(-0.0)));
  return from_bits<V>(bits_of<V>(x) & ~sign);
}
// |size| with the sign of `sign`.
template <class V> static inline V copy_sign(V size, V sign) {
  using I = Integers<V>;
  const I mask = bits_of<V>(broadcast<V>(Element<V>(-0.0)));
  return from_bits<V>((bits_of<V>(size) & ~mask) | (bits_of<V>(sign) & mask));
}

// The nearest whole number, for |x| < 2^22 (float) or 2^51 (double).
template <class V> static inline V nearest(V x) {
  constexpr Element<V> shift = sizeof(Element<V>) == 4 ? Element<V>(12582912.0)
                                                       : Element<V>(6755399441055744.0);
  return (x + shift) - shift;
}
// A whole number as an integer in the same lane, for |x| as in `nearest`.
template <class V> static inline Integers<V> to_integers(V whole) {
  constexpr Element<V> shift = sizeof(Element<V>) == 4 ? Element<V>(12582912.0)
                                                       : Element<V>(6755399441055744.0);
  const V shifted = whole + shift;
  return bits_of<V>(shifted) - bits_of<V>(broadcast<V>(shift));
}
template <class V> static inline V from_integers(Integers<V> x) {
  return __builtin_convertvector(x, V);
}
// 2^n for a whole number n of an exponent of normal numbers.
template <class V> static inline V power_of_two(V n) {
  constexpr int bias = sizeof(Element<V>) == 4 ? 127 : 1023;
  constexpr int mantissa = sizeof(Element<V>) == 4 ? 23 : 52;
  return from_bits<V>((to_integers<V>(n) + bias) << mantissa);
}

// Whether a mask holds in every lane.
template <class V> static inline bool all(Integers<V> mask) {
  int64_t words[sizeof(V) / 8];
  std::memcpy(words, &mask, sizeof words);
  int64_t both = -1;
  for (int64_t word : words) both &= word;
  return both == -1;
}
