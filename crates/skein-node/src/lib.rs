//! One node as a library: its configuration.
//!
//! The program and embedders use it; nothing below it knows it.
#![warn(missing_docs)]

pub mod config;
