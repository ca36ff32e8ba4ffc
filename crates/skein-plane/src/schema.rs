//! The classes of everything the plane keeps, as one schema.

use skein_store::{Schema, SchemaBuilder};

use crate::{
    rows::schema::classes,
    users::{MarkRow, RuleRow, UserRow},
};

/// The classes of everything the plane keeps.
#[must_use]
pub fn schema() -> Schema {
    let builder = classes().fold(Schema::builder("skein"), SchemaBuilder::class);
    let schema = builder.object::<UserRow>().object::<RuleRow>().object::<MarkRow>();
    schema.build().expect("the plane's own classes go together")
}
