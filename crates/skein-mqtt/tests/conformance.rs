//! The numbered statements of MQTT 5.0, and those of 3.1 and 3.1.1 that differ, against the server at packet level.
//!
//! One file for each group of statements; tests carry the statements' ids. Packets are written and read by the test
//! kit, which knows nothing of the server's codec, so that both cannot share a fault. Statements that can be told
//! from one packet's bytes alone are tested with the codec; here only what the server does about them.
#![expect(clippy::unwrap_used, reason = "a failed expectation ends the test that stated it")]

/// Where the servers of these tests keep sessions; `conformance_disk.rs` runs the same tests on disk.
const DURABILITY: skein_plane::Durability = skein_plane::Durability::Memory;

#[path = "conformance/bad_input.rs"]
mod bad_input;
#[path = "conformance/fixture.rs"]
mod fixture;
#[path = "conformance/s2_01_encoding.rs"]
mod s2_01_encoding;
#[path = "conformance/s2_02_connect.rs"]
mod s2_02_connect;
#[path = "conformance/s2_03_connack.rs"]
mod s2_03_connack;
#[path = "conformance/s2_04_session_and_takeover.rs"]
mod s2_04_session_and_takeover;
#[path = "conformance/s2_05_will.rs"]
mod s2_05_will;
#[path = "conformance/s2_06_keep_alive.rs"]
mod s2_06_keep_alive;
#[path = "conformance/s2_07_publish_in.rs"]
mod s2_07_publish_in;
#[path = "conformance/s2_08_publish_out.rs"]
mod s2_08_publish_out;
#[path = "conformance/s2_09_subscribe.rs"]
mod s2_09_subscribe;
#[path = "conformance/s2_10_options.rs"]
mod s2_10_options;
#[path = "conformance/s2_11_retained.rs"]
mod s2_11_retained;
#[path = "conformance/s2_12_topics.rs"]
mod s2_12_topics;
#[path = "conformance/s2_13_shared.rs"]
mod s2_13_shared;
#[path = "conformance/s2_14_qos.rs"]
mod s2_14_qos;
#[path = "conformance/s2_15_order.rs"]
mod s2_15_order;
#[path = "conformance/s2_16_flow_control.rs"]
mod s2_16_flow_control;
#[path = "conformance/s2_17_problem_information.rs"]
mod s2_17_problem_information;
#[path = "conformance/s2_18_auth.rs"]
mod s2_18_auth;
#[path = "conformance/s2_19_disconnect.rs"]
mod s2_19_disconnect;
#[path = "conformance/s2_20_request_response.rs"]
mod s2_20_request_response;
#[path = "conformance/s2_22_older_versions.rs"]
mod s2_22_older_versions;
