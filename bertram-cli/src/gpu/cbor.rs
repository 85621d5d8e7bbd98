//! Where the whole entries of a stream of CBOR end (RFC 8949): what CubeCL's cache of kernels is.

/// Deepest nesting that is followed; entries of the cache are a handful deep.
const MAX_DEPTH: usize = 64;

/// Length of the longest prefix that holds only whole items. What is behind it was being written when somebody looked, or
/// is no CBOR.
pub fn whole_items(bytes: &[u8]) -> usize {
    let mut end = 0;
    while end < bytes.len() {
        match skip(bytes, end, MAX_DEPTH) {
            Some(next) => end = next,
            None => break,
        }
    }
    end
}

/// The end of the item that begins at `at`; `None` if it is not whole, or none.
fn skip(bytes: &[u8], at: usize, depth: usize) -> Option<usize> {
    let first = *bytes.get(at)?;
    let (major, extra) = (first >> 5, first & 0x1f);
    let depth = depth.checked_sub(1)?;
    if extra == 31 {
        return match major {
            2..=5 => skip_until_break(bytes, at + 1, depth),
            _ => None,
        };
    }
    let (argument, at) = match extra {
        small @ 0..=23 => (u64::from(small), at + 1),
        size @ 24..=27 => {
            let width = 1 << (size - 24);
            let field = bytes.get(at + 1..at + 1 + width)?;
            let value = field
                .iter()
                .fold(0, |sum, byte| sum << 8 | u64::from(*byte));
            (value, at + 1 + width)
        }
        _ => return None,
    };
    let left = bytes.len() - at;
    let argument_within = |most: usize| usize::try_from(argument).ok().filter(|it| *it <= most);
    match major {
        // Numbers, and simple values or floats.
        0 | 1 | 7 => Some(at),
        // Bytes and text.
        2 | 3 => Some(at + argument_within(left)?),
        // Lists and maps: each item has a byte at least.
        4 => skip_many(bytes, at, argument_within(left)?, depth),
        5 => skip_many(bytes, at, argument_within(left)?.checked_mul(2)?, depth),
        // Tags.
        _ => skip(bytes, at, depth),
    }
}

fn skip_many(bytes: &[u8], at: usize, items: usize, depth: usize) -> Option<usize> {
    (0..items).try_fold(at, |at, _| skip(bytes, at, depth))
}

fn skip_until_break(bytes: &[u8], mut at: usize, depth: usize) -> Option<usize> {
    const BREAK: u8 = 0xff;
    while *bytes.get(at)? != BREAK {
        at = skip(bytes, at, depth)?;
    }
    Some(at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Examples of RFC 8949, appendix A.
    const ITEMS: [&[u8]; 12] = [
        &[0x00],
        &[0x19, 0x03, 0xe8],
        &[0x3b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        &[0xf9, 0x3c, 0x00],
        &[0xf5],
        &[0xc1, 0x1a, 0x51, 0x4b, 0x67, 0xb0],
        &[0x44, 0x01, 0x02, 0x03, 0x04],
        &[0x64, 0x49, 0x45, 0x54, 0x46],
        &[0x83, 0x01, 0x82, 0x02, 0x03, 0x82, 0x04, 0x05],
        &[0xa2, 0x61, 0x61, 0x01, 0x61, 0x62, 0x82, 0x02, 0x03],
        &[0x5f, 0x42, 0x01, 0x02, 0x43, 0x03, 0x04, 0x05, 0xff],
        &[0x9f, 0x01, 0x82, 0x02, 0x03, 0x9f, 0x04, 0x05, 0xff, 0xff],
    ];

    #[test]
    fn whole_items_are_found_and_parts_are_not() {
        let all = ITEMS.concat();
        assert_eq!(whole_items(&all), all.len());
        let mut start = 0;
        for item in ITEMS {
            for cut in start..start + item.len() {
                assert_eq!(whole_items(&all[..cut]), start, "cut at {cut}");
            }
            start += item.len();
        }
    }

    #[test]
    fn lengths_beyond_the_end_and_reserved_bytes_are_no_items() {
        for bytes in [
            &[0x5b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff][..],
            &[0xbb, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
            &[0x1c],
            &[0xff],
            &[0x81; 200],
        ] {
            assert_eq!(whole_items(bytes), 0);
        }
    }
}
