//! The content of a message: which stream it belongs to, its place there, filling and a checksum over all of it.
//!
//! The topic is in the sum as well, so that a message which arrives under another's topic is found.

/// Bytes before the filling: stream (4) and place (8).
const HEAD: usize = 12;
/// Bytes of the sum at the end.
const SUM: usize = 8;

/// What a payload says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) stream: u32,
    pub(crate) place: u64,
}

/// The payload of a message with `filling` bytes beside mark and sum.
pub(crate) fn write(mark: Mark, topic: &str, filling: usize) -> Vec<u8> {
    let mut payload = Vec::with_capacity(HEAD + filling + SUM);
    payload.extend(mark.stream.to_be_bytes());
    payload.extend(mark.place.to_be_bytes());
    let pattern = mark.place.to_le_bytes();
    payload.extend(pattern.iter().cycle().take(filling));
    let sum = checksum(topic, &payload);
    payload.extend(sum.to_be_bytes());
    payload
}

/// The mark of a payload that came under `topic`; none when it is not as it was written.
pub(crate) fn read(payload: &[u8], topic: &str) -> Option<Mark> {
    let (content, sum) = payload.split_at_checked(payload.len().checked_sub(SUM)?)?;
    let (stream, rest) = content.split_first_chunk()?;
    let (place, _) = rest.split_first_chunk()?;
    (sum == checksum(topic, content).to_be_bytes().as_slice())
        .then(|| Mark { stream: u32::from_be_bytes(*stream), place: u64::from_be_bytes(*place) })
}

/// FNV-1a: finds mixed-up bytes, and needs no protection against somebody who forges them.
fn checksum(topic: &str, content: &[u8]) -> u64 {
    topic
        .bytes()
        .chain(content.iter().copied())
        .fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_wrote_and_nothing_else() {
        let mark = Mark { stream: 3, place: 1 << 40 };
        let payload = write(mark, "one/p3/q1", 100);
        assert_eq!(payload.len(), HEAD + 100 + SUM);
        assert_eq!(read(&payload, "one/p3/q1"), Some(mark));
        assert_eq!(read(&payload, "one/p3/q2"), None);
        assert_eq!(read(&payload[1..], "one/p3/q1"), None);
        assert_eq!(read(&[], "one/p3/q1"), None);
        let mut torn = payload;
        torn[50] ^= 1;
        assert_eq!(read(&torn, "one/p3/q1"), None);
    }
}
