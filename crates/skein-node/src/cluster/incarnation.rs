//! Which life of the node this is: a number that is higher each time the process starts.
//!
//! Kept in `data.dir`, so that a clock that was set back does not make a node begin an earlier life; at least the wall
//! clock, so that a node whose directory was lost does not either.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::Path,
    time::SystemTime,
};

use skein_types::Incarnation;

use crate::private::{create_private_directory, create_private_file};

const FILE: &str = "incarnation";

/// Begins a new life: above the last one that is kept in `dir`, and kept there when this returns.
pub(crate) fn begin(dir: &Path) -> io::Result<Incarnation> {
    let next = after(read(dir)?, now_millis());
    keep(dir, next)?;
    Ok(next)
}

/// The life of a node that no other node knows.
pub(crate) fn unkept() -> Incarnation {
    after(None, now_millis())
}

fn now_millis() -> u64 {
    let now = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_millis());
    u64::try_from(now).unwrap_or(0)
}

fn after(last: Option<u64>, now_millis: u64) -> Incarnation {
    Incarnation(last.map_or(1, |last| last.saturating_add(1)).max(now_millis))
}

/// Keeps the number of the present life; one that breaks off leaves the number before.
pub(crate) fn keep(dir: &Path, incarnation: Incarnation) -> io::Result<()> {
    create_private_directory(dir)?;
    let written = dir.join(format!("{FILE}.new"));
    let mut file = create_private_file(&written)?;
    file.write_all(format!("{incarnation}\n").as_bytes())?;
    file.sync_all()?;
    fs::rename(written, dir.join(FILE))?;
    File::open(dir)?.sync_all()
}

fn read(dir: &Path) -> io::Result<Option<u64>> {
    match fs::read_to_string(dir.join(FILE)) {
        Ok(text) => match text.trim().parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) => {
                let what = format!("{FILE} holds {:?} and no number; remove the file", text.trim());
                Err(io::Error::new(io::ErrorKind::InvalidData, what))
            }
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use skein_testkit::TestDirectory;

    use super::*;

    #[test]
    fn each_life_is_above_the_one_before() {
        assert_eq!(after(None, 7), Incarnation(7));
        assert_eq!(after(Some(3), 7), Incarnation(7));
        assert_eq!(after(Some(9), 7), Incarnation(10), "the clock was set back");
        let directory = TestDirectory::create("incarnation");
        let dir = directory.path().join("data");
        let first = begin(&dir).unwrap();
        let second = begin(&dir).unwrap();
        assert!(second > first, "{second} after {first}");
        keep(&dir, Incarnation(u64::MAX - 5)).unwrap();
        assert_eq!(begin(&dir).unwrap(), Incarnation(u64::MAX - 4));
        fs::write(dir.join(FILE), "x").unwrap();
        assert!(begin(&dir).unwrap_err().to_string().contains("remove the file"));
    }
}
