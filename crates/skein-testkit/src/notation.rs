//! The notation in which tests write packets, so that a test reads like the standard's tables.
//!
//! ```text
//! 10 003c    bytes in hexadecimal, pairs may be joined
//! 'abc'      the characters as they are
//! "abc"      an MQTT string: two bytes of length, then the characters
//! [ ... ]    the length of the content as a variable byte integer, then the content
//! ..         any one byte (patterns only)
//! *          anything up to the end of the packet; must come last (patterns only)
//! ```
//!
//! A CONNECT of MQTT 3.1.1 is `10 [ "MQTT" 04 02 003c "id" ]`, and `20 [ 00 00 * ]` matches any
//! CONNACK that accepts without a session. The notation knows no packet types: what is malformed can be written too.

/// What a packet must look like; made by [`pattern`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece {
    Byte(u8),
    AnyByte,
    /// A variable byte integer of any value: the length of a bracket that holds a `*`.
    AnyLength,
    Rest,
}

/// Reads `text` as exact bytes. Panics on a fault in the notation or on a wildcard.
#[track_caller]
pub fn bytes(text: &str) -> Vec<u8> {
    pattern(text)
        .pieces
        .into_iter()
        .map(|piece| match piece {
            Piece::Byte(byte) => byte,
            Piece::AnyByte | Piece::AnyLength | Piece::Rest => {
                panic!("bytes to send cannot have a wildcard: {text}")
            }
        })
        .collect()
}

/// Reads `text` as a pattern. Panics on a fault in the notation.
#[track_caller]
pub fn pattern(text: &str) -> Pattern {
    let mut reader = Reader { rest: text, text };
    let pieces = reader.pieces(Level::Outer);
    let rest_at = pieces.iter().position(|piece| *piece == Piece::Rest);
    assert!(rest_at.is_none_or(|at| at + 1 == pieces.len()), "`*` must come last: {text}");
    Pattern { pieces }
}

impl Pattern {
    /// Whether `packet`, all of it, matches.
    pub fn matches(&self, packet: &[u8]) -> bool {
        let mut left = packet;
        for piece in &self.pieces {
            let taken = match piece {
                Piece::Rest => return true,
                Piece::AnyLength => left.iter().position(|byte| byte & 0x80 == 0).map(|at| at + 1),
                Piece::AnyByte => (!left.is_empty()).then_some(1),
                Piece::Byte(byte) => (left.first() == Some(byte)).then_some(1),
            };
            match taken.and_then(|count| left.get(count..)) {
                Some(rest) => left = rest,
                None => return false,
            }
        }
        left.is_empty()
    }
}

/// `length` as the variable byte integer of MQTT section 1.5.5.
pub(crate) fn length_prefix(mut length: usize) -> Vec<u8> {
    let mut prefix = Vec::new();
    loop {
        let low = u8::try_from(length & 0x7f).expect("seven bits fit into a byte");
        length >>= 7;
        if length == 0 {
            prefix.push(low);
            return prefix;
        }
        prefix.push(low | 0x80);
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Outer,
    Bracket,
}

struct Reader<'a> {
    rest: &'a str,
    text: &'a str,
}

impl Reader<'_> {
    #[track_caller]
    fn pieces(&mut self, level: Level) -> Vec<Piece> {
        let mut pieces = Vec::new();
        loop {
            self.rest = self.rest.trim_start();
            let Some(first) = self.rest.chars().next() else {
                assert!(level == Level::Outer, "a `[` is not closed: {}", self.text);
                return pieces;
            };
            match first {
                '[' => {
                    self.skip(1);
                    let content = self.pieces(Level::Bracket);
                    pieces.extend(bracket(content));
                }
                ']' => {
                    assert!(level == Level::Bracket, "a `]` closes nothing: {}", self.text);
                    self.skip(1);
                    return pieces;
                }
                '*' => {
                    self.skip(1);
                    pieces.push(Piece::Rest);
                }
                '\'' | '"' => pieces.extend(self.quoted(first)),
                _ => pieces.push(self.byte()),
            }
        }
    }

    #[track_caller]
    fn quoted(&mut self, quote: char) -> Vec<Piece> {
        self.skip(1);
        let Some((content, rest)) = self.rest.split_once(quote) else {
            panic!("a {quote} is not closed: {}", self.text);
        };
        self.rest = rest;
        let mut bytes = Vec::new();
        if quote == '"' {
            let length = u16::try_from(content.len()).expect("a string has at most 65535 bytes");
            bytes.extend(length.to_be_bytes());
        }
        bytes.extend(content.bytes());
        bytes.into_iter().map(Piece::Byte).collect()
    }

    #[track_caller]
    fn byte(&mut self) -> Piece {
        let Some(pair) = self.rest.get(..2) else {
            panic!("{:?} is no pair of hexadecimal digits: {}", self.rest, self.text);
        };
        self.skip(2);
        if pair == ".." {
            return Piece::AnyByte;
        }
        match u8::from_str_radix(pair, 16) {
            Ok(byte) => Piece::Byte(byte),
            Err(error) => panic!("{pair:?} is no pair of hexadecimal digits ({error}): {}", self.text),
        }
    }

    fn skip(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or_default();
    }
}

fn bracket(content: Vec<Piece>) -> Vec<Piece> {
    let open = content.iter().any(|piece| matches!(piece, Piece::Rest | Piece::AnyLength));
    let mut pieces: Vec<Piece> = if open {
        vec![Piece::AnyLength]
    } else {
        length_prefix(content.len()).into_iter().map(Piece::Byte).collect()
    };
    pieces.extend(content);
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_a_connect_packet() {
        let packet = bytes(r#"10 [ "MQTT" 04 02 003c "id" ]"#);
        assert_eq!(packet, b"\x10\x0e\x00\x04MQTT\x04\x02\x00\x3c\x00\x02id");
    }

    #[test]
    fn nests_brackets_and_prefixes_long_content_with_two_bytes() {
        assert_eq!(bytes("[ 00 [ 11 22 ] ]"), [4, 0, 2, 0x11, 0x22]);
        let long = format!("[ '{}' ]", "x".repeat(321));
        assert_eq!(bytes(&long)[..2], [0xc1, 0x02]);
        assert_eq!(length_prefix(268_435_455), [0xff, 0xff, 0xff, 0x7f]);
    }

    #[test]
    fn matches_wildcards() {
        let connack = pattern("20 [ 00 .. * ]");
        assert!(connack.matches(&[0x20, 2, 0, 0]));
        assert!(connack.matches(&[0x20, 5, 0, 0x87, 1, 2, 3]));
        assert!(!connack.matches(&[0x20, 2, 1, 0]));
        assert!(!connack.matches(&[0x20, 1, 0]));
        assert!(!pattern("d0 00").matches(&[0xd0, 0, 0]), "nothing may be left over");
        assert!(!pattern("d0 00").matches(&[0xd0]));
    }

    #[test]
    fn faults_in_the_notation_are_reported() {
        for text in ["1", "zz", "[ 00", "00 ]", "'abc", "* 00", "é0"] {
            assert!(std::panic::catch_unwind(|| pattern(text)).is_err(), "{text}");
        }
        assert!(std::panic::catch_unwind(|| bytes("20 ..")).is_err());
    }
}
