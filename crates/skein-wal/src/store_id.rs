//! Which store a file belongs to: part of every header and of every checksum.

/// Identifies a store, so that files of two stores never mix. Sixteen random bytes, made once by the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StoreId(pub [u8; 16]);
