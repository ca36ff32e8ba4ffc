//! Serializable transfers between accounts by two threads: few accounts collide often, many hardly ever.

use super::{turn_of, watched};
use crate::arguments::Arguments;
use crate::measure::{Series, wait};
use crate::report::{Column, Section, Table};
use crate::rows::{Account, account, scattered, schema};
use parking_lot::RwLock;
use skein_store::{Isolation, Options, StatementError, Store};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const ACCOUNTS: [u64; 3] = [2, 16, 10_000];
const THREADS: [u64; 2] = [1, 2];

/// Takes two different accounts from a counting number.
fn two(number: u64, accounts: u64) -> (u64, u64) {
    let scattered = scattered(number) >> 8;
    let from = scattered % accounts;
    (from, (from + 1 + scattered / accounts % (accounts - 1)) % accounts)
}

#[derive(Default)]
struct Figures {
    store: Series,
    attempts: Series,
    map: Series,
}

pub(super) fn measure(arguments: &Arguments) -> Section {
    let cases: Vec<_> =
        ACCOUNTS.iter().flat_map(|accounts| THREADS.map(|threads| (*accounts, threads))).collect();
    let mut figures: Vec<Figures> = cases.iter().map(|_| Figures::default()).collect();
    for round in 0..=arguments.rounds {
        for ((accounts, threads), figures) in cases.iter().zip(&mut figures) {
            let (store, attempts) = watched(arguments, || in_store(*accounts, *threads, turn_of(arguments)));
            let map = watched(arguments, || in_map(*accounts, *threads, turn_of(arguments)));
            if round == 0 {
                continue;
            }
            eprintln!(
                "transfers, {accounts} accounts, {threads} threads, round {round}: store {store:.0}/s with \
                 {attempts:.3} attempts each, map {map:.0}/s"
            );
            figures.store.push(store);
            figures.attempts.push(attempts);
            figures.map.push(map);
        }
    }
    let row = |((accounts, threads), figures): (&(u64, u64), &Figures)| {
        let values = [&figures.store, &figures.attempts, &figures.map].map(|series| Some(series.clone()));
        (format!("{accounts} accounts, {threads} threads"), values.to_vec())
    };
    let table = Table {
        title: "In memory, serializable transfers",
        note: "Each reads two accounts, moves an amount and commits; a conflict makes it try again. The sum over all \
               accounts is checked afterwards. The map holds its lock over the whole transfer."
            .to_owned(),
        columns: vec![
            Column { name: "store: transfers/s", decimals: 0 },
            Column { name: "attempts per transfer", decimals: 3 },
            Column { name: "locked map: transfers/s", decimals: 0 },
        ],
        rows: cases.iter().zip(&figures).map(row).collect(),
    };
    Section { tables: vec![table], targets: Vec::new() }
}

/// Calls `transfer` with counting numbers on so many threads; gives calls per second and the sum of what they return
/// over their number.
fn threads(count: u64, long: Duration, transfer: &(dyn Fn(u64) -> u32 + Sync)) -> (f64, f64) {
    let stop = AtomicBool::new(false);
    let one = |first: u64| {
        let (mut number, mut done, mut attempts) = (first, 0_u64, 0_u64);
        while !stop.load(Ordering::Relaxed) {
            attempts += u64::from(transfer(number));
            number += count;
            done += 1;
        }
        (done, attempts)
    };
    std::thread::scope(|scope| {
        let began = Instant::now();
        let (one, stop) = (&one, &stop);
        let threads: Vec<_> = (0..count).map(|first| scope.spawn(move || one(first))).collect();
        wait(long);
        stop.store(true, Ordering::Relaxed);
        let sums = threads.into_iter().map(|thread| thread.join().expect("transfers do not panic"));
        let (done, attempts) = sums.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        (done as f64 / began.elapsed().as_secs_f64(), attempts as f64 / done as f64)
    })
}

fn in_store(accounts: u64, count: u64, long: Duration) -> (f64, f64) {
    let store = Store::open(schema(), Options::memory()).expect("memory needs no files");
    let mut batch = store.batch();
    (0..accounts).for_each(|id| batch.put_object(&account(id)).expect("the class is in the schema"));
    store.commit(batch).expect("there is room");
    let transfer = |number: u64| {
        let (from, to) = two(number, accounts);
        let transacted = store.transact(Isolation::Serializable, |transaction| {
            let mut giver: Account = transaction.get(&from)?.expect("it is there");
            let mut taker: Account = transaction.get(&to)?.expect("it is there");
            giver.balance -= 1;
            taker.balance += 1;
            transaction.update(&giver)?;
            transaction.update(&taker)?;
            Ok::<_, StatementError>(())
        });
        transacted.expect("it is tried again until it is committed").attempts
    };
    let rates = threads(count, long, &transfer);
    let snapshot = store.snapshot();
    let found =
        (0..accounts).map(|id| snapshot.find::<Account>(&id).expect("it is readable").expect("it is there"));
    assert_eq!(found.map(|account| account.balance).sum::<i64>(), sum(accounts), "money was made or lost");
    rates
}

fn in_map(accounts: u64, count: u64, long: Duration) -> f64 {
    let map: BTreeMap<u64, Account> = (0..accounts).map(|id| (id, account(id))).collect();
    let map = RwLock::new(map);
    let transfer = |number: u64| {
        let (from, to) = two(number, accounts);
        let mut map = map.write();
        map.get_mut(&from).expect("it is there").balance -= 1;
        map.get_mut(&to).expect("it is there").balance += 1;
        1
    };
    let (rate, _) = threads(count, long, &transfer);
    assert_eq!(map.read().values().map(|account| account.balance).sum::<i64>(), sum(accounts));
    rate
}

fn sum(accounts: u64) -> i64 {
    (0..accounts).map(|id| account(id).balance).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transfer_is_between_two_accounts() {
        for accounts in ACCOUNTS {
            for number in 0..1000 {
                let (from, to) = two(number, accounts);
                assert!(from != to && from < accounts && to < accounts, "{number}: {from} {to}");
            }
        }
    }
}
