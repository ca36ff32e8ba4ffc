//! One history per phenomenon: found by its name, forbidden from one level on and allowed below it.

use std::time::{Duration, Instant};

use super::history;
use crate::history::{History, Level, Order, Outcome, Phenomenon, Recorder};

use Level::{
    ReadCommitted, Serializable, SessionSerializable, SessionSnapshotIsolation, SnapshotIsolation,
    StrictSerializable, StrongSnapshotIsolation,
};

/// The history shows `phenomenon` at each of `forbidding`, and is legal at every other level.
#[track_caller]
fn shows(text: &str, phenomenon: Phenomenon, forbidding: &[Level]) -> String {
    let history = history(text);
    let mut explanation = String::new();
    for level in Level::ALL {
        let report = history.check(level);
        if forbidding.contains(&level) {
            assert!(report.phenomena().contains(&phenomenon), "{phenomenon:?} was not found: {report}");
            explanation = report.to_string();
        } else {
            assert!(report.is_legal(), "{report}");
        }
    }
    explanation
}

const FROM_SNAPSHOT_ISOLATION: [Level; 6] = [
    SnapshotIsolation,
    SessionSnapshotIsolation,
    StrongSnapshotIsolation,
    Serializable,
    SessionSerializable,
    StrictSerializable,
];
const FROM_SERIALIZABLE: [Level; 3] = [Serializable, SessionSerializable, StrictSerializable];

#[test]
fn transactions_one_after_the_other_are_legal_everywhere() {
    let text = "
        0 ok: r1= a1.10 r1=10
        1 ok: r1=10 a1.11 a1.12 a2.20
        0 fail: a1.13
        2 ok: r1=10,11,12 r2=20 r3=";
    for level in Level::ALL {
        history(text).check(level).assert_legal();
        History::default().check(level).assert_legal();
    }
}

#[test]
fn a_dirty_write_is_found() {
    let text = "
        0 ok: a1.10 a2.20 ..
        1 ok: a1.11 a2.21
        end 0
        2 ok: r1=10,11 r2=21,20";
    let told = shows(text, Phenomenon::G0, &Level::ALL);
    assert!(told.contains("T0 comes before T1: T1 appended 11 to key 1 after T0's 10 (ww)"), "{told}");
    assert!(told.contains("T1 comes before T0: T0 appended 20 to key 2 after T1's 21 (ww)"), "{told}");
}

#[test]
fn an_aborted_read_is_found() {
    let text = "
        0 fail: a1.10 ..
        1 ok: r1=10
        end 0";
    let told = shows(text, Phenomenon::G1a, &Level::ALL);
    assert!(told.contains("T1 read key 1 with 10, which T0 took back"), "{told}");
}

#[test]
fn an_intermediate_read_is_found() {
    let text = "
        0 ok: a1.10 a1.11 ..
        1 ok: r1=10
        end 0
        2 ok: r1=10,11";
    shows(text, Phenomenon::G1b, &Level::ALL);
}

#[test]
fn circular_information_flow_is_found() {
    let text = "
        0 ok: a1.10 r2=20 ..
        1 ok: a2.20 r1=10
        end 0";
    shows(text, Phenomenon::G1c, &Level::ALL);
}

#[test]
fn a_lost_update_is_found() {
    let text = "
        0 ok: r1=10 a1.11 ..
        1 ok: a1.10
        2 ok: r1=10 a1.12
        end 0
        3 ok: r1=10,12,11";
    shows(text, Phenomenon::LostUpdate, &FROM_SNAPSHOT_ISOLATION);
}

#[test]
fn an_update_that_vanished_is_found() {
    let text = "
        0 ok: a1.10
        1 ok: r1=10 a1.11 ..
        2 ok: r1=10 a1.12
        end 1
        3 ok: r1=10,12";
    let told = shows(text, Phenomenon::GSingle, &FROM_SNAPSHOT_ISOLATION);
    assert!(told.contains("P4"), "{told}");
}

#[test]
fn an_update_lost_by_reading_too_early_is_allowed_where_reads_are_only_committed() {
    // The append saw the other's value; the read before it did not.
    let text = "
        0 ok: r1= r1=10 a1.11 ..
        1 ok: a1.10
        end 0
        2 ok: r1=10,11";
    let history = history(text);
    history.check(ReadCommitted).assert_legal();
    assert!(history.check(SnapshotIsolation).phenomena().contains(&Phenomenon::GSingle));
}

#[test]
fn read_skew_is_found() {
    let text = "
        0 ok: r1= r2=20 ..
        1 ok: a1.10 a2.20
        end 0
        2 ok: r1=10";
    let told = shows(text, Phenomenon::GSingle, &FROM_SNAPSHOT_ISOLATION);
    assert!(told.contains("T0 read key 1 empty, without 10 of T1 (rw)"), "{told}");
    assert!(told.contains("T0 read key 2 with 20 of T1 (wr)"), "{told}");
}

#[test]
fn a_long_fork_is_found() {
    let text = "
        0 ok: a1.10 ..
        1 ok: a2.20 ..
        2 ok: r1=10 r2= ..
        3 ok: r1= r2=20 ..
        end 0
        end 1
        end 2
        end 3";
    shows(text, Phenomenon::GNonadjacent, &FROM_SNAPSHOT_ISOLATION);
}

#[test]
fn write_skew_is_found_from_serializable_on() {
    let text = "
        0 ok: r1= a2.20 ..
        1 ok: r2= a1.10
        end 0
        2 ok: r1=10 r2=20";
    shows(text, Phenomenon::G2Item, &FROM_SERIALIZABLE);
}

#[test]
fn the_anomaly_of_a_reading_transaction_is_found_from_serializable_on() {
    // Fekete, O'Neil and O'Neil: two writers that alone are serializable, and a reader between them.
    let text = "
        0 ok: r1= r2= a1.10 ..
        1 ok: r2= a2.20
        2 ok: r1= r2=20
        end 0
        3 ok: r1=10 r2=20";
    shows(text, Phenomenon::G2Item, &FROM_SERIALIZABLE);
}

#[test]
fn a_stale_read_in_one_session_is_found_only_where_sessions_count() {
    let text = "
        0 ok: a1.10
        0 ok: r1=";
    shows(
        text,
        Phenomenon::GSingle,
        &[SessionSnapshotIsolation, StrongSnapshotIsolation, SessionSerializable, StrictSerializable],
    );
}

#[test]
fn a_stale_read_of_another_process_is_found_only_in_real_time() {
    let text = "
        0 ok: a1.10
        1 ok: r1=";
    let told = shows(text, Phenomenon::GSingle, &[StrongSnapshotIsolation, StrictSerializable]);
    assert!(told.contains("by real time") && told.contains("it had ended when the other began"), "{told}");
    let overlapping = "
        0 ok: a1.10 ..
        1 ok: r1=
        end 0";
    history(overlapping).check(StrictSerializable).assert_legal();
}

#[test]
fn reading_the_future_in_real_time_is_found() {
    let text = "
        0 ok: r1=10
        1 ok: a1.10";
    shows(text, Phenomenon::G1c, &[StrongSnapshotIsolation, StrictSerializable]);
}

#[test]
fn real_time_reaches_over_transactions_that_overlap_both() {
    let text = "
        0 ok: a1.10
        1 ok: a2.20 ..
        2 ok: a3.30
        3 ok: r1=
        end 1";
    shows(text, Phenomenon::GSingle, &[StrongSnapshotIsolation, StrictSerializable]);
}

#[test]
fn incompatible_orders_are_found() {
    let text = "
        0 ok: a1.10
        1 ok: a1.11
        2 ok: r1=10,11
        3 ok: r1=11";
    shows(text, Phenomenon::IncompatibleOrder, &Level::ALL);
}

#[test]
fn duplicate_elements_are_found() {
    shows("0 ok: a1.10\n 1 ok: r1=10,10", Phenomenon::DuplicateElement, &Level::ALL);
}

#[test]
fn invented_values_are_found() {
    shows("0 ok: r1=10", Phenomenon::Invented, &Level::ALL);
}

#[test]
fn not_seeing_an_append_of_ones_own_is_found() {
    shows("0 ok: a1.10 r1=", Phenomenon::Internal, &Level::ALL);
    shows("0 ok: r1=10 a1.10", Phenomenon::Internal, &Level::ALL);
    shows("0 ok: a1.10 a1.11 r1=11,10", Phenomenon::Internal, &Level::ALL);
}

#[test]
fn a_transaction_of_unknown_outcome_is_blamed_only_when_it_was_seen() {
    // Unseen, it may never have happened, whatever it read.
    let unseen = "
        0 ok: a1.10
        1 info: r1= a2.20
        2 ok: r2=";
    history(unseen).check(StrictSerializable).assert_legal();
    // Seen, it committed, so it must have a place.
    let seen = "
        0 info: r1= r2=20 a3.30 ..
        1 ok: a1.10 a2.20
        2 ok: r3=30";
    assert!(history(seen).check(SnapshotIsolation).phenomena().contains(&Phenomenon::GSingle));
    // It may commit long after its client gave up.
    let late = "
        0 info: a1.10
        1 ok: r1=
        2 ok: r1=10";
    history(late).check(StrictSerializable).assert_legal();
    // What is seen through it counts as well.
    let chained = "
        0 info: a1.10 ..
        1 info: r1=10 a2.20 ..
        2 ok: r2=20 r1=";
    assert!(history(chained).check(SnapshotIsolation).phenomena().contains(&Phenomenon::GSingle));
    history(chained).check(ReadCommitted).assert_legal();
}

#[test]
fn a_value_appended_twice_is_a_fault_of_the_recording() {
    let twice = history("0 ok: a1.10\n 0 ok: a1.10");
    let panic = std::panic::catch_unwind(|| twice.check(ReadCommitted)).unwrap_err();
    let text = panic.downcast_ref::<String>().unwrap();
    assert!(text.contains("10 was appended twice to key 1"), "{text}");
}

#[test]
fn the_order_of_a_finding_says_what_it_rests_on() {
    let report = history("0 ok: a1.10\n 1 ok: r1=").check(StrictSerializable);
    assert_eq!(report.anomalies[0].order, Order::RealTime);
    assert_eq!(report.anomalies[0].transactions, [1, 0]);
}

#[test]
fn a_recorder_orders_what_does_not_overlap() {
    let recorder = Recorder::new();
    let mut first = recorder.begin(0);
    first.append(1, 10);
    first.end(Outcome::Committed);
    let mut second = recorder.begin(1);
    second.read(1, vec![]);
    second.end(Outcome::Committed);
    let history = recorder.history();
    history.check(Serializable).assert_legal();
    assert!(!history.check(StrictSerializable).is_legal());
}

#[test]
fn edn_is_written_as_other_checkers_read_it() {
    let text = "
        0 ok: r1= a1.10 ..
        1 info: a1.11 ..
        end 0
        1 fail: r1=10";
    let expected = "\
{:index 0, :time 1, :type :invoke, :process 0, :f :txn, :value [[:r 1 nil] [:append 1 10]]}
{:index 1, :time 2, :type :invoke, :process 1, :f :txn, :value [[:append 1 11]]}
{:index 2, :time 3, :type :ok, :process 0, :f :txn, :value [[:r 1 []] [:append 1 10]]}
{:index 3, :time 4, :type :invoke, :process 2, :f :txn, :value [[:r 1 nil]]}
{:index 4, :time 5, :type :fail, :process 2, :f :txn, :value [[:r 1 nil]]}
{:index 5, :time 6, :type :info, :process 1, :f :txn, :value [[:append 1 11]]}
";
    let mut history = history(text);
    history.transactions[1].completed = 6;
    assert_eq!(history.to_edn(), expected);
}

#[test]
fn a_long_history_takes_seconds_at_most() {
    let recorder = Recorder::new();
    let mut lists = vec![Vec::new(); 2_000];
    for number in 0..100_000_u64 {
        let mut recording = recorder.begin(number % 16);
        for step in 0..2 {
            let key = (number * 7 + step * 13) % 2_000;
            recording.read(key, lists[usize::try_from(key).unwrap()].clone());
            recording.append(key, number * 2 + step);
            lists[usize::try_from(key).unwrap()].push(number * 2 + step);
        }
        recording.end(Outcome::Committed);
    }
    let history = recorder.history();
    let start = Instant::now();
    history.check(StrictSerializable).assert_legal();
    let taken = start.elapsed();
    println!("100 000 transactions in {taken:?}");
    // Without optimisation and beside other work; a quadratic step would take hours.
    assert!(taken < Duration::from_secs(30), "{taken:?}");
}
