//! Writes the data types of MQTT 5.0 section 1.5, or only counts them.
//!
//! Every packet body is written by one function that takes a [`Sink`]: once into a [`Length`], to know the
//! remaining length, once into the buffer. The two can therefore never disagree.

use super::frame::{PACKET_BYTES_MAX, REMAINING_LENGTH_MAX};

/// Where a packet is written to.
pub(super) trait Sink {
    fn put(&mut self, bytes: &[u8]);

    fn u8(&mut self, value: u8) {
        self.put(&[value]);
    }

    fn u16(&mut self, value: u16) {
        self.put(&value.to_be_bytes());
    }

    fn u32(&mut self, value: u32) {
        self.put(&value.to_be_bytes());
    }

    fn varint(&mut self, value: usize) {
        let (bytes, len) = varint(value);
        self.put(bytes.get(..len).unwrap_or_default());
    }

    /// Binary data after its length. What a packet cannot hold is cut off: whoever takes data from elsewhere than
    /// an MQTT packet bounds it to 65,535 bytes first.
    fn data(&mut self, data: &[u8]) {
        let len = u16::try_from(data.len()).unwrap_or(u16::MAX);
        self.u16(len);
        self.put(data.get(..usize::from(len)).unwrap_or(data));
    }

    /// A string after its length, cut after the last whole character that fits into 65,535 bytes.
    fn string(&mut self, text: &str) {
        let fits = text.floor_char_boundary(usize::from(u16::MAX));
        self.data(text.as_bytes().get(..fits).unwrap_or_default());
    }
}

impl Sink for Vec<u8> {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// A sink that only counts.
#[derive(Debug, Default)]
pub(super) struct Length(pub(super) usize);

impl Sink for Length {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.0 = self.0.saturating_add(bytes.len());
    }
}

/// How many bytes `write` writes.
pub(super) fn length_of(write: impl FnOnce(&mut dyn Sink)) -> usize {
    let mut length = Length::default();
    write(&mut length);
    length.0
}

/// Bytes of a whole packet with this remaining length.
#[inline]
pub(super) fn frame_len(remaining: usize) -> usize {
    varint_len(remaining).saturating_add(1).saturating_add(remaining)
}

/// Writes a property block: the length of what `write` writes, then that (MQTT-2.2.2-1).
pub(super) fn properties(sink: &mut dyn Sink, write: impl Fn(&mut dyn Sink)) {
    sink.varint(length_of(&write));
    write(sink);
}

/// The bytes of a variable byte integer and how many of them count.
///
/// # Panics
/// When `value` is more than four bytes can express. Packets of that size are refused when they are read, and
/// whoever builds one asks for its length first.
#[inline]
pub(super) fn varint(value: usize) -> ([u8; 4], usize) {
    assert!(value <= REMAINING_LENGTH_MAX, "a packet has at most {PACKET_BYTES_MAX} bytes, this one {value}");
    let group = |shift: u32| value.wrapping_shr(shift).to_le_bytes()[0];
    let len = varint_len(value);
    let mut bytes = [group(0) | 0x80, group(7) | 0x80, group(14) | 0x80, group(21) | 0x80];
    if let Some(last) = bytes.get_mut(len.wrapping_sub(1)) {
        *last &= 0x7F;
    }
    (bytes, len)
}

/// How many bytes a variable byte integer takes.
#[inline]
pub(super) const fn varint_len(value: usize) -> usize {
    match value {
        0..=0x7F => 1,
        0x80..=0x3FFF => 2,
        0x4000..=0x1F_FFFF => 3,
        _ => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::frame;

    #[test]
    fn mqtt_1_5_5_varint_at_every_border() {
        for value in [0, 1, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152, REMAINING_LENGTH_MAX] {
            let mut out = Vec::new();
            out.varint(value);
            assert_eq!(out.len(), varint_len(value));
            let decoded = frame::varint(&out).unwrap().unwrap();
            assert_eq!(decoded, (u32::try_from(value).unwrap(), out.len()));
        }
    }

    #[test]
    fn long_text_is_cut_at_a_character() {
        let mut out = Vec::new();
        out.string(&"é".repeat(40_000));
        assert_eq!(out.len(), 2 + 65_534);
        assert!(std::str::from_utf8(&out[2..]).is_ok());
    }
}
