//! A transactional in-memory database: typed classes, indexes, snapshots, a change feed and a write-ahead log.
//!
//! It knows nothing of topics, sessions or protocols and needs no runtime; it can be used alone.
