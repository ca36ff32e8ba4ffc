//! From declarations to classes: names are looked up, codes given and the primary key chosen.
//!
//! Faults point at the word that is wrong; what only the builders of classes and schemas notice points at the class.

use super::parser::{Declared, DeclaredClass, DeclaredField, DeclaredKey};
use super::{DdlFaults, Position, Word};
use crate::schema::{
    CLASSES_MAX, Class, ClassBuilder, FIELDS_MAX, INDEXES_MAX, IndexShape, NAME_BYTES_MAX, PRIMARY_NAME,
    Schema, is_name,
};
use crate::value::Type;

pub(super) fn schema(declared: Declared, faults: &mut DdlFaults) -> Option<Schema> {
    let database = match &declared.database {
        Some(name) => {
            check_name(name, faults);
            name
        }
        None => {
            let at = declared.end.unwrap_or(Position::START);
            faults.add(at, "the database has no name: add `declare database NAME;`");
            return None;
        }
    };
    if declared.classes.len() > CLASSES_MAX {
        faults.add(database.at, format!("there are more than {CLASSES_MAX} classes"));
        return None;
    }
    let mut builder = Schema::builder(&database.text);
    let mut last_code = 0u16;
    let mut seen: Vec<(u16, &str)> = Vec::new();
    for class in &declared.classes {
        let code = class.code.unwrap_or(last_code.saturating_add(1));
        last_code = code;
        if let Some((_, other)) = seen.iter().find(|(taken, _)| *taken == code) {
            let text = format!("class {} has the code {code}, which {other} has already", class.name.text);
            faults.add(class.name.at, text);
        }
        if seen.iter().any(|(_, name)| *name == class.name.text) {
            faults.add(class.name.at, format!("there is already a class {}", class.name.text));
        }
        seen.push((code, &class.name.text));
        if let Some(class) = resolve_class(class, code, faults) {
            builder = builder.class(class);
        }
    }
    if !faults.0.is_empty() {
        return None;
    }
    builder.build().map_err(|fault| faults.add(database.at, fault.to_string())).ok()
}

fn resolve_class(class: &DeclaredClass, code: u16, faults: &mut DdlFaults) -> Option<Class> {
    let before = faults.0.len();
    check_name(&class.name, faults);
    check_fields(class, faults);
    let primary = primary_key(class, faults);
    check_keys(class, primary, faults);
    if faults.0.len() > before || class.is_incomplete {
        return None;
    }
    let mut builder = Class::builder(&class.name.text, code, class.kind);
    for field in &class.fields {
        builder = add_field(builder, field);
    }
    for (number, key) in class.keys.iter().enumerate() {
        let fields: Vec<&str> = key.fields.iter().map(|field| field.text.as_str()).collect();
        builder = if primary == Some(number) {
            builder.primary_named(&key.name.text, &fields)
        } else {
            builder.index(&key.name.text, &fields, key.shape, key.unique)
        };
    }
    builder.build().map_err(|fault| faults.add(class.name.at, fault.to_string())).ok()
}

fn add_field(builder: ClassBuilder, field: &DeclaredField) -> ClassBuilder {
    let (name, field_type) = (&field.name.text, field.field_type.clone());
    if field.auto {
        return builder.field(name, field_type).auto(name);
    }
    match &field.default {
        Some(default) => builder.field_with_default(name, field_type, default.clone()),
        None => builder.field(name, field_type),
    }
}

fn check_fields(class: &DeclaredClass, faults: &mut DdlFaults) {
    if class.fields.is_empty() && !class.is_incomplete {
        faults.add(class.name.at, format!("class {} has no fields: declare at least one", class.name.text));
    }
    if class.fields.len() > FIELDS_MAX {
        faults.add(class.name.at, format!("class {} has more than {FIELDS_MAX} fields", class.name.text));
        return;
    }
    for (number, field) in class.fields.iter().enumerate() {
        check_name(&field.name, faults);
        if class.fields.iter().take(number).any(|earlier| earlier.name.text == field.name.text) {
            faults.add(field.name.at, format!("there is already a field {}: rename one", field.name.text));
        }
        if field.auto && class.fields.iter().take(number).any(|earlier| earlier.auto) {
            faults.add(field.name.at, "a class has one autoid: remove the others");
        }
    }
}

/// The key that is the primary one: none when the store numbers the objects, else the unique tree that is called
/// `primary`, else the first one.
fn primary_key(class: &DeclaredClass, faults: &mut DdlFaults) -> Option<usize> {
    if class.fields.iter().any(|field| field.auto) {
        return None;
    }
    let is_unique_tree = |key: &DeclaredKey| key.unique && key.shape == IndexShape::Ordered;
    if let Some(named) = class.keys.iter().position(|key| key.name.text == PRIMARY_NAME) {
        if let Some(key) = class.keys.get(named).filter(|key| !is_unique_tree(key)) {
            faults.add(key.name.at, "the primary key must be a `unique tree`");
        }
        return Some(named);
    }
    let first = class.keys.iter().position(is_unique_tree);
    if first.is_none() && !class.fields.is_empty() && !class.is_incomplete {
        let text =
            format!("class {} has no primary key: add a `unique tree<..>` or `autoid`", class.name.text);
        faults.add(class.name.at, text);
    }
    first
}

fn check_keys(class: &DeclaredClass, primary: Option<usize>, faults: &mut DdlFaults) {
    if class.keys.len() > INDEXES_MAX.saturating_add(usize::from(primary.is_some())) {
        faults.add(class.name.at, format!("class {} has more than {INDEXES_MAX} indexes", class.name.text));
        return;
    }
    for (number, key) in class.keys.iter().enumerate() {
        check_name(&key.name, faults);
        let is_taken = class.keys.iter().take(number).any(|earlier| earlier.name.text == key.name.text)
            || (key.name.text == PRIMARY_NAME && primary != Some(number));
        if is_taken {
            faults.add(key.name.at, format!("there is already a key {}: rename this one", key.name.text));
        }
        let mut has_optional = false;
        for (place, name) in key.fields.iter().enumerate() {
            match class.fields.iter().find(|field| field.name.text == name.text) {
                None if class.is_incomplete => {}
                None => faults.add(name.at, format!("class {} has no field {}", class.name.text, name.text)),
                Some(field) if !field.field_type.is_keyable() => faults.add(
                    name.at,
                    format!(
                        "{} is a vector, which cannot be in a key: keep its elements as objects",
                        name.text
                    ),
                ),
                Some(field) => has_optional |= matches!(field.field_type, Type::Optional(_)),
            }
            if key.fields.iter().take(place).any(|earlier| earlier.text == name.text) {
                faults.add(name.at, format!("{} is in this key already: remove it", name.text));
            }
        }
        if let Some(at) = key.voluntary.filter(|_| !has_optional) {
            let text = "`voluntary`: objects are left out of an index by an absent optional field, and this key has none";
            faults.add(at, text);
        }
    }
}

fn check_name(name: &Word, faults: &mut DdlFaults) {
    if !is_name(&name.text) {
        let text = format!(
            "`{}` is not a name: use 1 to {NAME_BYTES_MAX} ASCII letters, digits and underscores",
            name.text
        );
        faults.add(name.at, text);
    }
}
