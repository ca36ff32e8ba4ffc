//! SQLite, with the settings that limit it least: a log of its own, prepared statements, a connection per client.

use super::{Ids, Way, grouped};
use crate::rows::body;
use rusqlite::{Connection, params};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

const INSERT: &str = "INSERT INTO record (id, body) VALUES (?1, ?2)";
const LOCK_WAIT_MAX: Duration = Duration::from_secs(60);
/// When a transaction is on the disk as soon as it is committed.
const FULL: &str = "FULL";
/// When it is there some time later.
const NORMAL: &str = "NORMAL";

struct Sqlite {
    file: PathBuf,
    synchronous: &'static str,
    /// Open from begin to end, so that the last client to leave does not clear the log away in its turn.
    _first: parking_lot::Mutex<Connection>,
}

fn connect(file: &Path, synchronous: &str) -> Connection {
    let connection = Connection::open(file).expect("the directory is there");
    connection.busy_timeout(LOCK_WAIT_MAX).expect("no statement runs");
    connection.pragma_update(None, "journal_mode", "WAL").expect("the file takes the mode");
    connection.pragma_update(None, "synchronous", synchronous).expect("no transaction runs");
    connection
}

fn create(file: &Path) -> Connection {
    let connection = connect(file, FULL);
    let table = "CREATE TABLE record (id INTEGER PRIMARY KEY, body BLOB NOT NULL)";
    connection.execute_batch(table).expect("the file is new");
    connection
}

fn file(place: &Path) -> PathBuf {
    place.join("sqlite.db")
}

fn start(place: &Path, synchronous: &'static str) -> Box<dyn Way> {
    let file = file(place);
    let first = create(&file);
    Box::new(Sqlite { file, synchronous, _first: parking_lot::Mutex::new(first) })
}

pub(super) fn full(place: &Path) -> Box<dyn Way> {
    start(place, FULL)
}

pub(super) fn normal(place: &Path) -> Box<dyn Way> {
    start(place, NORMAL)
}

pub(super) fn grouped(place: &Path) -> Box<dyn Way> {
    let connection = create(&file(place));
    grouped::start(move |queue| queue.serve(|ids| insert_together(&connection, ids.iter().copied())))
}

fn insert_together(connection: &Connection, ids: impl Iterator<Item = u64>) {
    connection.execute_batch("BEGIN IMMEDIATE").expect("the lock comes within a minute");
    let mut insert = connection.prepare_cached(INSERT).expect("the table is there");
    for id in ids {
        insert.execute(params![key(id), &body(id)[..]]).expect("the record is new");
    }
    connection.execute_batch("COMMIT").expect("there is room on the disk");
}

fn key(id: u64) -> i64 {
    i64::try_from(id).expect("numbers are counted up from zero")
}

impl Way for Sqlite {
    fn fill(&self, ids: Range<u64>) {
        insert_together(&connect(&self.file, self.synchronous), ids);
    }

    fn client(&self, ids: &mut Ids<'_>) {
        let connection = connect(&self.file, self.synchronous);
        let mut insert = connection.prepare(INSERT).expect("the table is there");
        ids.each(|id| {
            insert.execute(params![key(id), &body(id)[..]]).expect("the lock comes within a minute");
        });
    }

    fn close(self: Box<Self>) {}
}

pub(super) fn kept(place: &Path, taken: u64) -> u64 {
    let connection = connect(&file(place), FULL);
    let mut select = connection.prepare("SELECT id, body FROM record").expect("the table is there");
    let mut rows = select.query([]).expect("the file is sound");
    let mut sound = 0;
    while let Some(row) = rows.next().expect("the file is sound") {
        let id: i64 = row.get(0).expect("the column is a number");
        let kept = row.get_ref(1).expect("there are two columns");
        let id = u64::try_from(id).unwrap_or(u64::MAX);
        sound += u64::from(id < taken && kept.as_blob().is_ok_and(|kept| *kept == body(id)));
    }
    sound
}
