//! Topic levels: the parts of a topic or filter between slashes.

/// Level separator of topics and filters (MQTT 5.0 section 4.7.1.1).
pub(crate) const SEPARATOR: char = '/';
/// Matches exactly one level (MQTT 5.0 section 4.7.1.3).
pub(crate) const SINGLE: &str = "+";
/// Matches any number of levels, its parent included (MQTT 5.0 section 4.7.1.2).
pub(crate) const MULTI: &str = "#";

/// Number of levels in `text`; an empty level counts (MQTT-4.7.3: `a//b` has three).
pub(crate) fn count(text: &str) -> usize {
    memchr_count(b'/', text.as_bytes()) + 1
}

fn memchr_count(needle: u8, haystack: &[u8]) -> usize {
    haystack.iter().filter(|byte| **byte == needle).count()
}
