//! Names that are each node's own: what is published under them never leaves the node.

use skein_types::{Filter, Topic};

/// Topics under this level stay on the node.
const OWN_LEVEL: &str = "$SYS";

/// Whether messages on `topic` stay on the node.
pub(crate) fn is_own(topic: &Topic) -> bool {
    is_own_level(topic.levels().next())
}

/// Whether a filter matches only topics that stay on the node.
pub(crate) fn is_own_filter(filter: &Filter) -> bool {
    is_own_level(filter.levels().next())
}

fn is_own_level(level: Option<&str>) -> bool {
    level == Some(OWN_LEVEL)
}
