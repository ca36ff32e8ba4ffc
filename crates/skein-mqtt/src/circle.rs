//! Packet identifiers: 1 to 65 535, used round and round (MQTT 5.0 section 2.2.1).
//!
//! The plane numbers a session's messages from its beginning. A message's identifier is its number's place on the circle,
//! so it is the same after a reconnect and a restart; the plane lets no two messages be under way that have the same.

use std::num::NonZeroU16;

/// How many identifiers there are.
pub(crate) const SIZE: u16 = u16::MAX;

/// The identifier of message `seq`.
pub(crate) fn id_of(seq: u64) -> NonZeroU16 {
    let place = u16::try_from(seq % u64::from(SIZE)).unwrap_or_default();
    NonZeroU16::MIN.saturating_add(place)
}

/// The message with this identifier, when the oldest one under way is `front`.
pub(crate) fn seq_of(id: NonZeroU16, front: u64) -> u64 {
    let (place, size) = (u64::from(id.get().saturating_sub(1)), u64::from(SIZE));
    let ahead = place.saturating_add(size).saturating_sub(front % size) % size;
    front.saturating_add(ahead)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_message_under_way_is_found_by_its_identifier(front in 0_u64..1 << 40, ahead in 0..u64::from(SIZE)) {
            prop_assert_eq!(seq_of(id_of(front + ahead), front), front + ahead);
        }
    }

    #[test]
    fn identifiers_go_round() {
        let ids: Vec<u16> = [0, 1, 65_534, 65_535, 65_536].map(|seq| id_of(seq).get()).to_vec();
        assert_eq!(ids, [1, 2, 65_535, 1, 2]);
    }
}
