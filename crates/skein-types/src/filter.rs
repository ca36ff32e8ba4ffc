//! Topic filters: what a subscription asks for.

use std::{borrow::Borrow, fmt, ops::Deref, sync::Arc};

use crate::{GroupName, TOPIC_BYTES_MAX, Topic, level};

/// A topic filter: a topic with the wildcards `+` and `#` (MQTT 5.0 section 4.7.1), never a shared one.
///
/// A filter owns its bytes: subscriptions outlive the packet they came in.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Filter(Arc<str>);

/// What a SUBSCRIBE names: a filter, and the shared group it is asked for through (MQTT 5.0 section 4.8.2).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubscriptionFilter {
    /// The group of `$share/group/filter`, or none for an ordinary subscription.
    pub group: Option<GroupName>,
    /// The filter itself.
    pub filter: Filter,
}

/// Why a text is not a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// MQTT-4.7.3-1.
    #[error("a filter needs at least one character")]
    Empty,
    /// MQTT-4.7.3-3.
    #[error("a filter has at most {TOPIC_BYTES_MAX} bytes, this one {0}")]
    TooLong(usize),
    /// MQTT-4.7.3-2.
    #[error("a filter must not contain the character U+0000")]
    Nul,
    /// MQTT-4.7.1-2.
    #[error("+ must stand for a whole level, as in a/+/b")]
    PartialSingle,
    /// MQTT-4.7.1-1.
    #[error("# must be the whole last level, as in a/#")]
    MisplacedMulti,
    /// MQTT-4.8.2-1 and MQTT-4.8.2-2.
    #[error("a shared subscription has the form $share/name/filter, its name without / + #")]
    BadShare,
}

impl Filter {
    /// Checks `text` and copies it into a filter.
    ///
    /// # Errors
    /// Says which rule of MQTT 5.0 section 4.7 the text breaks.
    pub fn new(text: &str) -> Result<Self, FilterError> {
        if text.is_empty() {
            return Err(FilterError::Empty);
        }
        if text.len() > TOPIC_BYTES_MAX {
            return Err(FilterError::TooLong(text.len()));
        }
        if text.as_bytes().contains(&0) {
            return Err(FilterError::Nul);
        }
        let mut levels = text.split(level::SEPARATOR).peekable();
        while let Some(part) = levels.next() {
            if part.len() > 1 && part.contains('+') {
                return Err(FilterError::PartialSingle);
            }
            if part.contains('#') && (part != level::MULTI || levels.peek().is_some()) {
                return Err(FilterError::MisplacedMulti);
            }
        }
        Ok(Self(Arc::from(text)))
    }

    /// The filter as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The levels in order, wildcards among them.
    pub fn levels(&self) -> impl Iterator<Item = &str> {
        self.0.split(level::SEPARATOR)
    }

    /// Number of levels, at least one.
    #[must_use]
    pub fn depth(&self) -> usize {
        level::count(&self.0)
    }

    /// Whether the filter has no wildcard, so that it matches exactly the topic of the same text.
    #[must_use]
    pub fn is_literal(&self) -> bool {
        !self.0.as_bytes().iter().any(|byte| matches!(byte, b'+' | b'#'))
    }

    /// Whether a message on `topic` matches.
    ///
    /// This is the definition: short, level by level. The plane's matcher is tested against it.
    #[must_use]
    pub fn matches(&self, topic: &Topic) -> bool {
        // MQTT-4.7.2-1: a filter that starts with a wildcard does not match a topic that starts with $.
        if topic.is_system() && matches!(self.0.as_bytes().first(), Some(b'+' | b'#')) {
            return false;
        }
        let mut names = topic.levels();
        for part in self.levels() {
            if part == level::MULTI {
                return true;
            }
            match names.next() {
                Some(name) if part == level::SINGLE || part == name => {}
                _ => return false,
            }
        }
        names.next().is_none()
    }

    /// Whether every topic that matches `other` matches this filter too.
    ///
    /// Access rules use it: a rule on `a/#` allows a subscription to `a/+/b`, one on `a/+` does not.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        let first = |filter: &Self| filter.0.as_bytes().first().copied();
        if first(other) == Some(b'$') && matches!(first(self), Some(b'+' | b'#')) {
            return false;
        }
        let mut theirs = other.levels();
        for part in self.levels() {
            if part == level::MULTI {
                return true;
            }
            match theirs.next() {
                Some(level::MULTI) | None => return false,
                Some(their) if part == level::SINGLE || part == their => {}
                Some(_) => return false,
            }
        }
        theirs.next().is_none()
    }

    /// Whether some topic matches both filters.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        let system = |filter: &Self| filter.0.as_bytes().first() == Some(&b'$');
        let wild = |filter: &Self| matches!(filter.0.as_bytes().first(), Some(b'+' | b'#'));
        if (system(self) && wild(other)) || (system(other) && wild(self)) {
            return false;
        }
        let (mut ours, mut theirs) = (self.levels(), other.levels());
        loop {
            match (ours.next(), theirs.next()) {
                (None, None) | (Some(level::MULTI), _) | (_, Some(level::MULTI)) => return true,
                (Some(our), Some(their))
                    if our == level::SINGLE || their == level::SINGLE || our == their => {}
                _ => return false,
            }
        }
    }
}

impl SubscriptionFilter {
    /// Parses `$share/group/filter` or an ordinary filter.
    ///
    /// # Errors
    /// As [`Filter::new`], and [`FilterError::BadShare`] for a malformed shared form.
    pub fn new(text: &str) -> Result<Self, FilterError> {
        let Some(shared) = text.strip_prefix("$share/") else {
            if text == "$share" {
                return Err(FilterError::BadShare);
            }
            return Ok(Self { group: None, filter: Filter::new(text)? });
        };
        let (name, filter) = shared.split_once(level::SEPARATOR).ok_or(FilterError::BadShare)?;
        if name.is_empty() || name.contains(['+', '#']) || filter.is_empty() {
            return Err(FilterError::BadShare);
        }
        Ok(Self { group: Some(GroupName::new(name)), filter: Filter::new(filter)? })
    }
}

impl fmt::Display for SubscriptionFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.group {
            Some(group) => write!(f, "$share/{group}/{}", self.filter),
            None => self.filter.fmt(f),
        }
    }
}

/// Filters are looked up by the text of a topic; both hash as text.
impl Borrow<str> for Filter {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl Deref for Filter {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn filter(text: &str) -> Filter {
        Filter::new(text).unwrap()
    }

    fn check_matches(pattern: &str, topic: &str, expect: bool) {
        let topic = Topic::try_from(topic).unwrap();
        assert_eq!(filter(pattern).matches(&topic), expect, "{pattern} on {topic}");
    }

    #[test]
    fn mqtt_4_7_1_wildcards() {
        check_matches("sport/tennis/player1/#", "sport/tennis/player1", true);
        check_matches("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true);
        check_matches("sport/#", "sport", true);
        check_matches("#", "a/b", true);
        check_matches("sport/tennis/+", "sport/tennis/player1", true);
        check_matches("sport/tennis/+", "sport/tennis/player1/ranking", false);
        check_matches("sport/+", "sport", false);
        check_matches("sport/+", "sport/", true);
        check_matches("+/+", "/finance", true);
        check_matches("/+", "/finance", true);
        check_matches("+", "/finance", false);
        check_matches("ACCOUNTS", "Accounts", false);
    }

    #[test]
    fn mqtt_4_7_2_dollar_topics() {
        check_matches("#", "$SYS/monitor", false);
        check_matches("+/monitor/Clients", "$SYS/monitor/Clients", false);
        check_matches("$SYS/#", "$SYS/monitor", true);
        check_matches("$SYS/monitor/+", "$SYS/monitor/Clients", true);
    }

    #[test]
    fn mqtt_4_7_1_malformed_filters() {
        for (text, error) in [
            ("", FilterError::Empty),
            ("sport/tennis#", FilterError::MisplacedMulti),
            ("sport/tennis/#/ranking", FilterError::MisplacedMulti),
            ("##", FilterError::MisplacedMulti),
            ("sport+", FilterError::PartialSingle),
            ("a/b+/c", FilterError::PartialSingle),
            ("++", FilterError::PartialSingle),
            ("a\0", FilterError::Nul),
        ] {
            assert_eq!(Filter::new(text), Err(error), "{text:?}");
        }
    }

    #[test]
    fn mqtt_4_8_2_shared_form() {
        let shared = SubscriptionFilter::new("$share/g/a/+/#").unwrap();
        assert_eq!(shared.group.as_deref(), Some("g"));
        assert_eq!(shared.filter.as_str(), "a/+/#");
        assert_eq!(shared.to_string(), "$share/g/a/+/#");
        assert_eq!(SubscriptionFilter::new("$share/g//a").unwrap().filter.as_str(), "/a");
        for text in ["$share", "$share/", "$share/g", "$share/g/", "$share//a", "$share/+/a", "$share/g#/a"] {
            assert_eq!(SubscriptionFilter::new(text), Err(FilterError::BadShare), "{text}");
        }
        // $shared is an ordinary level.
        assert_eq!(SubscriptionFilter::new("$shared/g/a").unwrap().group, None);
    }

    fn level() -> impl Strategy<Value = String> {
        prop_oneof![Just(String::new()), Just("a".into()), Just("b".into()), Just("$c".into())]
    }

    fn any_topic() -> impl Strategy<Value = Topic> {
        prop::collection::vec(level(), 1..5)
            .prop_map(|levels| levels.join("/"))
            .prop_filter_map("empty", |text| Topic::try_from(text.as_str()).ok())
    }

    fn any_filter() -> impl Strategy<Value = Filter> {
        let part = prop_oneof![3 => level(), 1 => Just("+".to_owned())];
        (prop::collection::vec(part, 0..4), any::<bool>())
            .prop_map(|(mut levels, multi)| {
                if multi || levels.is_empty() {
                    levels.push("#".into());
                }
                levels.join("/")
            })
            .prop_filter_map("empty", |text| Filter::new(&text).ok())
    }

    proptest! {
        #[test]
        fn covering_means_every_match_is_matched(a in any_filter(), b in any_filter(), topic in any_topic()) {
            if a.covers(&b) && b.matches(&topic) {
                prop_assert!(a.matches(&topic), "{a:?} covers {b:?}, topic {topic:?}");
            }
        }

        #[test]
        fn overlap_is_symmetric_and_seen_by_topics(a in any_filter(), b in any_filter(), topic in any_topic()) {
            prop_assert_eq!(a.overlaps(&b), b.overlaps(&a));
            if a.matches(&topic) && b.matches(&topic) {
                prop_assert!(a.overlaps(&b));
            }
        }

        #[test]
        fn a_topic_is_a_filter_that_matches_itself(topic in any_topic()) {
            let own = Filter::new(&topic).unwrap();
            prop_assert!(own.is_literal() && own.matches(&topic) && own.covers(&own));
        }

        #[test]
        fn any_text_is_judged_without_panic(text in ".*") {
            let _ = Topic::try_from(text.as_str()).is_ok();
            let _ = SubscriptionFilter::new(&text).is_ok();
        }
    }
}
