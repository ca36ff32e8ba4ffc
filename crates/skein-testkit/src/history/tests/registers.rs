//! The checker of registers, on histories known to be good or bad.

use crate::history::{RegisterAction, RegisterOperation, linearizable};

use RegisterAction::{Read, Swap, SwapRefused, Write};

fn operation(process: u64, action: RegisterAction, invoked: u64, completed: u64) -> RegisterOperation {
    RegisterOperation { process, action, invoked, completed: Some(completed) }
}

fn unanswered(process: u64, action: RegisterAction, invoked: u64) -> RegisterOperation {
    RegisterOperation { process, action, invoked, completed: None }
}

#[test]
fn operations_that_overlap_take_effect_in_either_order() {
    for seen in [1, 2] {
        let operations = [
            operation(0, Write(1), 1, 10),
            operation(1, Write(2), 2, 9),
            operation(2, Read(Some(seen)), 11, 12),
            operation(0, Read(Some(seen)), 13, 14),
        ];
        assert_eq!(linearizable(&operations), Ok(()));
    }
}

#[test]
fn a_stale_read_is_found() {
    let operations =
        [operation(0, Write(1), 1, 2), operation(0, Write(2), 3, 4), operation(1, Read(Some(1)), 5, 6)];
    let fault = linearizable(&operations).unwrap_err();
    assert!(fault.contains("Read(Some(1))") && fault.contains("Some(2)"), "{fault}");
}

#[test]
fn a_value_does_not_come_back_after_a_newer_was_seen() {
    let operations = [
        operation(0, Write(1), 1, 2),
        operation(0, Write(2), 3, 20),
        operation(1, Read(Some(2)), 4, 5),
        operation(2, Read(Some(1)), 6, 7),
    ];
    assert!(linearizable(&operations).is_err());
    // Turned round, the two reads stand on either side of the write.
    let operations = [
        operation(0, Write(1), 1, 2),
        operation(0, Write(2), 3, 20),
        operation(1, Read(Some(1)), 4, 5),
        operation(2, Read(Some(2)), 6, 7),
    ];
    assert_eq!(linearizable(&operations), Ok(()));
}

#[test]
fn a_write_without_an_answer_happens_late_or_never() {
    let lost = [unanswered(0, Write(1), 1), operation(1, Read(None), 2, 3), operation(1, Read(None), 4, 5)];
    assert_eq!(linearizable(&lost), Ok(()));
    let late =
        [unanswered(0, Write(1), 1), operation(1, Read(None), 2, 3), operation(1, Read(Some(1)), 4, 5)];
    assert_eq!(linearizable(&late), Ok(()));
    let undone = [
        unanswered(0, Write(1), 1),
        operation(1, Read(None), 2, 3),
        operation(1, Read(Some(1)), 4, 5),
        operation(1, Read(None), 6, 7),
    ];
    assert!(linearizable(&undone).is_err());
}

#[test]
fn of_two_swaps_from_one_value_only_one_succeeds() {
    let both =
        [operation(0, Swap { from: None, to: 1 }, 1, 10), operation(1, Swap { from: None, to: 2 }, 2, 9)];
    assert!(linearizable(&both).is_err());
    let one =
        [operation(0, Swap { from: None, to: 1 }, 1, 10), operation(1, SwapRefused { from: None }, 2, 9)];
    assert_eq!(linearizable(&one), Ok(()));
    let refused_before_any_write = [operation(1, SwapRefused { from: None }, 2, 9)];
    assert!(linearizable(&refused_before_any_write).is_err());
}
