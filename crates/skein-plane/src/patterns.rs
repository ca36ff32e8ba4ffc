//! How much work the wildcards of long filters can make of one match, and its bound.
//!
//! The *pattern* of a filter is which of its levels are wildcards. Filters of one pattern differ in a level that both name, so
//! that a topic follows one of them at a time: whatever the filters are, a match visits at most one node of the trie for each
//! pattern and level. Among filters of few levels there are not many patterns. Of longer ones a client could make thousands
//! that all match one topic, which is why their patterns are counted, for each session and for the node.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use skein_types::Filter;

/// Filters of so many levels are not counted: all their patterns together make a match visit some 500 nodes.
pub(crate) const FREE_LEVELS: usize = 8;
/// Levels of the longer patterns of one session together, each pattern counted once.
pub(crate) const SESSION_LEVELS_MAX: usize = 1024;
/// The same of all sessions of the node.
pub(crate) const NODE_LEVELS_MAX: usize = 16 * 1024;

/// The patterns of long filters. Sessions seldom have any.
#[derive(Debug, Default)]
pub(crate) struct Patterns {
    counted: Option<Box<Counted>>,
}

#[derive(Debug, Default)]
struct Counted {
    filters: HashMap<Pattern, usize, RandomState>,
    levels: usize,
}

/// The number of levels, and which of them are wildcards.
type Pattern = Box<[usize]>;

/// The pattern of a filter that is counted, and its levels.
fn pattern_of(filter: &Filter) -> Option<(Pattern, usize)> {
    let levels = filter.depth();
    if levels <= FREE_LEVELS || !filter.as_str().contains('+') {
        return None;
    }
    let multi = usize::from(filter.as_str().ends_with('#'));
    let singles = filter.levels().enumerate().filter(|(_, level)| *level == "+").map(|(at, _)| at);
    Some(([levels, multi].into_iter().chain(singles).collect(), levels))
}

impl Patterns {
    /// Whether `filter` has a pattern that is here already, or one for which there is room.
    pub(crate) fn has_room_for(&self, filter: &Filter, levels_max: usize) -> bool {
        let Some((pattern, levels)) = pattern_of(filter) else { return true };
        self.counted.as_ref().is_none_or(|counted| {
            counted.filters.contains_key(&pattern) || counted.levels + levels <= levels_max
        })
    }

    /// The levels of all patterns.
    #[cfg(test)]
    pub(crate) fn levels(&self) -> usize {
        self.counted.as_ref().map_or(0, |counted| counted.levels)
    }

    pub(crate) fn add(&mut self, filter: &Filter) {
        let Some((pattern, levels)) = pattern_of(filter) else { return };
        let counted = self.counted.get_or_insert_default();
        let filters = counted.filters.entry(pattern).or_default();
        *filters += 1;
        if *filters == 1 {
            counted.levels += levels;
        }
    }

    pub(crate) fn remove(&mut self, filter: &Filter) {
        let Some((pattern, levels)) = pattern_of(filter) else { return };
        let Some(counted) = &mut self.counted else { return };
        let Some(filters) = counted.filters.get_mut(&pattern) else { return };
        *filters -= 1;
        if *filters == 0 {
            counted.filters.remove(&pattern);
            counted.levels -= levels;
        }
        self.counted.take_if(|counted| counted.filters.is_empty());
    }
}

#[cfg(test)]
pub(crate) mod tests;
