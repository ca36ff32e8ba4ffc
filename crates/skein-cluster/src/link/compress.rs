//! Compression of what is large and patient, by LZ4: quick enough that a fast network gains, too.
//!
//! Layout: size of the original (u32, little-endian), one LZ4 block. The size is checked before room is made for it: LZ4 makes
//! at most 255 bytes out of one, so that a small frame cannot ask for much.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use lz4_flex::block;

use super::fault::LinkFault;
use crate::lane::FRAME_BYTES_MAX;

/// Below this nothing is gained.
const BYTES_MIN: usize = 512;
/// What one byte of a block can become (LZ4 block format: each byte of a length adds at most 255).
const EXPANSION_MAX: usize = 255;
const SIZE_BYTES: usize = 4;

/// The compressed form, if it is smaller.
pub(super) fn shrink(body: &[u8]) -> Option<Bytes> {
    if body.len() < BYTES_MIN || body.len() > FRAME_BYTES_MAX {
        return None;
    }
    let mut out = BytesMut::new();
    out.put_u32_le(u32::try_from(body.len()).ok()?);
    out.resize(SIZE_BYTES + block::get_maximum_output_size(body.len()), 0);
    let length = block::compress_into(body, out.get_mut(SIZE_BYTES..)?).ok()?;
    out.truncate(SIZE_BYTES + length);
    (out.len() < body.len()).then(|| out.freeze())
}

/// The original.
pub(super) fn expand(body: &Bytes) -> Result<Bytes, LinkFault> {
    let mut block = body.clone();
    let wrong = LinkFault::Garbled("a compressed frame cannot be expanded");
    let size = block.try_get_u32_le().map_err(|_short| wrong)?;
    let size = usize::try_from(size).map_err(|_large| wrong)?;
    if size > FRAME_BYTES_MAX || size / EXPANSION_MAX > block.len() {
        return Err(LinkFault::Garbled("a compressed frame claims to be larger than it can be"));
    }
    let mut out = BytesMut::zeroed(size);
    let expanded = block::decompress_into(&block, &mut out).map_err(|_invalid| wrong)?;
    if expanded != size { Err(wrong) } else { Ok(out.freeze()) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn comes_back(unit in proptest::collection::vec(any::<u8>(), 1..40), times in 1_usize..200) {
            let body = Bytes::from(unit.repeat(times));
            if let Some(small) = shrink(&body) {
                prop_assert!(small.len() < body.len());
                prop_assert_eq!(expand(&small).unwrap(), body);
            }
        }

        #[test]
        fn garbage_is_refused_or_expands(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _either = expand(&Bytes::from(bytes));
        }
    }

    #[test]
    fn a_size_that_cannot_be_is_refused_before_room_is_made() {
        let mut claims = BytesMut::new();
        claims.put_u32_le(400 << 20);
        claims.extend_from_slice(&[0; 100]);
        assert!(expand(&claims.freeze()).unwrap_err().to_string().contains("larger than it can be"));
        assert!(shrink(&[7; 4096]).unwrap().len() < 100);
        assert_eq!(shrink(&[7; 100]), None);
    }
}
