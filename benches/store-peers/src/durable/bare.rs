//! The least a durable insert can cost: its bytes written into a file that is full of zeroes, and a sync.

use super::{Ids, Way};
use crate::rows::BODY_BYTES;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What one commit takes in the log of the store; measured before the first turn.
pub(super) static FRAME_BYTES: AtomicUsize = AtomicUsize::new(BODY_BYTES);

/// Places in the file. Later records go over earlier ones.
const PLACES: u64 = 200_000;

struct Bare {
    file: File,
    frame_bytes: usize,
}

pub(super) fn start(place: &Path) -> Box<dyn Way> {
    let frame_bytes = FRAME_BYTES.load(Ordering::Relaxed);
    let file = File::create_new(place.join("bare")).expect("the directory is empty");
    let zeroes = vec![0; frame_bytes * 1000];
    for part in 0..PLACES / 1000 {
        file.write_all_at(&zeroes, part * zeroes.len() as u64).expect("there is room on the disk");
    }
    file.sync_all().expect("the disk works");
    Box::new(Bare { file, frame_bytes })
}

impl Bare {
    fn write(&self, id: u64, frame: &mut [u8]) {
        frame[..8].copy_from_slice(&id.to_le_bytes());
        self.file
            .write_all_at(frame, id % PLACES * self.frame_bytes as u64)
            .expect("there is room on the disk");
    }
}

impl Way for Bare {
    fn fill(&self, ids: Range<u64>) {
        let mut frame = vec![7; self.frame_bytes];
        ids.for_each(|id| self.write(id, &mut frame));
        self.file.sync_data().expect("the disk works");
    }

    fn client(&self, ids: &mut Ids<'_>) {
        let mut frame = vec![7; self.frame_bytes];
        ids.each(|id| {
            self.write(id, &mut frame);
            self.file.sync_data().expect("the disk works");
        });
    }

    fn close(self: Box<Self>) {}
}

/// Of the records that were written over it is known only that others are in their places.
pub(super) fn kept(place: &Path, taken: u64) -> u64 {
    let bytes = std::fs::read(place.join("bare")).expect("the file is there");
    let frames = bytes.chunks_exact(FRAME_BYTES.load(Ordering::Relaxed)).zip(0_u64..);
    let over = taken.saturating_sub(PLACES);
    let sound = frames.filter(|(frame, place)| {
        let id = u64::from_le_bytes(frame[..8].try_into().expect("it takes eight bytes"));
        id >= over && id < taken && id % PLACES == *place && frame[8..].iter().all(|byte| *byte == 7)
    });
    over + sound.count() as u64
}
