//! Several planes in one process: what must hold over all of them.

mod doors;
mod examples;
mod groups;
mod net;
mod owners;
mod restart;
mod retained;
mod schedule;
mod wills;
