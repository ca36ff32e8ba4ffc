//! Nodes find each other through real name servers and databases: dnsmasq, PostgreSQL and MariaDB of this machine's Debian.
#![expect(clippy::unwrap_used, reason = "a failed expectation ends the test that stated it")]

mod names;
mod registry;
mod searching;
