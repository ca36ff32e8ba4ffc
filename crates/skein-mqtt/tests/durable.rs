//! Sessions that are kept on disk, at packet level, on a disk that holds syncs back, runs out of room or fails: who is
//! told what, and when.
#![expect(clippy::unwrap_used, reason = "a failed expectation ends the test that stated it")]

#[path = "durable/class.rs"]
mod class;
#[path = "durable/fixture.rs"]
mod fixture;
#[path = "durable/full.rs"]
mod full;
#[path = "durable/leaving.rs"]
mod leaving;
#[path = "durable/withheld.rs"]
mod withheld;
