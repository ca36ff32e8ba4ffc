//! What is written: records of 256 bytes on the disk, small accounts in memory.

use bytes::Bytes;
use skein_store::{Object, Schema};

pub(crate) const BODY_BYTES: usize = 256;

#[derive(Clone, Debug, PartialEq, Object)]
#[class(name = "record", code = 1)]
pub(crate) struct Record {
    #[primary]
    pub(crate) id: u64,
    pub(crate) body: Bytes,
}

#[derive(Clone, Debug, PartialEq, Object)]
#[class(name = "account", code = 2)]
pub(crate) struct Account {
    #[primary]
    pub(crate) id: u64,
    pub(crate) owner: String,
    pub(crate) balance: i64,
    pub(crate) active: bool,
}

/// The body of the record with this number: nobody else has it, and who finds it can tell whose it is.
pub(crate) fn body(id: u64) -> [u8; BODY_BYTES] {
    let mut body = [7; BODY_BYTES];
    body[..8].copy_from_slice(&id.to_le_bytes());
    body
}

pub(crate) fn record(id: u64) -> Record {
    Record { id, body: Bytes::copy_from_slice(&body(id)) }
}

pub(crate) fn account(id: u64) -> Account {
    Account { id, owner: "somebody with a name".to_owned(), balance: 1_000_000, active: true }
}

pub(crate) fn schema() -> Schema {
    let builder = Schema::builder("peers").object::<Record>().object::<Account>();
    builder.build().expect("the classes are sound")
}

/// Scatters counting numbers over all numbers.
pub(crate) fn scattered(number: u64) -> u64 {
    number.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}
