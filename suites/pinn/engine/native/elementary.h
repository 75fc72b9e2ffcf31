// Elementary and special functions of vectors, lane by lane, to about one unit in the last place.
//
// Without branches, except where a sine meets an angle too large for its reduction. Build with
// -ffp-contract=fast: the reduction of angles counts on a fused multiply-add. Never build with
// -ffast-math: it reorders the sums that split an argument exactly.
//
// Each polynomial interpolates at the Chebyshev nodes of the interval named beside it, in the
// monomial basis, highest power first, computed with mpmath; the first is for float, the second for
// double.
#pragma once

#include <cmath>

#include "vector.h"

// Horner's rule; the coefficients by the element type.
template <class V, int single, int twice>
static inline V polynomial(V x, const double (&of_float)[single], const double (&of_double)[twice]) {
  using E = Element<V>;
  if constexpr (sizeof(E) == 4) {
    V sum = broadcast<V>(E(of_float[0]));
#pragma GCC unroll 32
    for (int k = 1; k < single; ++k) sum = sum * x + E(of_float[k]);
    return sum;
  } else {
    V sum = broadcast<V>(E(of_double[0]));
#pragma GCC unroll 32
    for (int k = 1; k < twice; ++k) sum = sum * x + E(of_double[k]);
    return sum;
  }
}

// max(0, x), and NaN for NaN.
template <class V> static inline V ramp(V x) { return maximum(V{}, x); }

// 1/√(2π).
constexpr double kNormalDensity = 0.3989422804014326779;
constexpr double kLn2 = 0.6931471805599453094;

// (e^r − 1 − r)/r² for |r| ≤ ½ ln 2.
constexpr double kExpm1Float[] = {
    1.392625083e-3, 8.363232884e-3, 4.166655421e-2, 1.666657667e-1, 5.0e-1};
constexpr double kExpm1Double[] = {
    2.09147553258932022e-9, 2.510531272962210179e-8, 2.755727347871858047e-7,
    2.755725517000088744e-6, 2.48015873256774619e-5, 1.984126987500227879e-4,
    1.388888888888371117e-3, 8.33333333332608312e-3, 4.166666666666666978e-2,
    1.666666666666667103e-1, 5.0e-1};

// Of one argument x ≤ 0; below the smallest normal number e^x is 0.
template <class V> struct Exponential {
  V exp;        // e^x
  V expm1;      // e^x − 1, relatively accurate at 0
  V remainder;  // e^x − 1 − x, relatively accurate at 0
};

// Of x + low, where `low` is what x has lost to rounding. x = n ln 2 + r gives
// e^x − 1 = 2^n (e^r − 1) + (2^n − 1).
template <class V> static inline Exponential<V> exponential(V x, V low = V{}) {
  using E = Element<V>;
  constexpr bool single = sizeof(E) == 4;
  // n is at least −127 (float) or −1023 (double), for which power_of_two gives 0.
  const V clamped = maximum(broadcast<V>(single ? E(-88) : E(-709)), x);
  const V n = nearest<V>(clamped * E(1.442695040888963407));
  // n times the first part of ln 2 is exact.
  constexpr E ln2_high = single ? E(0.693145751953125) : E(0.69314718055989033019);
  constexpr E ln2_low = single ? E(1.428606765330187e-06) : E(5.4979230187083711552e-14);
  const V r = (clamped - n * ln2_high) - n * ln2_low + low;
  const V bent = r * r * polynomial<V>(r, kExpm1Float, kExpm1Double);
  const V m = r + bent;
  const V scale = power_of_two<V>(n);
  const V expm1 = scale * m + (scale - E(1));
  return {scale * m + scale, expm1, select<V>(scale == E(1), bent, expm1 - x)};
}

// atanh(w)/w in w² on [0, 1/9].
constexpr double kAtanhFloat[] = {
    1.407888918e-1, 1.398257887e-1, 2.001229762e-1, 3.333316082e-1, 1.000000004};
constexpr double kAtanhDouble[] = {
    8.522081781390699065e-2, 4.162253255930410288e-2, 6.055084364034608827e-2,
    6.650187016337312169e-2, 7.693307021152003881e-2, 9.090870416252402255e-2,
    1.111111204037383659e-1, 1.428571427272705727e-1, 2.000000000009287373e-1,
    3.33333333333330748e-1, 1.000000000000000001};

// log((1 + w)/(1 − w)), |w| ≤ 1/3.
template <class V> static inline V log_of_ratio(V w) {
  return (w + w) * polynomial<V>(w * w, kAtanhFloat, kAtanhDouble);
}

template <class V> struct Log1pReciprocal {
  V log1p;       // log(1 + t)
  V reciprocal;  // 1/(1 + t)
};

// For 0 ≤ t ≤ 1; both by one division.
template <class V> static inline Log1pReciprocal<V> log1p_reciprocal(V t) {
  using E = Element<V>;
  const V one = t + E(1), two = t + E(2), inverse = E(1) / (one * two);
  return {log_of_ratio<V>(t * (one * inverse)), two * inverse};
}

// (tanh x − x)/x³ in x² on [0, 0.391].
constexpr double kTanhFloat[] = {
    -6.094641315e-3, 2.099575389e-2, -5.385060911e-2, 1.333276776e-1, -3.333332892e-1};
constexpr double kTanhDouble[] = {
    -1.723197813108837137e-5, 7.957557077391531339e-5, -2.307572502036994301e-4,
    5.874290537089334387e-4, -1.45530713893207257e-3, 3.592058628407707425e-3,
    -8.863229796699783039e-3, 2.1869488258640403e-2, -5.396825396134123347e-2,
    1.333333333332659841e-1, -3.333333333333332246e-1};

// tanh(x), from t = e^(−2|x|) and 1/(1 + t).
template <class V> static inline V tanh_from(V x, V t, V reciprocal) {
  using E = Element<V>;
  const V a = absolute<V>(x), square = x * x;
  const V near = a + a * square * polynomial<V>(square, kTanhFloat, kTanhDouble);
  return copy_sign<V>(select<V>(a < E(0.625), near, E(1) - (t + t) * reciprocal), x);
}

// log(cosh y)/y² in y² on [0, 1/4].
constexpr double kLogCoshFloat[] = {
    0.0017834644245942484, -0.006661605221101623, 0.02221483322811243, -0.0833331045056086,
    0.4999999988578366};
constexpr double kLogCoshDouble[] = {
    -7.66583116557878e-06, 3.069309148933805e-05, -9.040236151746102e-05, 0.0002564788129115691,
    -0.0007385919455971855, 0.002186948123766884, -0.006746031718156974, 0.0222222222216802,
    -0.08333333333332923, 0.5};

// −Li₂(−e^−a), a ≥ 0, from z = log(1 + e^−a): z + z²/4 + Σ B₂ₖ/(2k + 1)! z^(2k+1), k = 7 … 1, with
// the Bernoulli numbers (L. Lewin, Polylogarithms and Associated Functions, 1981, section 1).
constexpr double kDebyeFloat[] = {
    4.72411186696901e-06, -0.0002777777777777778, 0.027777777777777776};
constexpr double kDebyeDouble[] = {
    8.921691020456452e-13, -4.0647616451442256e-11, 1.8978869988971e-09, -9.185773074661964e-08,
    4.72411186696901e-06, -0.0002777777777777778, 0.027777777777777776};
template <class V> static inline V dilogarithm_tail(V z) {
  using E = Element<V>;
  const V square = z * z;
  return z * (E(1) + E(0.25) * z + square * polynomial<V>(square, kDebyeFloat, kDebyeDouble));
}

// (a + 4) Q(a)/φ(a) in u = (a − 4)/(a + 4) on [−1, 1], with the upper tail Q of the normal density φ.
constexpr double kMillsFloat[] = {
    -4.194379621e-6, -3.938453318e-4, 3.346605482e-4, 3.918704937e-3, -8.722642465e-3,
    -1.88295208e-2, 1.513918374e-1, -4.675533658e-1, 9.704095509e-1, -1.523770296, 1.893219063};
constexpr double kMillsDouble[] = {
    -4.446108100174535963e-9, -3.219969279014312436e-9, 4.144971738484858699e-8,
    4.915081730923273166e-8, -2.002758580645433854e-7, -4.068738380935788283e-7,
    6.67346638768048076e-7, 2.574545068720035308e-6, -1.569667862894461669e-6,
    -1.4846708706118606e-5, 1.792925408184719567e-6, 8.809706644895799229e-5,
    -4.782414855787804279e-6, -5.792696390945318236e-4, 3.342444896278021102e-4,
    4.087855732516908303e-3, -8.722295263838521845e-3, -1.890045086610036512e-2,
    1.513917623120537632e-1, -4.675409629981584837e-1, 9.704095548675924067e-1,
    -1.523770910819985487, 1.893219063308485365};
// (a + 4) R(a), R(a) = (a − (a² − 1) Q(a)/φ(a))/2: the integral of GELU at −a is −φ(a) R(a).
constexpr double kGELUTailFloat[] = {
    3.0214559543568698e-05, -0.0010204741593165985, 0.00035297718059042725,
    0.009056580459606611, -0.012879424550037957, -0.041716033605203796, 0.1881508737878313,
    -0.3304467312620347, 0.2257594164779639, 0.3165837850005242, -1.1547281910335132,
    1.8008569372041283};
constexpr double kGELUTailDouble[] = {
    -2.1059337602594015e-09, -2.5738863219739192e-08, -7.722140381442117e-09,
    2.4037343742079205e-07, 2.5677455076463615e-07, -1.1227467301432256e-06,
    -2.155486903421238e-06, 3.432608964514382e-06, 1.2467754196274078e-05,
    -6.623806277676919e-06, -6.275470099301449e-05, 1.84492409942615e-07, 0.0003138693608356317,
    4.754322504764703e-05, -0.0016940223604708167, 0.00032955360847637715, 0.00972975047569421,
    -0.012866613830213825, -0.042046145160719216, 0.1881478076295676, -0.3303715776884586,
    0.22575968159034945, 0.3165774329894827, -1.1547281947216688, 1.8008570251863598};

// The normal distribution at a = |x|, at most `far`, where its density is 0.
template <class V> struct NormalTail {
  V a;
  V density;  // φ(a)
  V scale;    // 1/(a + 4)
  V u;        // (a − 4)/(a + 4)

  explicit NormalTail(V x) {
    using E = Element<V>;
    constexpr bool single = sizeof(E) == 4;
    constexpr E far = 64;
    a = minimum(broadcast<V>(far), absolute<V>(x));
    // a² without rounding: the upper bits squared, and the rest.
    using I = Integers<V>;
    const I mask = I{} + static_cast<decltype(I{}[0] + 0)>(single ? -0x1000LL : -0x8000000LL);
    const V high = from_bits<V>(bits_of<V>(a) & mask);
    density = exponential<V>(high * high * E(-0.5), (high - a) * (high + a) * E(0.5)).exp *
              E(kNormalDensity);
    scale = E(1) / (a + E(4));
    u = E(1) - E(8) * scale;
  }

  // Q(a)
  V upper() const { return density * scale * polynomial<V>(u, kMillsFloat, kMillsDouble); }
  // −φ(a) R(a)
  V integral() const {
    return -(density * scale * polynomial<V>(u, kGELUTailFloat, kGELUTailDouble));
  }
};

// (sin r − r)/r³ and (cos r − 1 + r²/2)/r⁴ in r² on [0, 0.63], a little more than (π/4)².
constexpr double kSineFloat[] = {2.724340926e-6, -1.984003594e-4, 8.33333178e-3, -1.666666666e-1};
constexpr double kSineDouble[] = {
    -7.585413158756367274e-13, 1.605850960564199993e-10, -2.505210609207969266e-8,
    2.75573192189307368e-6, -1.984126984126453438e-4, 8.333333333333331244e-3,
    -1.666666666666666667e-1};
constexpr double kCosineFloat[] = {2.454256398e-5, -1.388827788e-3, 4.166666453e-2};
constexpr double kCosineDouble[] = {
    4.745158038365111678e-14, -1.14704486485410703e-11, 2.087675571303850114e-9,
    -2.755731922117574647e-7, 2.480158730158435145e-5, -1.388888888888888773e-3,
    4.166666666666666667e-2};

template <class V> struct SineCosine {
  V sine, cosine;
};

// Cody and Waite's reduction by quarter turns. Beyond `limit` and for what is not finite, libm.
template <class V> static inline SineCosine<V> sine_cosine(V x) {
  using E = Element<V>;
  using I = Integers<V>;
  constexpr bool single = sizeof(E) == 4;
#if defined(__FP_FAST_FMA) && defined(__FP_FAST_FMAF)
  constexpr E limit = 32768;
#else
  constexpr E limit = 0.75;  // within the first eighth of a turn there is nothing to reduce
#endif
  const V n = nearest<V>(x * E(0.6366197723675813431));
  // π/2 in three parts. The first product's rounding is avoided by the fused multiply-add alone.
  constexpr E high = single ? E(1.5707963705062866211) : E(1.570796326794896558);
  constexpr E middle = single ? E(-4.3711388286737928865e-8) : E(6.1232339957367660359e-17);
  constexpr E low = single ? E(-1.7151245100058818728e-15) : E(-1.4973849048591698329e-33);
  const V r = ((x - n * high) - n * middle) - n * low;
  const V square = r * r;
  const V sine = r + r * square * polynomial<V>(square, kSineFloat, kSineDouble);
  const V cosine = E(1) - E(0.5) * square +
                   square * square * polynomial<V>(square, kCosineFloat, kCosineDouble);
  const I quarter = to_integers<V>(n);
  const I swap = -(quarter & 1);
  constexpr int to_sign = single ? 30 : 62;
  const I sign_of_sine = (quarter & 2) << to_sign, sign_of_cosine = ((quarter + 1) & 2) << to_sign;
  SineCosine<V> found = {from_bits<V>(bits_of<V>(swap ? cosine : sine) ^ sign_of_sine),
                         from_bits<V>(bits_of<V>(swap ? sine : cosine) ^ sign_of_cosine)};
  if (__builtin_expect(!all<V>(absolute<V>(x) <= limit), 0)) {
    for (int lane = 0; lane < Traits<V>::lanes; ++lane) {
      if (std::fabs(x[lane]) <= limit) continue;
      found.sine[lane] = std::sin(x[lane]);
      found.cosine[lane] = std::cos(x[lane]);
    }
  }
  return found;
}
