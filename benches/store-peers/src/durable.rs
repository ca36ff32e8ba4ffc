//! Inserts that are answered when they are on the disk, one transaction each, by 1 and by 64 clients.
//!
//! Every turn starts a database of its own with [`FILLED`] records, so that nothing of one way runs into the turn of the
//! next and none is measured while it is small; half a second of inserts goes before. After the turn the files are opened
//! anew and every record that was acknowledged must be there as it was written.

mod bare;
mod clients;
mod grouped;
mod peer_redb;
mod peer_sqlite;
mod skein;

use crate::arguments::Arguments;
use crate::measure::Series;
use crate::report::{Column, Limit, Section, Table, Target};
use clients::{Ids, Turn, turn};
use std::path::Path;

/// Records that are there before a turn.
const FILLED: u64 = 100_000;
const CLIENTS: [usize; 2] = [1, 64];

/// One way to keep records, running.
trait Way: Sync {
    /// Inserts records without answering for each.
    fn fill(&self, ids: std::ops::Range<u64>);

    /// What one client does: inserts the records it is told until it is told to stop.
    fn client(&self, ids: &mut Ids<'_>);

    /// Stops and closes the files.
    fn close(self: Box<Self>);
}

/// A way, by name.
struct Contender {
    name: &'static str,
    start: fn(&Path) -> Box<dyn Way>,
    /// How many of the records below a number are in the files as they were written.
    kept: fn(&Path, u64) -> u64,
}

const SKEIN: &str = "skein-store wal_sync, transactions";
const SKEIN_BATCHES: &str = "skein-store wal_sync, blind batches";
const SQLITE: &str = "SQLite, WAL, FULL";
const SQLITE_GROUPED: &str = "SQLite, FULL, grouped by a writer thread";
const REDB: &str = "redb, immediate";
const REDB_GROUPED: &str = "redb, immediate, grouped by a writer thread";
const BARE: &str = "bare write and fdatasync";

const CONTENDERS: [Contender; 9] = [
    Contender { name: BARE, start: bare::start, kept: bare::kept },
    Contender { name: SKEIN, start: skein::transactions, kept: skein::kept },
    Contender { name: SKEIN_BATCHES, start: skein::batches, kept: skein::kept },
    Contender { name: SQLITE, start: peer_sqlite::full, kept: peer_sqlite::kept },
    Contender { name: SQLITE_GROUPED, start: peer_sqlite::grouped, kept: peer_sqlite::kept },
    Contender { name: REDB, start: peer_redb::single, kept: peer_redb::kept },
    Contender { name: REDB_GROUPED, start: peer_redb::grouped, kept: peer_redb::kept },
    Contender { name: "skein-store wal_async", start: skein::asynchronous, kept: skein::kept },
    Contender { name: "SQLite, WAL, NORMAL", start: peer_sqlite::normal, kept: peer_sqlite::kept },
];

/// The figures of one contender with one number of clients.
#[derive(Default)]
struct Figures {
    rate: Series,
    p50: Series,
    p99: Series,
    longest: Series,
    processor: Series,
}

pub(crate) fn measure(arguments: &Arguments) -> Section {
    let frame_bytes = skein::frame_bytes(&arguments.dir);
    bare::FRAME_BYTES.store(frame_bytes, std::sync::atomic::Ordering::Relaxed);
    let mut figures: Vec<[Figures; 2]> = CONTENDERS.iter().map(|_| Default::default()).collect();
    for round in 0..arguments.rounds {
        let all = CONTENDERS.iter().zip(&mut figures);
        for (contender, figures) in all.filter(|(contender, _)| arguments.wants_way(contender.name)) {
            for (clients, figures) in CLIENTS.iter().zip(figures) {
                let turn = arguments.patience.quietly(|| {
                    let turn = measured(contender, *clients, arguments);
                    let others = turn.others;
                    (turn, others)
                });
                eprintln!(
                    "durable, round {round}: {}, {clients} clients: {:.0}/s, p99 {:.0} µs",
                    contender.name, turn.rate, turn.p99
                );
                figures.rate.push(turn.rate);
                figures.p50.push(turn.p50);
                figures.p99.push(turn.p99);
                figures.longest.push(turn.longest);
                figures.processor.push(turn.processor);
            }
        }
    }
    Section { tables: vec![table(&figures, frame_bytes)], targets: targets(&figures) }
}

fn measured(contender: &Contender, clients: usize, arguments: &Arguments) -> Turn {
    let place = arguments.dir.join("durable");
    // What an earlier run left behind when it was stopped; usually nothing.
    let _ = std::fs::remove_dir_all(&place);
    std::fs::create_dir_all(&place).expect("the directory for the databases can be made");
    let way = (contender.start)(&place);
    way.fill(0..FILLED);
    let turn = turn(&*way, clients, FILLED, arguments.turn);
    way.close();
    let kept = (contender.kept)(&place, turn.taken);
    assert_eq!(kept, turn.taken, "{}: so many records were acknowledged", contender.name);
    std::fs::remove_dir_all(&place).expect("it was made above");
    turn
}

fn table(figures: &[[Figures; 2]], frame_bytes: usize) -> Table {
    let column = |name, decimals| Column { name, decimals };
    let columns = vec![
        column("1 client: commits/s", 0),
        column("p50 µs", 0),
        column("p99 µs", 0),
        column("longest ms", 1),
        column("CPU s per M", 1),
        column("64 clients: commits/s", 0),
        column("p50 µs", 0),
        column("p99 µs", 0),
        column("longest ms", 1),
        column("CPU s per M", 1),
    ];
    let row = |(contender, figures): (&Contender, &[Figures; 2])| {
        let cells = |figures: &Figures| {
            let Figures { rate, p50, p99, longest, processor } = figures;
            [rate, p50, p99, longest, processor].map(|series| Some(series.clone()))
        };
        (contender.name.to_owned(), figures.iter().flat_map(cells).collect())
    };
    Table {
        title: "Inserts of 256-byte records, one transaction each",
        note: format!(
            "The bare way writes {frame_bytes} bytes, what one commit takes in the log of the store, into a file that is \
             full of zeroes; its 64 clients write and sync beside each other. SQLite has a connection and a prepared \
             statement per client and waits for its lock up to a minute. A writer thread that makes one transaction of \
             whatever waits is what an application can put before SQLite and redb; neither groups by itself, since \
             each has one writer at a time that syncs before it lets go. Both then answer several clients per \
             transaction: it is no longer one transaction each. `wal_async` (synced every 10 ms) and NORMAL lose the \
             last commits with the power."
        ),
        columns,
        rows: CONTENDERS
            .iter()
            .zip(figures)
            .filter(|(_, [one, _])| !one.rate.rounds().is_empty())
            .map(row)
            .collect(),
    }
}

fn targets(figures: &[[Figures; 2]]) -> Vec<Target> {
    let of = |name: &str, clients: usize| {
        let place = CONTENDERS.iter().position(|contender| contender.name == name);
        let place = place.expect("the name is one of the constants above");
        &figures[place][clients]
    };
    let rate = |name, clients| &of(name, clients).rate;
    let target = |what: &str, limit, measured| Target { what: what.to_owned(), limit, measured };
    let per_commit = |name| &of(name, 0).p50;
    let targets = vec![
        target("wal_sync: 64 clients over one", Limit::AtLeast(20.0), rate(SKEIN, 1).over(rate(SKEIN, 0))),
        target(
            "wal_sync, batches: 64 clients over one",
            Limit::AtLeast(20.0),
            rate(SKEIN_BATCHES, 1).over(rate(SKEIN_BATCHES, 0)),
        ),
        target(
            "wal_sync: time of a commit over bare, one client",
            Limit::AtMost(1.3),
            rate(BARE, 0).over(rate(SKEIN, 0)),
        ),
        target(
            "the same, medians of single commits",
            Limit::AtMost(1.3),
            per_commit(SKEIN).over(per_commit(BARE)),
        ),
        target("64 clients: wal_sync over SQLite", Limit::AtLeast(5.0), rate(SKEIN, 1).over(rate(SQLITE, 1))),
        target("64 clients: wal_sync over redb", Limit::AtLeast(5.0), rate(SKEIN, 1).over(rate(REDB, 1))),
        target(
            "64 clients: wal_sync over SQLite grouped by its application",
            Limit::AtLeast(1.0),
            rate(SKEIN, 1).over(rate(SQLITE_GROUPED, 1)),
        ),
        target(
            "64 clients: wal_sync over redb grouped by its application",
            Limit::AtLeast(1.0),
            rate(SKEIN, 1).over(rate(REDB_GROUPED, 1)),
        ),
    ];
    // A way that was not wanted gives no ratio.
    targets.into_iter().filter(|target| !target.measured.rounds().is_empty()).collect()
}
