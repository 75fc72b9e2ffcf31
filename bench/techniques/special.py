"""Special functions that torch lacks, to the last digits of float32 and float64.

Values only: plain torch operations, elementwise, any shape, the result in the dtype of `x`; no
function modifies its argument. They work in place on their own temporaries and select without
`torch.where`: on a CPU a new temporary, or a branch on mixed signs, costs several multiplications.

The polynomials interpolate at the Chebyshev nodes of the interval named beside them, computed with
mpmath at 50 digits and stored in the monomial basis, highest power first. Each comes in two
degrees: for float64, and for float32 and below.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import softplus as torch_softplus

LN2 = math.log(2.0)

# B_{2k} / (2k+1)! for k = 7..1 (Bernoulli numbers): the Debye series of the dilogarithm,
# -Li2(-e^x) = z + z^2/4 + sum_k B_{2k}/(2k+1)! z^(2k+1), z = log(1 + e^x), which converges for
# |z| < 2 pi. L. Lewin, Polylogarithms and Associated Functions (1981), section 1.
_DEBYE = (
    1 / 1120863744000,
    -691 / 16999766784000,
    1 / 526901760,
    -1 / 10886400,
    1 / 211680,
    -1 / 3600,
    1 / 36,
)
_DEBYE_SINGLE = _DEBYE[-3:]

# log(cosh y) / y^2 in y^2 on [0, 1/4].
_LOG_COSH = (
    -7.66583116557878e-06,
    3.069309148933805e-05,
    -9.040236151746102e-05,
    0.0002564788129115691,
    -0.0007385919455971855,
    0.002186948123766884,
    -0.006746031718156974,
    0.0222222222216802,
    -0.08333333333332923,
    0.5,
)
_LOG_COSH_SINGLE = (
    0.0017834644245942484,
    -0.006661605221101623,
    0.02221483322811243,
    -0.0833331045056086,
    0.4999999988578366,
)

# (e^-b - 1 + b) / b^2 in b on [0, 1].
_EXPM1_REMAINDER = (
    -1.0509453754979482e-10,
    1.952715306431462e-09,
    -2.4856214837612005e-08,
    2.753900275371731e-07,
    -2.7556179049708925e-06,
    2.4801539739718985e-05,
    -0.0001984126853148021,
    0.0013888888865978557,
    -0.008333333333096557,
    0.04166666666665401,
    -0.1666666666666664,
    0.5,
)
_EXPM1_REMAINDER_SINGLE = (
    -0.00013742419086074865,
    0.0013248179642864888,
    -0.00830117044582246,
    0.04165925535933733,
    -0.16666603660680485,
    0.4999999912630972,
)

# (a + 4) R(a) in u = (a - 4)/(a + 4) on [-1, 1], R(a) = (a - (a^2 - 1) Q(a)/phi(a))/2 with the
# normal density phi and its upper tail Q, so that the integral of GELU at -a is -phi(a) R(a).
_GELU_TAIL = (
    -2.1059337602594015e-09,
    -2.5738863219739192e-08,
    -7.722140381442117e-09,
    2.4037343742079205e-07,
    2.5677455076463615e-07,
    -1.1227467301432256e-06,
    -2.155486903421238e-06,
    3.432608964514382e-06,
    1.2467754196274078e-05,
    -6.623806277676919e-06,
    -6.275470099301449e-05,
    1.84492409942615e-07,
    0.0003138693608356317,
    4.754322504764703e-05,
    -0.0016940223604708167,
    0.00032955360847637715,
    0.00972975047569421,
    -0.012866613830213825,
    -0.042046145160719216,
    0.1881478076295676,
    -0.3303715776884586,
    0.22575968159034945,
    0.3165774329894827,
    -1.1547281947216688,
    1.8008570251863598,
)
_GELU_TAIL_SINGLE = (
    3.0214559543568698e-05,
    -0.0010204741593165985,
    0.00035297718059042725,
    0.009056580459606611,
    -0.012879424550037957,
    -0.041716033605203796,
    0.1881508737878313,
    -0.3304467312620347,
    0.2257594164779639,
    0.3165837850005242,
    -1.1547281910335132,
    1.8008569372041283,
)


def _polynomial(x: Tensor, double: Sequence[float], single: Sequence[float]) -> Tensor:
    """Horner's rule in place on one temporary; picks the coefficients by the dtype of `x`."""
    first, *inner, last = double if x.dtype == torch.float64 else single
    result = x * first
    for coefficient in inner:
        result.add_(coefficient).mul_(x)
    return result.add_(last)


def _positive_(x: Tensor) -> Tensor:
    """1 where x > 0, else 0; in place."""
    return x.relu_().sign_()


def _reflect(x: Tensor, tail: Tensor, constant: float) -> Tensor:
    """`tail` where x <= 0 and x^2/2 + constant - tail where x > 0; overwrites `tail`.

    The integrals f of softplus, SiLU and GELU all satisfy f(x) + f(-x) = x^2/2 + constant or its
    negative, so their left tail, which has no cancellation, gives the right side as well.
    """
    ramp = torch.relu(x)
    positive = ramp.sign()
    tail.addcmul_(tail, positive, value=-2.0).add_(positive, alpha=constant)
    return tail.addcmul_(ramp, ramp, value=0.5)


def _dilogarithm_tail(softplus_of_tail: Tensor) -> Tensor:
    """-Li2(-e^-a), a >= 0, from z = log(1 + e^-a) by the Debye series."""
    z = softplus_of_tail
    square = z * z
    series = _polynomial(square, _DEBYE, _DEBYE_SINGLE)
    return series.mul_(square).add_(z, alpha=0.25).add_(1.0).mul_(z)


def softplus(x: Tensor) -> Tensor:
    """log(1 + e^x), exact on both sides.

    torch's default threshold of 20 drops e^-20, 2e-9, which float64 resolves.
    """
    return torch_softplus(x, threshold=40.0)


def softplus_integral(x: Tensor) -> Tensor:
    """-Li2(-e^x), the integral of softplus from -infinity to x.

    Debye's series for x <= 0; for x > 0 the inversion -Li2(-e^x) = x^2/2 + pi^2/6 + Li2(-e^-x).
    """
    z = softplus(x.abs().neg_())
    return _reflect(x, _dilogarithm_tail(z), math.pi**2 / 6)


def silu_integral(x: Tensor) -> Tensor:
    """x log(1 + e^x) + Li2(-e^x), the integral of SiLU from -infinity to x.

    At x = -a <= 0 both terms are negative, -a z and Li2(-e^-a) with z = log(1 + e^-a): nothing
    cancels. For x > 0, x^2/2 - pi^2/6 minus the value at -x.
    """
    negative = x.abs().neg_()
    z = softplus(negative)
    tail = negative.mul_(z).sub_(_dilogarithm_tail(z))
    return _reflect(x, tail, -(math.pi**2) / 6)


def gelu_integral(x: Tensor) -> Tensor:
    """((x^2 - 1) Phi(x) + x phi(x))/2, the integral of the exact GELU from -infinity to x.

    The two terms cancel in the left tail (by x^2 in relative terms), so their sum is fitted there
    as -phi(a) R(a), a = -x; for x > 0 it is x^2/2 - 1/2 minus the value at -x.
    """
    scale = x.abs().add_(4.0).reciprocal_()
    fit = _polynomial(scale.mul(-8.0).add_(1.0), _GELU_TAIL, _GELU_TAIL_SINGLE)
    density = (x * x).mul_(-0.5).exp_().mul_(-1 / math.sqrt(2 * math.pi))
    return _reflect(x, fit.mul_(scale).mul_(density), -0.5)


def _log_cosh_near_zero(y: Tensor) -> Tensor:
    """log(cosh y) for 0 <= y <= 1/2, finite beyond."""
    square = y.clamp(max=0.5).square_()
    return _polynomial(square, _LOG_COSH, _LOG_COSH_SINGLE).mul_(square)


def log_cosh(x: Tensor) -> Tensor:
    """log(cosh x), without overflow, and relatively accurate at 0, where it is x^2/2."""
    y = x.abs()
    far = softplus(y.mul(-2.0)).add_(y).sub_(LN2)
    return _log_cosh_near_zero(y).lerp_(far, _positive_(y.sub_(0.5)))


def shifted_softplus(x: Tensor) -> Tensor:
    """log((1 + e^x)/2), relatively accurate at 0, where softplus(x) - log 2 cancels.

    x/2 + log cosh(x/2) for |x| <= 1, else the difference.
    """
    y = x.abs().mul_(0.5)
    near = _log_cosh_near_zero(y).add_(x, alpha=0.5)
    return near.lerp_(softplus(x).sub_(LN2), _positive_(y.sub_(0.5)))


def expm1_integral(x: Tensor) -> Tensor:
    """e^x - 1 - x for x <= 0, and 0 for x > 0; relatively accurate at 0, where it is x^2/2.

    A polynomial for x >= -1; below it the difference, where little cancels.
    """
    b = x.neg().relu_()
    near = b.clamp(max=1.0)
    fit = _polynomial(near, _EXPM1_REMAINDER, _EXPM1_REMAINDER_SINGLE).mul_(near).mul_(near)
    far = b.neg().exp_().add_(b).sub_(1.0)
    return fit.lerp_(far, _positive_(b.sub_(1.0)))
