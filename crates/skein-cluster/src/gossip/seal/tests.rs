//! What is sealed opens once, and nothing else opens.

use std::{collections::BTreeSet, net::SocketAddr, sync::Arc};

use proptest::prelude::*;

use super::*;

fn node(id: u16, incarnation: u64) -> NodeInfo {
    NodeInfo {
        id: NodeId(id),
        incarnation: Incarnation(incarnation),
        name: Arc::from("n"),
        advertise: SocketAddr::from(([127, 0, 0, 1], 5777)),
        qrank: 1,
        server_reference: None,
    }
}

fn seal_of(secret: &str, id: u16, incarnation: u64, salt: u8) -> Seal {
    Seal::new(&Secret(secret.to_owned()), &node(id, incarnation), [salt; 8])
}

fn pair() -> (Seal, Seal) {
    (seal_of("s", 1, 10, 1), seal_of("s", 2, 10, 2))
}

#[test]
fn opens_once_and_in_any_order() {
    let (mut a, mut b) = pair();
    let [first, second] = [a.seal(b"first"), a.seal(b"second")];
    assert_eq!(first.len(), b"first".len() + SEAL_BYTES);
    assert_eq!(b.open(&second).unwrap(), b"second");
    assert_eq!(b.open(&first).unwrap(), b"first");
    assert_eq!(b.open(&first), Err(SealError::Replayed));
    assert_eq!(b.open(&second), Err(SealError::Replayed));
    assert_eq!(a.open(&second), Err(SealError::OwnId), "sent back to its sender");
}

#[test]
fn a_stranger_is_refused_and_leaves_no_trace() {
    let (mut a, mut b) = pair();
    let mut wrong = seal_of("other", 1, 99, 1);
    assert_eq!(b.open(&wrong.seal(b"x")), Err(SealError::Forged));
    assert!(b.heard.is_empty());
    // Neither the higher incarnation nor the counter that was claimed stands in the way of the real one.
    let mut datagram = a.seal(b"x");
    for counter in [0, u64::MAX] {
        datagram[HEAD_BYTES - 8..HEAD_BYTES].copy_from_slice(&u64::to_le_bytes(counter));
        assert_eq!(b.open(&datagram), Err(SealError::Forged));
    }
    assert!(b.open(&a.seal(b"y")).is_ok());
}

#[test]
fn any_changed_bit_is_noticed() {
    let (mut a, mut b) = pair();
    assert!(b.open(&a.seal(b"before")).is_ok());
    let datagram = a.seal(b"message");
    for bit in 0..datagram.len() * 8 {
        let mut changed = datagram.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(b.open(&changed).is_err(), "bit {bit}");
    }
    for end in 0..datagram.len() {
        assert!(b.open(&datagram[..end]).is_err(), "cut at {end}");
    }
    assert!(b.open(&datagram).is_ok());
}

#[test]
fn lives_are_told_apart() {
    let (mut old, mut b) = pair();
    let recorded = old.seal(b"old");
    assert!(b.open(&old.seal(b"old too")).is_ok());
    let mut new = seal_of("s", 1, 11, 3);
    assert!(b.open(&new.seal(b"new")).is_ok());
    assert_eq!(b.open(&recorded), Err(SealError::PastLife));
    assert_eq!(b.open(&seal_of("s", 1, 11, 4).seal(b"same incarnation")), Err(SealError::PastLife));
    new.renew(&node(1, 12), [5; 8]);
    assert!(b.open(&new.seal(b"renewed")).is_ok());
    // The receiver's own renewal forgets nothing.
    let recorded = new.seal(b"once");
    assert!(b.open(&recorded).is_ok());
    b.renew(&node(2, 11), [6; 8]);
    assert_eq!(b.open(&recorded), Err(SealError::Replayed));
}

#[test]
fn two_lives_of_one_incarnation_do_not_share_a_key() {
    let [mut a, mut b] = [seal_of("s", 1, 10, 1), seal_of("s", 1, 10, 2)];
    assert_ne!(a.seal(b"same")[HEAD_BYTES..], b.seal(b"same")[HEAD_BYTES..]);
}

proptest! {
    /// The window against a set of all that came.
    #[test]
    fn the_window_is_a_set_of_the_last(counters in prop::collection::vec(0..400u64, 1..200)) {
        let mut window = Window::default();
        let mut came = BTreeSet::new();
        for counter in counters {
            let highest = came.last().copied().unwrap_or(0);
            let expected = counter > highest || (highest - counter < 128 && !came.contains(&counter));
            prop_assert_eq!(window.is_new(counter), expected, "{} after {:?}", counter, came);
            if expected {
                window.note(counter);
                came.insert(counter);
            }
        }
    }
}
