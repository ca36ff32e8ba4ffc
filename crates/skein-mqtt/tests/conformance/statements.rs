//! The groups of statements, each in a file of its own, and what their tests share. Both conformance targets run them.

#[path = "bad_input.rs"]
mod bad_input;
#[path = "fixture.rs"]
mod fixture;
#[path = "s2_01_encoding.rs"]
mod s2_01_encoding;
#[path = "s2_02_connect.rs"]
mod s2_02_connect;
#[path = "s2_03_connack.rs"]
mod s2_03_connack;
#[path = "s2_04_session_and_takeover.rs"]
mod s2_04_session_and_takeover;
#[path = "s2_05_will.rs"]
mod s2_05_will;
#[path = "s2_06_keep_alive.rs"]
mod s2_06_keep_alive;
#[path = "s2_07_publish_in.rs"]
mod s2_07_publish_in;
#[path = "s2_08_publish_out.rs"]
mod s2_08_publish_out;
#[path = "s2_09_subscribe.rs"]
mod s2_09_subscribe;
#[path = "s2_10_options.rs"]
mod s2_10_options;
#[path = "s2_11_retained.rs"]
mod s2_11_retained;
#[path = "s2_12_topics.rs"]
mod s2_12_topics;
#[path = "s2_13_shared.rs"]
mod s2_13_shared;
#[path = "s2_14_qos.rs"]
mod s2_14_qos;
#[path = "s2_15_order.rs"]
mod s2_15_order;
#[path = "s2_16_flow_control.rs"]
mod s2_16_flow_control;
#[path = "s2_17_problem_information.rs"]
mod s2_17_problem_information;
#[path = "s2_18_auth.rs"]
mod s2_18_auth;
#[path = "s2_19_disconnect.rs"]
mod s2_19_disconnect;
#[path = "s2_20_request_response.rs"]
mod s2_20_request_response;
#[path = "s2_21_redirect.rs"]
mod s2_21_redirect;
#[path = "s2_22_older_versions.rs"]
mod s2_22_older_versions;
