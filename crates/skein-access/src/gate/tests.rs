//! The gate step by step: order, bounds, who is gone, who is known, who has failed too often.

use std::time::Duration;

use super::*;
use crate::{AccessList, Anonymous, Credentials, NewUser, new_user_block};

const NOW: Moment = Moment::from_millis(1000);
const DEADLINE: Moment = Moment::from_millis(4000);

fn access() -> Arc<Access> {
    // SCRAM keys are cheap to check.
    let credentials = Credentials::Scram;
    let user = new_user_block(NewUser { name: "ann", password: "right", roles: &[], credentials }).unwrap();
    Arc::new(Access::new(AccessList::parse(&user).unwrap(), Anonymous::Never))
}

fn address(last: u8) -> IpAddr {
    [192, 0, 2, last].into()
}

fn enter(gate: &Arc<PasswordGate>, password: &str, from: u8) -> PasswordTicket {
    match gate.enter("ann", password.as_bytes(), address(from), DEADLINE).unwrap() {
        Entered::Waiting(ticket) => ticket,
        Entered::Known(_) => panic!("it is not known"),
    }
}

fn poll(ticket: &mut PasswordTicket, now: Moment) -> Progress {
    ticket.poll_turn(Waker::noop(), now)
}

#[test]
fn turns_come_in_order_and_few_at_once() {
    let gate = PasswordGate::new(access(), 2);
    let mut tickets: Vec<_> = (0..4).map(|from| enter(&gate, "wrong", from)).collect();
    assert_eq!(poll(&mut tickets[1], NOW), Progress::Queued, "the first goes first");
    assert_eq!(poll(&mut tickets[0], NOW), Progress::Now);
    assert_eq!(poll(&mut tickets[1], NOW), Progress::Now);
    assert_eq!(poll(&mut tickets[2], NOW), Progress::Queued);
    assert_eq!(tickets.remove(0).check(), Err(Code::BadCredentials));
    assert_eq!(poll(&mut tickets[2], NOW), Progress::Queued);
    assert_eq!(poll(&mut tickets[1], NOW), Progress::Now);
    assert_eq!(gate.figures(), (1, 2));
    drop(tickets);
    assert_eq!(gate.figures(), (0, 0));
    assert!(gate.queue.lock().per_address.is_empty());
}

#[test]
fn who_is_gone_is_not_waited_for() {
    let gate = PasswordGate::new(access(), 1);
    let mut running = enter(&gate, "wrong", 1);
    assert_eq!(poll(&mut running, NOW), Progress::Now);
    let mut gone: Vec<_> = (0..100).map(|_| enter(&gate, "wrong", 2)).collect();
    assert_eq!(poll(&mut gone[0], NOW), Progress::Queued);
    let mut last = enter(&gate, "right", 3);
    assert_eq!(poll(&mut last, NOW), Progress::Queued);
    drop(gone);
    drop(running);
    assert_eq!(poll(&mut last, NOW), Progress::Now);
    assert!(last.check().is_ok());
}

#[test]
fn who_is_known_does_not_wait() {
    let gate = PasswordGate::new(access(), 1);
    let mut first = enter(&gate, "right", 1);
    assert_eq!(poll(&mut first, NOW), Progress::Now);
    assert!(first.check().is_ok());
    let _strangers: Vec<_> = (0..WAITING_PER_ADDRESS_MAX).map(|_| enter(&gate, "wrong", 2)).collect();
    // From the strangers' address too, which may have no more in the queue.
    let known = gate.enter("ann", b"right", address(2), DEADLINE);
    assert!(matches!(known, Ok(Entered::Known(proof)) if proof.user.as_str() == "ann"));
    let refused = gate.enter("ann", b"wrong", address(2), DEADLINE);
    assert_eq!(refused.err(), Some(Code::ServerBusy));
}

#[test]
fn the_queue_has_a_bound() {
    let gate = PasswordGate::new(access(), 1);
    let tickets: Vec<_> =
        (0..WAITING_MAX).map(|number| enter(&gate, "wrong", u8::try_from(number % 5).unwrap())).collect();
    let enter_once_more = || gate.enter("ann", b"wrong", address(9), DEADLINE);
    assert_eq!(enter_once_more().err(), Some(Code::ServerBusy));
    drop(tickets);
    assert!(enter_once_more().is_ok());
}

#[test]
fn an_address_that_fails_is_slowed_and_others_are_not() {
    let access = access();
    // At two doors: they count together.
    let gates = [PasswordGate::new(access.clone(), 1), PasswordGate::new(access, 1)];
    let mut fails = 0;
    let delayed = loop {
        let mut ticket = enter(&gates[fails % 2], "wrong", 1);
        match poll(&mut ticket, NOW) {
            Progress::Now => assert_eq!(ticket.check(), Err(Code::BadCredentials)),
            other => break (ticket, other),
        }
        fails += 1;
    };
    let (mut delayed, progress) = delayed;
    let at = NOW.after(Duration::from_secs(1));
    assert_eq!((fails, progress), (11, Progress::At(at)));
    assert_eq!(gates[1].figures(), (0, 0), "it waits outside");
    let mut other = enter(&gates[1], "right", 2);
    assert_eq!(poll(&mut other, NOW), Progress::Now);
    assert!(other.check().is_ok());
    // The next of the address come one after the other, and who would come too late is told at once.
    let mut later: Vec<_> = (0..3).map(|_| enter(&gates[1], "right 2", 1)).collect();
    let progress: Vec<_> = later.iter_mut().map(|ticket| poll(ticket, NOW)).collect();
    let second = |number| Progress::At(NOW.after(Duration::from_secs(number)));
    assert_eq!(progress, [second(2), second(3), Progress::Refused(Code::ConnectionRateExceeded)]);
    drop(later);
    assert_eq!(poll(&mut delayed, NOW), Progress::At(at));
    assert_eq!(poll(&mut delayed, at), Progress::Now);
}
