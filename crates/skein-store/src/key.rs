//! Keys: bytes whose order is the order of the values they were made of.
//!
//! Layout, field after field: integers big endian (signed ones with the sign bit flipped), floats in their total
//! order, a moment as a signed integer, text and bytes with 0x00 and 0x01 escaped as 0x01 0x01 and 0x01 0x02 and ended
//! by 0x00, an optional value as 0x00 or as 0x01 and the value. Each field ends where its own bytes say, so the key of
//! the first fields is a prefix of the key of all, and no whole key is a prefix of another of the same class.
//!
//! This layout lies in logs and snapshots: changing it needs a new format version there.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::value::Time;

/// Keys up to this length are kept without an allocation.
pub const KEY_INLINE_BYTES_MAX: usize = 22;

const BUILDER_STACK_BYTES: usize = 96;

pub(crate) const STRING_END: u8 = 0x00;
pub(crate) const STRING_ESCAPE: u8 = 0x01;
pub(crate) const ABSENT: u8 = 0x00;
pub(crate) const PRESENT: u8 = 0x01;

/// The encoded key of an object in its class or in an index; compared as bytes.
#[derive(Clone)]
pub struct Key(Repr);

#[derive(Clone)]
enum Repr {
    /// The bytes after `length` are zero, so that whole arrays can be compared.
    Inline {
        length: u8,
        bytes: [u8; KEY_INLINE_BYTES_MAX],
    },
    Heap(Arc<[u8]>),
}

const _: () = assert!(size_of::<Key>() == 24, "a key is kept in every map entry: its size is memory per row");

impl Key {
    /// The key before all others: a prefix of every key.
    pub const EMPTY: Key = Key(Repr::Inline { length: 0, bytes: [0; KEY_INLINE_BYTES_MAX] });

    /// A key of these encoded bytes.
    pub fn from_slice(encoded: &[u8]) -> Key {
        let mut bytes = [0; KEY_INLINE_BYTES_MAX];
        match (bytes.get_mut(..encoded.len()), u8::try_from(encoded.len())) {
            (Some(start), Ok(length)) => {
                start.copy_from_slice(encoded);
                Key(Repr::Inline { length, bytes })
            }
            _ => Key(Repr::Heap(Arc::from(encoded))),
        }
    }

    /// The encoded bytes.
    #[inline]
    pub fn as_slice(&self) -> &[u8] {
        match &self.0 {
            Repr::Inline { length, bytes } => bytes.get(..usize::from(*length)).unwrap_or(bytes),
            Repr::Heap(bytes) => bytes,
        }
    }

    /// The number of encoded bytes.
    #[inline]
    pub fn len(&self) -> usize {
        match &self.0 {
            Repr::Inline { length, .. } => usize::from(*length),
            Repr::Heap(bytes) => bytes.len(),
        }
    }

    /// Whether this is [`Key::EMPTY`].
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes this key holds outside its own 24: what memory accounting adds.
    pub fn heap_bytes(&self) -> usize {
        match &self.0 {
            Repr::Inline { .. } => 0,
            // The two counters of the `Arc` lie before the bytes.
            Repr::Heap(bytes) => bytes.len().saturating_add(2 * size_of::<usize>()),
        }
    }

    /// Whether this key begins with all of `prefix`.
    pub fn starts_with(&self, prefix: &Key) -> bool {
        self.as_slice().starts_with(prefix.as_slice())
    }

    /// The smallest key after all that begin with this one: the excluded end of a prefix scan. `None` when there is
    /// no such key, and the scan goes on to the end of the map.
    pub fn prefix_end(&self) -> Option<Key> {
        let bytes = self.as_slice();
        let last = bytes.iter().rposition(|byte| *byte != u8::MAX)?;
        let mut end = bytes.get(..=last)?.to_vec();
        let byte = end.last_mut()?;
        *byte = byte.saturating_add(1);
        Some(Key::from_slice(&end))
    }

    /// The smallest key after this one: makes an included bound of an excluded one.
    pub fn successor(&self) -> Key {
        let mut bytes = Vec::with_capacity(self.len().saturating_add(1));
        bytes.extend_from_slice(self.as_slice());
        bytes.push(0);
        Key::from_slice(&bytes)
    }
}

impl PartialEq for Key {
    #[inline]
    fn eq(&self, other: &Key) -> bool {
        match (&self.0, &other.0) {
            (Repr::Inline { length: a, bytes: x }, Repr::Inline { length: b, bytes: y }) => a == b && x == y,
            _ => self.as_slice() == other.as_slice(),
        }
    }
}

impl Eq for Key {}

impl Ord for Key {
    #[inline]
    fn cmp(&self, other: &Key) -> Ordering {
        match (&self.0, &other.0) {
            // Zero padding compares as shorter does, and only bytes 0x00 at the end leave the two equal.
            (Repr::Inline { length: a, bytes: x }, Repr::Inline { length: b, bytes: y }) => {
                compare_inline(x, y).then(a.cmp(b))
            }
            _ => self.as_slice().cmp(other.as_slice()),
        }
    }
}

/// Compares as bytes do, by words: a search in a map is mostly this, and a call to compare memory costs more than it.
#[inline]
fn compare_inline(left: &[u8; KEY_INLINE_BYTES_MAX], right: &[u8; KEY_INLINE_BYTES_MAX]) -> Ordering {
    const MIDDLE: usize = 8;
    let first =
        |bytes: &[u8; KEY_INLINE_BYTES_MAX]| bytes.first_chunk().map_or(0, |word| u64::from_be_bytes(*word));
    let middle = |bytes: &[u8; KEY_INLINE_BYTES_MAX]| {
        bytes.get(MIDDLE..).and_then(<[u8]>::first_chunk).map_or(0, |word| u64::from_be_bytes(*word))
    };
    // The last word begins within the middle one: the bytes they share are equal when it is reached.
    let last =
        |bytes: &[u8; KEY_INLINE_BYTES_MAX]| bytes.last_chunk().map_or(0, |word| u64::from_be_bytes(*word));
    let ordering = first(left).cmp(&first(right));
    if ordering.is_ne() {
        return ordering;
    }
    middle(left).cmp(&middle(right)).then_with(|| last(left).cmp(&last(right)))
}

impl PartialOrd for Key {
    #[inline]
    fn partial_cmp(&self, other: &Key) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_slice().hash(state);
    }
}

impl Borrow<[u8]> for Key {
    fn borrow(&self) -> &[u8] {
        self.as_slice()
    }
}

impl AsRef<[u8]> for Key {
    fn as_ref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl Default for Key {
    fn default() -> Key {
        Key::EMPTY
    }
}

/// Hexadecimal; `Class::key_values` gives the values.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(")?;
        for byte in self.as_slice() {
            write!(f, "{byte:02x}")?;
        }
        f.write_str(")")
    }
}

/// Builds a [`Key`] field by field. Short keys are built without an allocation.
pub struct KeyBuilder {
    length: usize,
    stack: [u8; BUILDER_STACK_BYTES],
    heap: Vec<u8>,
}

impl KeyBuilder {
    /// A builder of an empty key.
    #[inline]
    pub fn new() -> KeyBuilder {
        KeyBuilder { length: 0, stack: [0; BUILDER_STACK_BYTES], heap: Vec::new() }
    }

    /// The key of what was pushed.
    #[inline]
    pub fn finish(&self) -> Key {
        if !self.heap.is_empty() {
            return Key::from_slice(&self.heap);
        }
        match (u8::try_from(self.length), self.stack.first_chunk()) {
            // The stack is zero behind what was pushed, as the bytes of a key in place are.
            (Ok(length), Some(bytes)) if self.length <= KEY_INLINE_BYTES_MAX => {
                Key(Repr::Inline { length, bytes: *bytes })
            }
            _ => Key::from_slice(self.stack.get(..self.length).unwrap_or_default()),
        }
    }

    /// Appends a truth value.
    pub fn push_bool(&mut self, value: bool) {
        self.push_raw(&[u8::from(value)]);
    }

    /// Appends an unsigned integer.
    pub fn push_u8(&mut self, value: u8) {
        self.push_raw(&[value]);
    }

    /// Appends an unsigned integer.
    pub fn push_u16(&mut self, value: u16) {
        self.push_raw(&value.to_be_bytes());
    }

    /// Appends an unsigned integer.
    pub fn push_u32(&mut self, value: u32) {
        self.push_raw(&value.to_be_bytes());
    }

    /// Appends an unsigned integer.
    #[inline]
    pub fn push_u64(&mut self, value: u64) {
        self.push_raw(&value.to_be_bytes());
    }

    /// Appends a signed integer.
    pub fn push_i8(&mut self, value: i8) {
        self.push_u8(value.cast_unsigned() ^ 0x80);
    }

    /// Appends a signed integer.
    pub fn push_i16(&mut self, value: i16) {
        self.push_u16(value.cast_unsigned() ^ 0x8000);
    }

    /// Appends a signed integer.
    pub fn push_i32(&mut self, value: i32) {
        self.push_u32(value.cast_unsigned() ^ 0x8000_0000);
    }

    /// Appends a signed integer.
    pub fn push_i64(&mut self, value: i64) {
        self.push_u64(value.cast_unsigned() ^ (1 << 63));
    }

    /// Appends a float: negative ones by their inverted bits, so that the bytes follow the total order.
    pub fn push_f64(&mut self, value: f64) {
        let bits = value.to_bits();
        let flip = if bits >> 63 == 1 { u64::MAX } else { 1 << 63 };
        self.push_u64(bits ^ flip);
    }

    /// Appends a moment.
    pub fn push_time(&mut self, value: Time) {
        self.push_i64(value.0);
    }

    /// Appends text.
    #[inline]
    pub fn push_str(&mut self, value: &str) {
        self.push_bytes(value.as_bytes());
    }

    /// Appends bytes.
    #[inline]
    pub fn push_bytes(&mut self, value: &[u8]) {
        self.push_bytes_start(value);
        self.push_raw(&[STRING_END]);
    }

    /// Appends the start of text or bytes, without their end: the key is then a prefix of all whose text or bytes
    /// begin so. It must be the last field pushed.
    pub fn push_bytes_start(&mut self, value: &[u8]) {
        // Without an early exit the compiler looks at many bytes at once.
        if !value.iter().fold(false, |found, byte| found | (*byte <= STRING_ESCAPE)) {
            return self.push_raw(value);
        }
        for byte in value {
            if *byte <= STRING_ESCAPE {
                self.push_raw(&[STRING_ESCAPE, byte.saturating_add(1)]);
            } else {
                self.push_raw(&[*byte]);
            }
        }
    }

    /// Appends the absent value of an optional field.
    pub fn push_absent(&mut self) {
        self.push_raw(&[ABSENT]);
    }

    /// Says that the value of an optional field follows.
    pub fn push_present(&mut self) {
        self.push_raw(&[PRESENT]);
    }

    #[inline]
    fn push_raw(&mut self, bytes: &[u8]) {
        if self.heap.is_empty() {
            let end = self.length.saturating_add(bytes.len());
            if let Some(place) = self.stack.get_mut(self.length..end) {
                place.copy_from_slice(bytes);
                self.length = end;
                return;
            }
            self.heap.extend_from_slice(self.stack.get(..self.length).unwrap_or_default());
        }
        self.heap.extend_from_slice(bytes);
    }
}

impl Default for KeyBuilder {
    fn default() -> KeyBuilder {
        KeyBuilder::new()
    }
}

impl fmt::Debug for KeyBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KeyBuilder").field(&self.finish()).finish()
    }
}
