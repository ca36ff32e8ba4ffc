//! Properties of keys, rows, schemas and DDL text, for any values and any bytes.

#[path = "schema/any.rs"]
mod any;
#[path = "schema/ddl.rs"]
mod ddl;
#[path = "schema/evolution.rs"]
mod evolution;
#[path = "schema/keys.rs"]
mod keys;
#[path = "schema/rows.rs"]
mod rows;
