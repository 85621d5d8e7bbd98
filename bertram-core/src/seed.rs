//! Seeds: where every stream of random numbers begins.

/// Mixes two numbers into a seed (the finaliser of SplitMix64, Steele et al. 2014), so that neighbouring seeds, tasks and
/// updates get unrelated streams.
pub fn mix(seed: u64, stream: u64) -> u64 {
    let mut z = seed ^ stream.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_far_apart_and_no_stream_is_the_seed_itself() {
        assert_ne!(mix(7, 0), 7);
        for (one, other) in [(mix(7, 0), mix(7, 1)), (mix(7, 1), mix(8, 1))] {
            assert!((one ^ other).count_ones() > 10, "{one:x} and {other:x}");
        }
    }
}
