//! What a gzip file holds, up to a bound.

use std::borrow::Cow;
use std::io::Read;
use std::path::Path;

use flate2::read::MultiGzDecoder;

use super::DataError;

/// What a gzip file holds; other bytes as they are.
pub(super) fn unpacked<'a>(path: &Path, bytes: &'a [u8]) -> Result<Cow<'a, [u8]>, DataError> {
    if !bytes.starts_with(b"\x1F\x8B") {
        return Ok(Cow::Borrowed(bytes));
    }
    unpacked_up_to(bytes, most_unpacked(bytes.len()))
        .map(Cow::Owned)
        .map_err(|error| DataError::Io {
            path: path.to_owned(),
            source: std::io::Error::new(
                error.kind(),
                format!("a gzip file that cannot be unpacked: {error}"),
            ),
        })
}

/// Most bytes that a packed file of so many may hold. Sentences are packed to a fifth or a tenth of their length; a file
/// that is packed to a thousandth is made to fill a machine's memory.
pub(super) fn most_unpacked(packed: usize) -> u64 {
    (packed as u64).saturating_mul(200).max(64 << 20)
}

fn unpacked_up_to(bytes: &[u8], most: u64) -> std::io::Result<Vec<u8>> {
    let mut unpacked = Vec::new();
    MultiGzDecoder::new(bytes)
        .take(most.saturating_add(1))
        .read_to_end(&mut unpacked)?;
    match unpacked.len() as u64 > most {
        true => Err(std::io::Error::other(format!(
            "it holds more than {} MiB, 200 times its size; unpack it first if it is right",
            most >> 20
        ))),
        false => Ok(unpacked),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    #[test]
    fn what_is_packed_is_unpacked_up_to_a_bound() {
        let mut packer = GzEncoder::new(Vec::new(), Compression::best());
        packer.write_all(&[b'a'; 10_000]).expect("packs");
        let packed = packer.finish().expect("packs");
        assert_eq!(unpacked_up_to(&packed, 10_000).expect("fits").len(), 10_000);
        let error = unpacked_up_to(&packed, 9_999).expect_err("too much");
        assert!(error.to_string().contains("200 times"), "{error}");
        assert_eq!(
            most_unpacked(1000),
            64 << 20,
            "small files may be packed well"
        );
        assert_eq!(most_unpacked(1 << 20), 200 << 20);
    }
}
