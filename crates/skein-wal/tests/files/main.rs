//! The log and the snapshots through their public interface, on the disk in memory and on the real one.

mod crash;
mod damage;
mod disk;
mod fixture;
mod layout;
mod log;
mod model;
mod snapshot;
mod space;
