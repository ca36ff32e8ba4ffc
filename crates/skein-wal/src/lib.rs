//! Bytes that outlive the process: files through one seam, a segmented write-ahead log, snapshot files.
//!
//! It knows bytes and indexes, never classes or transactions. `skein-store` keeps its commits in it.
