//! Topic names: what a message is published under.

use std::{fmt, ops::Deref};

use bytestring::ByteString;

use crate::{TOPIC_BYTES_MAX, level};

/// A topic name: levels by `/`, at least one character, no wildcard (MQTT 5.0 section 4.7).
///
/// Levels are compared character for character, empty levels count, and nothing is normalised (MQTT-4.7.3-4).
/// A topic shares the bytes it was decoded from; use [`Topic::detached`] before keeping it for long.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Topic(ByteString);

/// Why a text is not a topic name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    /// MQTT-4.7.3-1.
    #[error("a topic needs at least one character")]
    Empty,
    /// MQTT-4.7.3-3.
    #[error("a topic has at most {TOPIC_BYTES_MAX} bytes, this one {0}")]
    TooLong(usize),
    /// MQTT-4.7.3-2.
    #[error("a topic must not contain the character U+0000")]
    Nul,
    /// MQTT-3.3.2-2.
    #[error("a topic to publish to must not contain the wildcards + and #")]
    Wildcard,
}

impl Topic {
    /// Checks `text` and makes it a topic without copying it.
    ///
    /// # Errors
    /// Says which rule of MQTT 5.0 section 4.7.3 the text breaks.
    pub fn new(text: ByteString) -> Result<Self, TopicError> {
        if text.is_empty() {
            return Err(TopicError::Empty);
        }
        if text.len() > TOPIC_BYTES_MAX {
            return Err(TopicError::TooLong(text.len()));
        }
        for byte in text.as_bytes() {
            match byte {
                0 => return Err(TopicError::Nul),
                b'+' | b'#' => return Err(TopicError::Wildcard),
                _ => {}
            }
        }
        Ok(Self(text))
    }

    /// The topic as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The levels in order; `a//b` has the three levels `a`, the empty one and `b`.
    pub fn levels(&self) -> impl Iterator<Item = &str> {
        self.0.split(level::SEPARATOR)
    }

    /// Number of levels, at least one.
    #[must_use]
    pub fn depth(&self) -> usize {
        level::count(&self.0)
    }

    /// Whether the first level starts with `$`, so that filters starting with a wildcard do not match (MQTT-4.7.2-1).
    #[must_use]
    pub fn is_system(&self) -> bool {
        self.0.as_bytes().first() == Some(&b'$')
    }

    /// The same topic in memory of its own, for whoever keeps it longer than one read buffer.
    #[must_use]
    pub fn detached(&self) -> Self {
        Self(ByteString::from(self.as_str()))
    }

    /// The text behind this topic.
    #[must_use]
    pub fn into_inner(self) -> ByteString {
        self.0
    }
}

impl TryFrom<&str> for Topic {
    type Error = TopicError;
    fn try_from(text: &str) -> Result<Self, TopicError> {
        Self::new(ByteString::from(text))
    }
}

impl Deref for Topic {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: Result<usize, TopicError>) {
        assert_eq!(Topic::try_from(text).map(|topic| topic.depth()), expect, "{text:?}");
    }

    #[test]
    fn mqtt_4_7_3_topic_names() {
        check("a", Ok(1));
        check("/", Ok(2));
        check("a//b", Ok(3));
        check("$SYS/broker", Ok(2));
        check(" ", Ok(1));
        check("", Err(TopicError::Empty));
        check("a/+/b", Err(TopicError::Wildcard));
        check("a/#", Err(TopicError::Wildcard));
        check("a+", Err(TopicError::Wildcard));
        check("a\0b", Err(TopicError::Nul));
        check(&"x".repeat(TOPIC_BYTES_MAX), Ok(1));
        check(&"x".repeat(TOPIC_BYTES_MAX + 1), Err(TopicError::TooLong(TOPIC_BYTES_MAX + 1)));
    }
}
