//! The account of patterns against a plain list.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

/// Long filters that all match `a/a/a/…`.
pub(crate) fn long_filter() -> impl Strategy<Value = Filter> {
    let level = prop::sample::select(vec!["a", "a", "a", "+"]);
    (prop::collection::vec(level, 1..24), any::<bool>()).prop_map(|(mut levels, multi)| {
        levels.extend(multi.then_some("#"));
        Filter::new(&levels.join("/")).unwrap()
    })
}

proptest! {
    #[test]
    fn patterns_are_counted_once(filters in prop::collection::vec(long_filter(), 1..200)) {
        let mut patterns = Patterns::default();
        let mut present = Vec::new();
        for filter in filters {
            if patterns.has_room_for(&filter, 200) {
                patterns.add(&filter);
                present.push(filter);
            }
        }
        let distinct: BTreeSet<&Filter> =
            present.iter().filter(|filter| filter.depth() > FREE_LEVELS && filter.contains('+')).collect();
        // Here, where all names are the same, a filter is its pattern.
        let levels: usize = distinct.iter().map(|filter| filter.depth()).sum();
        prop_assert_eq!(patterns.counted.as_ref().map_or(0, |counted| counted.levels), levels);
        prop_assert!(levels <= 200);
        present.iter().for_each(|filter| patterns.remove(filter));
        prop_assert!(patterns.counted.is_none());
    }
}
