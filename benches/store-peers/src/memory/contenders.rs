//! The store and the locked map with the same accounts, and what is done to them.

use crate::rows::{Account, account, scattered, schema};
use parking_lot::RwLock;
use skein_store::{Class, Isolation, Mode, Object, ObjectKey, Options, Outcome, Store};
use std::collections::BTreeMap;
use std::hint::black_box;

pub(super) struct Stored {
    pub(super) store: Store,
    class: &'static Class,
    objects: u64,
}

impl Stored {
    pub(super) fn filled(objects: u64) -> Stored {
        let store = Store::open(schema(), Options::memory()).expect("memory needs no files");
        let filled = Stored { store, class: Account::class(), objects };
        // Scattered, as a store that has lived for a while; loaded in order it would be packed tighter.
        (0..objects).for_each(|number| filled.put(number * 7919 % objects));
        filled
    }

    fn put(&self, id: u64) {
        let mut batch = self.store.batch();
        batch.put_object(&account(id)).expect("the class is in the schema");
        self.store.commit(batch).expect("there is room");
    }

    pub(super) fn change(&self, number: u64) {
        let mut transaction = self.store.begin(Mode::ReadWrite, Isolation::RepeatableRead);
        let found = transaction.get(&(scattered(number) % self.objects)).expect("it is readable");
        let mut account: Account = found.expect("it is there");
        account.balance += 1;
        transaction.update(&account).expect("it may be written");
        committed(transaction.commit().expect("there is room"));
    }

    pub(super) fn upsert(&self, number: u64) {
        let mut transaction = self.store.begin(Mode::ReadWrite, Isolation::RepeatableRead);
        transaction.upsert(&account(scattered(number) % self.objects)).expect("it may be written");
        committed(transaction.commit().expect("there is room"));
    }

    pub(super) fn batch(&self, number: u64, writes: u64) {
        let mut batch = self.store.batch();
        for step in 0..writes {
            let id = scattered(number * writes + step) % self.objects;
            batch.put_object(&account(id)).expect("the class is in the schema");
        }
        self.store.commit(batch).expect("there is room");
    }

    pub(super) fn read(&self, number: u64) {
        let key = (scattered(number) % self.objects).to_key();
        black_box(self.store.get(self.class.id, &key).expect("it is there"));
    }

    pub(super) fn read_snapshot(&self, number: u64) {
        let key = (scattered(number) % self.objects).to_key();
        black_box(self.store.snapshot().get(self.class.id, &key).expect("it is there"));
    }

    pub(super) fn find(&self, number: u64) {
        let found = self.store.find::<Account>(&(scattered(number) % self.objects));
        black_box(found.expect("it is readable").expect("it is there"));
    }

    pub(super) fn read_many(&self, number: u64, reads: u64) {
        let snapshot = self.store.snapshot();
        for step in 0..reads {
            let key = (scattered(number * reads + step) % self.objects).to_key();
            black_box(snapshot.get(self.class.id, &key).expect("it is there"));
        }
    }

    /// Looks at every object of one state.
    pub(super) fn read_all(&self) -> u64 {
        let snapshot = self.store.snapshot();
        snapshot.rows(self.class.id).map(|(_, row)| u64::from(black_box(row.as_slice()).len() > 1)).sum()
    }

    pub(super) fn check(&self, objects: u64) {
        assert_eq!(self.read_all(), objects, "objects of the store");
    }
}

fn committed(outcome: Outcome) {
    assert!(matches!(outcome, Outcome::Committed { .. }), "{outcome:?}");
}

pub(super) struct Locked {
    pub(super) map: RwLock<BTreeMap<Vec<u8>, Vec<u8>>>,
    objects: u64,
}

fn key(id: u64) -> [u8; 8] {
    id.to_be_bytes()
}

fn row(account: &Account) -> Vec<u8> {
    account.to_row().as_slice().to_vec()
}

impl Locked {
    pub(super) fn filled(objects: u64) -> Locked {
        let mut map = BTreeMap::new();
        for number in 0..objects {
            let id = number * 7919 % objects;
            map.insert(key(id).to_vec(), row(&account(id)));
        }
        Locked { map: RwLock::new(map), objects }
    }

    /// Changes the row where it is, with the same decoding and encoding between.
    pub(super) fn change(&self, number: u64) {
        let mut map = self.map.write();
        let found = map.get_mut(&key(scattered(number) % self.objects)[..]).expect("it is there");
        let read = skein_store::Row::from_slice(found);
        let mut account = Account::from_row(&read).expect("it was written by this program");
        account.balance += 1;
        *found = row(&account);
    }

    pub(super) fn upsert(&self, number: u64) {
        let id = scattered(number) % self.objects;
        let row = row(&account(id));
        self.map.write().insert(key(id).to_vec(), row);
    }

    pub(super) fn read(&self, number: u64) {
        let id = scattered(number) % self.objects;
        black_box(self.map.read().get(&key(id)[..]).expect("it is there")[0]);
    }

    pub(super) fn read_many(&self, number: u64, reads: u64) {
        let map = self.map.read();
        for step in 0..reads {
            let id = scattered(number * reads + step) % self.objects;
            black_box(map.get(&key(id)[..]).expect("it is there")[0]);
        }
    }

    pub(super) fn read_all(&self) -> u64 {
        let map = self.map.read();
        map.values().map(|row| u64::from(black_box(row.as_slice()).len() > 1)).sum()
    }

    pub(super) fn check(&self, objects: u64) {
        assert_eq!(self.read_all(), objects, "rows of the map");
    }
}
