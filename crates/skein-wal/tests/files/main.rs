//! The log and the snapshots through their public interface, on the disk in memory and on the real one.

mod fixture;
mod log;
mod snapshot;
