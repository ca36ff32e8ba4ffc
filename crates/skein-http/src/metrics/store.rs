//! The figures of the store. A node without one names the metrics and has no samples of them.

use super::{
    names,
    text::{Exposition, Value},
};
use crate::door::Shared;

pub(super) fn store(shared: &Shared, out: &mut Exposition) {
    let Some(durable) = shared.plane.durable() else {
        return names::of_store().for_each(|metric| match metric.labels {
            [] => out.labelled::<0>(metric, []),
            _ => out.labelled::<1>(metric, []),
        });
    };
    let store = durable.store();
    let stats = store.stats();
    out.one(&names::STORE_READ_ONLY, u64::from(!store.writable()));
    out.one(&names::STORE_ALARMS, stats.alarms.len());
    out.one(&names::STORE_APPLIED_INDEX, stats.applied_index);
    let classes = || stats.classes.iter();
    out.labelled(&names::STORE_ROWS, classes().map(|class| ([&*class.name], Value::from(class.rows))));
    out.labelled(&names::STORE_BYTES, classes().map(|class| ([&*class.name], Value::from(class.bytes))));
    out.one(&names::STORE_COMMITS, stats.commits);
    out.one(&names::STORE_CONFLICTS, stats.conflicts);
    out.one(&names::STORE_DUPLICATES, stats.duplicates);
    out.one(&names::STORE_GROUPS, stats.groups);
    out.one(&names::STORE_SYNCS, stats.syncs);
    out.one(&names::STORE_SYNC_SECONDS, stats.sync_time.as_secs_f64());
    out.one(&names::STORE_SYNC_SECONDS_MAX, stats.sync_time_max.as_secs_f64());
    out.one(&names::STORE_SNAPSHOTS, stats.snapshots);
    let age = stats.snapshot_age.map(|age| ([], Value::from(age.as_secs_f64())));
    out.labelled(&names::STORE_SNAPSHOT_AGE, age);
    out.one(&names::STORE_LOG_BYTES, stats.log_bytes);
    out.one(&names::STORE_LOG_SEGMENTS, stats.log_segments);
    out.one(&names::STORE_WAITING, stats.queued);
    out.one(&names::STORE_WAITING_BYTES, stats.queued_bytes);
}
