//! A reader of the change feed that keeps a copy of the store by what the feed tells.

use std::collections::BTreeMap;

use skein_store::{Change, ClassId, Feed, FeedError, Key, Row, Snapshot, Store};

type Rows = BTreeMap<(ClassId, Key), (Row, u64)>;

pub(crate) struct Follower {
    feed: Feed,
    rows: Rows,
    index: u64,
}

impl Follower {
    pub(crate) fn of(store: &Store) -> Self {
        let classes: Vec<ClassId> = store.schema().classes().iter().map(|class| class.id).collect();
        let (snapshot, feed) = store.watch_from_now(&classes).unwrap();
        Self { feed, rows: rows_of(&snapshot), index: snapshot.index() }
    }

    /// Reads what the feed has and compares the copy with the state.
    #[track_caller]
    pub(crate) fn follow(&mut self, snapshot: &Snapshot) {
        loop {
            match self.feed.try_next() {
                Ok(Some(change)) => self.take(change),
                Ok(None) | Err(FeedError::Stopped) => break,
                Err(error) => panic!("{error}"),
            }
        }
        assert!(self.rows == rows_of(snapshot), "the feed told {:?} of {:?}", self.rows, rows_of(snapshot));
    }

    #[track_caller]
    fn take(&mut self, change: Change) {
        let Change { index, class, key, before, after } = change;
        assert!(index >= self.index, "commit {index} was told after {}", self.index);
        self.index = index;
        let place = (class, key);
        let known = match after {
            Some(row) => self.rows.insert(place, (row, index)),
            None => self.rows.remove(&place),
        };
        assert_eq!(before, known.map(|(row, _)| row), "what was there before");
    }
}

fn rows_of(snapshot: &Snapshot) -> Rows {
    let mut rows = Rows::new();
    for class in snapshot.schema().classes() {
        for (key, row) in snapshot.rows(class.id) {
            let (_, version) = snapshot.get_versioned(class.id, key).unwrap();
            rows.insert((class.id, key.clone()), (row.clone(), version));
        }
    }
    rows
}
