//! Arithmetic that compilers turn into vector instructions: no branches, no calls.
//!
//! `FMA` says whether the instruction set that a loop is compiled for multiplies and adds at once. Where it does not,
//! `f32::mul_add` would be a call to a library.

/// Compiles a function for AVX-512, for AVX2 with FMA and for the target's baseline; the processor chooses.
macro_rules! vectorised {
    ($function:item) => {
        #[multiversion::multiversion(targets(
            "x86_64+avx512f+avx512bw+avx512cd+avx512dq+avx512vl+avx2+fma",
            "x86_64+avx2+fma",
        ))]
        $function
    };
}
pub(super) use vectorised;

/// Numbers that a sum or a maximum keeps apart until its end: as many as two AVX-512 registers hold.
const LANES: usize = 32;

/// `a b + c`.
#[inline(always)]
pub(super) fn mul_add<const FMA: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FMA { a.mul_add(b, c) } else { a * b + c }
}

#[inline(always)]
fn polynomial<const FMA: bool, const N: usize>(x: f32, coefficients: [f32; N]) -> f32 {
    // The highest power comes first.
    let mut value = coefficients[0];
    let mut index = 1;
    while index < N {
        value = mul_add::<FMA>(value, x, coefficients[index]);
        index += 1;
    }
    value
}

/// `e^x` for `x` up to 80, within 2 units in the last place; exactly 0 below -60.
///
/// Zero rather than tiny: products with numbers of 1e-30 are denormal, and denormal operands slow a whole backward pass
/// down many times over.
#[inline(always)]
pub(super) fn exp<const FMA: bool>(x: f32) -> f32 {
    // Adding 1.5 * 2^23 rounds to an integer and leaves it in the low bits.
    const ROUND: f32 = 12_582_912.0;
    // ln 2 in two parts, the first with few enough bits that its product with an integer is exact.
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    let clamped = x.clamp(-80.0, 80.0);
    let rounded = mul_add::<FMA>(clamped, std::f32::consts::LOG2_E, ROUND);
    let power = rounded - ROUND;
    let rest = mul_add::<FMA>(power, -LN_2_HIGH, clamped);
    let rest = mul_add::<FMA>(power, -LN_2_LOW, rest);
    // (e^r - 1 - r) / r^2 on |r| <= ln(2)/2, fitted to a relative error of 3e-9 of e^r.
    let tail = polynomial::<FMA, 5>(
        rest,
        [
            1.381_461_5e-3,
            8.368_717e-3,
            4.166_839e-2,
            1.666_652_1e-1,
            4.999_999_3e-1,
        ],
    );
    let mantissa = mul_add::<FMA>(tail * rest, rest, rest) + 1.0;
    let scale = f32::from_bits((rounded.to_bits() << 23).wrapping_add(1.0f32.to_bits()));
    if x < -60.0 { 0.0 } else { mantissa * scale }
}

/// The distribution function of the standard normal, within 2e-7: rounding, three units in the last place of 1/2.
#[inline(always)]
pub(super) fn normal_cdf<const FMA: bool>(x: f32) -> f32 {
    // (Phi(x) - 1/2) / x as a ratio of polynomials in x^2, fitted on |x| <= 5.6 to an absolute error of 1e-8 of Phi;
    // beyond, Phi is 0 or 1 within 1.1e-8.
    let x = x.clamp(-5.6, 5.6);
    let square = x * x;
    let above = polynomial::<FMA, 6>(
        square,
        [
            2.214_345_1e-8,
            6.355_596_1e-6,
            1.738_150_6e-4,
            4.707_047e-3,
            3.437_337e-2,
            3.989_422_2e-1,
        ],
    );
    let below = polynomial::<FMA, 6>(
        square,
        [
            1.180_086_2e-6,
            7.508_664e-5,
            1.912_786_3e-3,
            2.893_840_1e-2,
            2.528_27e-1,
            1.0,
        ],
    );
    // Rounding can push the ends a hair beyond the range.
    mul_add::<FMA>(x, above / below, 0.5).clamp(0.0, 1.0)
}

/// The density of the standard normal.
#[inline(always)]
pub(super) fn normal_density<const FMA: bool>(x: f32) -> f32 {
    const AT_ZERO: f32 = 0.398_942_3;
    AT_ZERO * exp::<FMA>(-0.5 * x * x)
}

#[inline(always)]
pub(super) fn sum(values: &[f32]) -> f32 {
    let (chunks, rest) = values.as_chunks::<LANES>();
    let mut lanes = [0.0; LANES];
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane += value;
        }
    }
    halves(lanes) + rest.iter().sum::<f32>()
}

#[inline(always)]
pub(super) fn dot<const FMA: bool>(left: &[f32], right: &[f32]) -> f32 {
    let (left, left_rest) = left.as_chunks::<LANES>();
    let (right, right_rest) = right.as_chunks::<LANES>();
    let mut lanes = [0.0; LANES];
    for (left, right) in left.iter().zip(right) {
        for ((lane, left), right) in lanes.iter_mut().zip(left).zip(right) {
            *lane = mul_add::<FMA>(*left, *right, *lane);
        }
    }
    let rest = left_rest.iter().zip(right_rest).map(|(a, b)| a * b);
    halves(lanes) + rest.sum::<f32>()
}

#[inline(always)]
pub(super) fn max(values: &[f32]) -> f32 {
    let (chunks, rest) = values.as_chunks::<LANES>();
    let mut lanes = [f32::NEG_INFINITY; LANES];
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane = if *value > *lane { *value } else { *lane };
        }
    }
    let lanes = lanes.into_iter().chain(rest.iter().copied());
    lanes.fold(f32::NEG_INFINITY, f32::max)
}

/// The sum of the lanes, halves added to halves.
#[inline(always)]
fn halves(mut lanes: [f32; LANES]) -> f32 {
    let mut width = LANES / 2;
    while width > 0 {
        for index in 0..width {
            lanes[index] += lanes[index + width];
        }
        width /= 2;
    }
    lanes[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid() -> impl Iterator<Item = f32> {
        (-90_000..=90_000).map(|step| step as f32 / 1000.0)
    }

    fn exp_is_close<const FMA: bool>() {
        for x in grid().filter(|x| *x <= 80.0) {
            let (got, want) = (exp::<FMA>(x), f64::from(x).exp());
            if x < -60.0 {
                assert_eq!(got.to_bits(), 0);
            } else {
                let error = (f64::from(got) / want - 1.0).abs();
                assert!(error < 2.5e-7, "exp({x}) = {got}, off by {error:e}");
            }
        }
        assert_eq!(exp::<FMA>(0.0), 1.0);
        assert_eq!(exp::<FMA>(f32::NEG_INFINITY), 0.0);
        assert!(exp::<FMA>(f32::NAN).is_nan());
    }

    /// Phi by its series about 0 (Marsaglia 2004), and by symmetry.
    fn phi(x: f64) -> f64 {
        let (mut term, mut total) = (x, x);
        let mut n = 1.0;
        while term.abs() > 1e-18 {
            n += 2.0;
            term *= x * x / n;
            total += term;
        }
        0.5 + total * (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt()
    }

    fn normal_is_close<const FMA: bool>() {
        for x in grid() {
            let want = if x.abs() < 8.0 {
                phi(f64::from(x))
            } else {
                f64::from(u8::from(x > 0.0))
            };
            let error = (f64::from(normal_cdf::<FMA>(x)) - want).abs();
            assert!(error < 2e-7, "Phi({x}) is off by {error:e}");
            let want = (-0.5 * f64::from(x).powi(2)).exp() / (2.0 * std::f64::consts::PI).sqrt();
            let error = (f64::from(normal_density::<FMA>(x)) - want).abs();
            assert!(error < 1e-7, "the density at {x} is off by {error:e}");
        }
    }

    #[test]
    fn functions_are_accurate() {
        exp_is_close::<true>();
        exp_is_close::<false>();
        normal_is_close::<true>();
        normal_is_close::<false>();
    }

    #[test]
    fn reductions_take_every_element() {
        for length in [0, 1, 31, 32, 33, 100] {
            let values: Vec<f32> = (0..length).map(|i| (i * i % 17) as f32 - 8.0).collect();
            assert_eq!(sum(&values), values.iter().sum::<f32>());
            let squares: f32 = values.iter().map(|v| v * v).sum();
            assert_eq!(dot::<true>(&values, &values), squares);
            assert_eq!(dot::<false>(&values, &values), squares);
            let largest = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            assert_eq!(max(&values), largest);
        }
    }
}
