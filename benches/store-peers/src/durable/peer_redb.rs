//! redb, with its default durability: a transaction is on the disk when it is committed.

use super::{Ids, Way, grouped};
use crate::rows::body;
use redb::{Database, Durability, ReadableDatabase, ReadableTable, TableDefinition};
use std::ops::Range;
use std::path::Path;

const TABLE: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("record");

struct Redb {
    database: Database,
}

fn create(place: &Path) -> Database {
    Database::create(place.join("redb")).expect("the directory is there")
}

pub(super) fn single(place: &Path) -> Box<dyn Way> {
    Box::new(Redb { database: create(place) })
}

pub(super) fn grouped(place: &Path) -> Box<dyn Way> {
    let database = create(place);
    grouped::start(move |queue| queue.serve(|ids| insert(&database, ids.iter().copied())))
}

fn insert(database: &Database, ids: impl Iterator<Item = u64>) {
    let mut transaction = database.begin_write().expect("the database is open");
    transaction.set_durability(Durability::Immediate).expect("there are no savepoints");
    {
        let mut table = transaction.open_table(TABLE).expect("it is open nowhere else");
        for id in ids {
            table.insert(id, &body(id)[..]).expect("there is room");
        }
    }
    transaction.commit().expect("there is room on the disk");
}

impl Way for Redb {
    fn fill(&self, ids: Range<u64>) {
        insert(&self.database, ids);
    }

    fn client(&self, ids: &mut Ids<'_>) {
        ids.each(|id| insert(&self.database, std::iter::once(id)));
    }

    fn close(self: Box<Self>) {}
}

pub(super) fn kept(place: &Path, taken: u64) -> u64 {
    let database = create(place);
    let transaction = database.begin_read().expect("the file is sound");
    let table = transaction.open_table(TABLE).expect("it was filled");
    let rows = table.iter().expect("the file is sound");
    let sound = rows.filter(|row| {
        let (id, kept) = row.as_ref().expect("the file is sound");
        id.value() < taken && *kept.value() == body(id.value())
    });
    sound.count() as u64
}
