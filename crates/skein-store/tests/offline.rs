//! Looking at the files of a store that is not running: everything is found and nothing is changed.
#![expect(clippy::unwrap_used, reason = "a failed expectation ends the test that stated it")]

use skein_store::{Options, ReadError, Store, read, verify};
use std::collections::BTreeMap;
use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

#[derive(skein_store::Object, Debug, PartialEq)]
#[class(name = "note", code = 3, primary(id))]
struct Note {
    id: u64,
    text: String,
}

/// A directory that goes with the test.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Directory {
        let path = std::env::temp_dir().join(format!("skein-offline-{name}-{}", std::process::id()));
        drop(fs::remove_dir_all(&path));
        Directory(path)
    }

    /// The content of every file but the lock's.
    fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let paths = fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().path());
        paths
            .filter(|path| !path.ends_with("lock"))
            .map(|path| (path.clone(), fs::read(path).unwrap()))
            .collect()
    }

    fn last_segment(&self) -> PathBuf {
        let is_segment = |path: &Path| path.file_name().unwrap().to_string_lossy().starts_with("log-0");
        self.files().into_keys().rfind(|path| is_segment(path)).unwrap()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

fn open(directory: &Directory) -> Store {
    let schema = skein_store::Schema::builder("notes").object::<Note>().build().unwrap();
    let mut options = Options::durable(&directory.0);
    options.segment_bytes = 64 * 1024;
    Store::open(schema, options).unwrap()
}

fn put(store: &Store, id: u64) {
    let mut batch = store.batch();
    batch.put_object(&Note { id, text: format!("note {id}") }).unwrap();
    store.commit(batch).unwrap();
}

#[test]
fn the_state_of_log_and_snapshot_is_read_and_nothing_is_changed() {
    let directory = Directory::new("read");
    let store = open(&directory);
    (0..10).for_each(|id| put(&store, id));
    store.checkpoint().unwrap();
    (10..20).for_each(|id| put(&store, id));
    store.close();
    let (index, schema) = (store.applied_index(), store.schema().clone());
    drop(store);
    let before = directory.files();
    let snapshot = read(&directory.0).unwrap();
    assert_eq!((snapshot.index(), snapshot.schema()), (index, &schema));
    for id in 0..20 {
        assert_eq!(snapshot.find::<Note>(&id).unwrap(), Some(Note { id, text: format!("note {id}") }));
    }
    let report = verify(&directory.0).unwrap();
    assert!(report.is_sound() && report.files.len() >= 2, "{report}");
    assert_eq!(directory.files(), before);
}

#[test]
fn a_torn_tail_is_passed_over_and_stays() {
    let directory = Directory::new("torn");
    let store = open(&directory);
    (0..3).for_each(|id| put(&store, id));
    drop(store);
    // Where the next frame would be: behind the last byte that is not zero, to the next multiple of 8 at most.
    let segment = directory.last_segment();
    let bytes = fs::read(&segment).unwrap();
    let used = bytes.iter().rposition(|byte| *byte != 0).unwrap() as u64;
    let mut file = fs::File::options().write(true).open(&segment).unwrap();
    file.seek(SeekFrom::Start((used + 16).next_multiple_of(8))).unwrap();
    file.write_all(&[0x5a; 40]).unwrap();
    drop(file);
    let before = directory.files();
    assert!(verify(&directory.0).unwrap().is_sound());
    let snapshot = read(&directory.0).unwrap();
    assert_eq!(snapshot.len(skein_store::ClassId(3)), 3);
    assert_eq!(directory.files(), before);
}

#[test]
fn a_store_that_runs_or_is_not_there_is_told_apart() {
    let directory = Directory::new("none");
    for missing in [verify(&directory.0).map(drop), read(&directory.0).map(drop)] {
        let error = missing.unwrap_err();
        assert!(matches!(error, ReadError::NoStore(_)) && !error.is_in_use(), "{error}");
    }
    assert!(!directory.0.exists());
    let store = open(&directory);
    put(&store, 1);
    for running in [verify(&directory.0).map(drop), read(&directory.0).map(drop)] {
        let error = running.unwrap_err();
        assert!(error.is_in_use(), "{error}");
    }
    drop(store);
    assert!(verify(&directory.0).unwrap().is_sound());
}
