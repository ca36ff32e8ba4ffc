//! Access control as a door sees it: files, decisions, passwords, reloads; and decisions against a naive oracle.

mod decisions;
mod files;
mod passwords;
