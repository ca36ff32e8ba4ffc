//! Evolution: what is accepted reads the rows that exist, and what is refused says why.

use proptest::prelude::*;
use skein_store::{Class, ClassBuilder, Schema, SchemaChange};

use crate::any;

fn schema_of(class: &Class) -> Schema {
    Schema::builder("d").class(class.clone()).build().expect("sound")
}

/// A builder with everything of `class` but its indexes.
fn without_indexes(class: &Class) -> ClassBuilder {
    let mut builder = Class::builder(&class.name, class.id.0, class.kind);
    for field in &class.fields {
        builder = match &field.default {
            Some(default) => {
                builder.field_with_default(&field.name, field.field_type.clone(), default.clone())
            }
            None => builder.field(&field.name, field.field_type.clone()),
        };
    }
    let names: Vec<&str> =
        class.primary.fields.iter().map(|field| class.fields[*field].name.as_str()).collect();
    if class.primary.auto {
        builder.auto(names[0])
    } else {
        builder.primary_named(&class.primary.name, &names)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_schema_evolves_to_itself_without_a_change(schema in any::any_schema()) {
        prop_assert_eq!(schema.evolve(&schema), Ok(vec![]));
    }

    #[test]
    fn rows_survive_what_is_accepted(
        (class, values) in any::class_and_values(),
        (field_type, default) in any::any_field(),
    ) {
        let row = class.encode_row(&values).expect("the values fit");
        let has_default = default.is_some() || field_type.implicit_default().is_some();
        let builder = without_indexes(&class);
        let newer = match default {
            Some(default) => builder.field_with_default("added", field_type, default),
            None => builder.field("added", field_type),
        };
        let newer = newer.build().expect("the class is sound");
        let evolved = schema_of(&class).evolve(&schema_of(&newer));
        prop_assert_eq!(evolved.is_ok(), has_default);
        if let Ok(changes) = evolved {
            let class_id = class.id;
            let dropped = class.indexes.iter().map(|index| SchemaChange::DropIndex {
                class: class_id,
                index: index.name.clone(),
            });
            let added = SchemaChange::AddField { class: class_id, field: "added".to_owned() };
            prop_assert_eq!(changes, std::iter::once(added).chain(dropped).collect::<Vec<_>>());
            let read = newer.decode_row(&row).expect("the row survives");
            prop_assert_eq!(&read[..values.len()], &values[..]);
            prop_assert_eq!(newer.key_of_row(&row), class.key_of_row(&row));
        }
        prop_assert!(schema_of(&newer).evolve(&schema_of(&class)).is_err(), "fields are never removed");
    }

    #[test]
    fn two_schemas_evolve_only_with_equal_beginnings(old in any::any_class(1), new in any::any_class(1)) {
        let fields = old.fields.len();
        let has_same_start = new.fields.len() >= fields
            && new.fields[..fields] == old.fields[..]
            && new.fields[fields..].iter().all(|field| field.default_value().is_some());
        let is_compatible = has_same_start && new.kind == old.kind && new.primary == old.primary;
        let evolved = schema_of(&old).evolve(&schema_of(&new));
        prop_assert_eq!(evolved.is_ok(), is_compatible);
        if let Err(fault) = evolved {
            let is_shown = |line: &str| line.is_empty() || fault.to_string().contains(line);
            prop_assert!(fault.differences.iter().all(|difference| is_shown(&difference.old)));
            prop_assert!(fault.differences.iter().all(|difference| !difference.why.is_empty()));
        }
    }
}
