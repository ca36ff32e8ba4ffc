//! What a struct declares, checked: everything the store refuses is refused here, at the place it was written.
//!
//! Types are not known to a macro; the expansion makes the compiler check them.

use proc_macro2::Span;
use quote::format_ident;
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Attribute, Data, DeriveInput, Fields, Ident, Type, Visibility};

use crate::attribute::{ClassAttribute, DefaultAttribute, IndexAttribute, path_place, require_bare};

const NAME_BYTES_MAX: usize = 64;
const FIELDS_MAX: usize = 1024;
const INDEXES_MAX: usize = 64;
/// Keys are looked up by tuples, and these are implemented up to so many parts.
const KEY_FIELDS_MAX: usize = 8;
const PRIMARY_NAME: &str = "primary";

/// A class as a struct declares it.
pub(crate) struct Declaration {
    pub(crate) ident: Ident,
    pub(crate) visibility: Visibility,
    pub(crate) name: String,
    pub(crate) code: u16,
    pub(crate) kind: Ident,
    pub(crate) fields: Vec<Field>,
    /// The numbers of the primary key's fields.
    pub(crate) primary: Vec<usize>,
    pub(crate) auto: bool,
    pub(crate) indexes: Vec<Index>,
}

/// A field of the class.
pub(crate) struct Field {
    pub(crate) ident: Ident,
    pub(crate) name: String,
    pub(crate) field_type: Type,
    pub(crate) default: Option<DefaultAttribute>,
}

/// An index beside the primary key.
pub(crate) struct Index {
    pub(crate) name: String,
    pub(crate) fields: Vec<usize>,
    pub(crate) unique: bool,
    pub(crate) hash: bool,
}

/// The errors found so far; all of them are shown at once.
#[derive(Default)]
struct Faults(Option<syn::Error>);

impl Faults {
    fn add(&mut self, place: Span, text: impl std::fmt::Display) {
        self.push(syn::Error::new(place, text));
    }

    fn push(&mut self, error: syn::Error) {
        match &mut self.0 {
            Some(first) => first.combine(error),
            None => self.0 = Some(error),
        }
    }

    /// The value of `result`, or its error among the others.
    fn keep<T>(&mut self, result: syn::Result<T>) -> Option<T> {
        result.map_err(|error| self.push(error)).ok()
    }
}

/// What the attributes of the fields say, beside the fields themselves.
#[derive(Default)]
struct Marks {
    primary: Vec<Ident>,
    auto: Option<Ident>,
    indexes: Vec<IndexAttribute>,
}

impl Declaration {
    /// Reads a struct.
    pub(crate) fn read(input: &DeriveInput) -> syn::Result<Declaration> {
        let mut faults = Faults::default();
        let attribute = class_attribute(input, &mut faults);
        let mut marks = Marks::default();
        let fields = read_fields(input, &mut marks, &mut faults);
        let name = class_name(input, &attribute, &mut faults);
        let code = class_code(input, &attribute, &mut faults);
        let kind = class_kind(&attribute, &mut faults);
        let (primary, auto) = primary_key(input, &attribute, &marks, &fields, &mut faults);
        let declared = attribute.indexes.iter().chain(&marks.indexes);
        let indexes = read_indexes(declared, &fields, &mut faults);
        if let Some(error) = faults.0 {
            return Err(error);
        }
        let (ident, visibility) = (input.ident.clone(), input.vis.clone());
        Ok(Declaration { ident, visibility, name, code, kind, fields, primary, auto, indexes })
    }
}

fn class_attribute(input: &DeriveInput, faults: &mut Faults) -> ClassAttribute {
    let mut found = input.attrs.iter().filter(|attribute| attribute.path().is_ident("class"));
    let Some(attribute) = found.next() else {
        faults.add(input.ident.span(), "the class needs a code: add #[class(code = 1)]");
        return ClassAttribute::default();
    };
    if let Some(second) = found.next() {
        faults.add(path_place(second), "#[class(..)] is given twice: put all into one");
    }
    faults.keep(ClassAttribute::read(attribute)).unwrap_or_default()
}

fn class_name(input: &DeriveInput, attribute: &ClassAttribute, faults: &mut Faults) -> String {
    let (name, place) = match &attribute.name {
        Some(literal) => (literal.value(), literal.span()),
        None => (input.ident.unraw().to_string(), input.ident.span()),
    };
    check_name(&name, place, faults);
    name
}

fn class_code(input: &DeriveInput, attribute: &ClassAttribute, faults: &mut Faults) -> u16 {
    let Some(literal) = &attribute.code else {
        // The whole attribute being absent or unreadable is an error of its own.
        if faults.0.is_none() {
            faults.add(input.ident.span(), "the class needs a code: add code = 1 to #[class(..)]");
        }
        return 0;
    };
    match literal.base10_parse::<u16>() {
        Ok(code) if code > 0 => code,
        _ => {
            faults.add(literal.span(), format!("{literal} is no class code: use 1 to 65535"));
            0
        }
    }
}

fn class_kind(attribute: &ClassAttribute, faults: &mut Faults) -> Ident {
    let Some(literal) = &attribute.kind else { return format_ident!("Replicated") };
    match literal.value().as_str() {
        "replicated" => format_ident!("Replicated"),
        "distributed" => format_ident!("Distributed"),
        "local" => format_ident!("Local"),
        other => {
            let text = format!("{other:?} is no kind: use \"replicated\", \"distributed\" or \"local\"");
            faults.add(literal.span(), text);
            format_ident!("Replicated")
        }
    }
}

fn read_fields(input: &DeriveInput, marks: &mut Marks, faults: &mut Faults) -> Vec<Field> {
    if !input.generics.params.is_empty() {
        let text = "a class cannot have parameters: its rows must have one layout";
        faults.add(input.generics.params.span(), text);
    }
    let named = match &input.data {
        Data::Struct(data) => match &data.fields {
            Fields::Named(fields) if !fields.named.is_empty() => &fields.named,
            _ => {
                faults.add(input.ident.span(), "a class needs named fields: struct Name { field: Type }");
                return Vec::new();
            }
        },
        Data::Enum(_) | Data::Union(_) => {
            faults.add(input.ident.span(), "only a struct can be a class");
            return Vec::new();
        }
    };
    if named.len() > FIELDS_MAX {
        faults.add(input.ident.span(), format!("a class has at most {FIELDS_MAX} fields"));
    }
    named.iter().filter_map(|field| read_field(field, marks, faults)).collect()
}

fn read_field(field: &syn::Field, marks: &mut Marks, faults: &mut Faults) -> Option<Field> {
    let ident = field.ident.clone()?;
    let name = ident.unraw().to_string();
    check_name(&name, ident.span(), faults);
    let mut default = None;
    let mut is_auto = false;
    for attribute in &field.attrs {
        if attribute.path().is_ident("primary") {
            faults.keep(require_bare(attribute));
            marks.primary.push(ident.clone());
        } else if attribute.path().is_ident("auto") {
            faults.keep(require_bare(attribute));
            is_auto = true;
            mark_auto(attribute, &ident, marks, faults);
        } else if attribute.path().is_ident("index") {
            marks.indexes.extend(faults.keep(IndexAttribute::read(attribute, &ident)));
        } else if attribute.path().is_ident("default_value") {
            let read = faults.keep(DefaultAttribute::read(attribute));
            if default.is_some() {
                faults.add(path_place(attribute), "this is given twice");
            }
            default = read;
        } else if attribute.path().is_ident("class") {
            faults.add(path_place(attribute), "#[class(..)] stands on the struct, not on a field");
        }
    }
    if is_auto && default.is_some() {
        faults.add(ident.span(), "the store gives this field its number: remove the default");
    }
    Some(Field { ident, name, field_type: field.ty.clone(), default })
}

fn mark_auto(attribute: &Attribute, ident: &Ident, marks: &mut Marks, faults: &mut Faults) {
    if marks.auto.replace(ident.clone()).is_some() {
        faults.add(path_place(attribute), "the store numbers one field only");
    }
}

fn primary_key(
    input: &DeriveInput,
    attribute: &ClassAttribute,
    marks: &Marks,
    fields: &[Field],
    faults: &mut Faults,
) -> (Vec<usize>, bool) {
    let number = |ident: &Ident| fields.iter().position(|field| field.ident == *ident);
    match (&marks.auto, marks.primary.as_slice(), &attribute.primary) {
        (Some(auto), [], None) => (number(auto).into_iter().collect(), true),
        (None, marked @ [_, ..], None) => {
            let numbers: Vec<usize> = marked.iter().filter_map(number).collect();
            check_key_length(numbers.len(), input.ident.span(), faults);
            (numbers, false)
        }
        (None, [], Some((place, idents))) => {
            check_key_length(idents.len(), *place, faults);
            (field_numbers(idents, fields, faults), false)
        }
        (None, [], None) => {
            let text = "the class needs a primary key: mark fields with #[primary], or a u64 with #[auto]";
            // Without readable fields or attributes the key may well be there.
            if faults.0.is_none() {
                faults.add(input.ident.span(), text);
            }
            (Vec::new(), false)
        }
        (Some(auto), ..) => {
            faults.add(auto.span(), "the number the store gives is the whole primary key: mark no other");
            (Vec::new(), true)
        }
        (None, [first, ..], Some(_)) => {
            faults.add(first.span(), "the primary key is given by #[class(primary(..))] already");
            (Vec::new(), false)
        }
    }
}

fn read_indexes<'a>(
    declared: impl Iterator<Item = &'a IndexAttribute>,
    fields: &[Field],
    faults: &mut Faults,
) -> Vec<Index> {
    let mut indexes: Vec<Index> = Vec::new();
    for attribute in declared {
        let (name, place) = match &attribute.name {
            Some(literal) => (literal.value(), literal.span()),
            None => {
                let names: Vec<String> =
                    attribute.fields.iter().map(|field| field.unraw().to_string()).collect();
                (format!("by_{}", names.join("_")), attribute.place)
            }
        };
        check_name(&name, place, faults);
        if name == PRIMARY_NAME {
            faults.add(place, "this name is kept for the primary key");
        }
        let constant = |name: &str| name.to_ascii_uppercase();
        if indexes.iter().any(|earlier| constant(&earlier.name) == constant(&name)) {
            faults.add(place, format!("there is already an index {name}: give this one a name of its own"));
        }
        let numbers = field_numbers(&attribute.fields, fields, faults);
        indexes.push(Index { name, fields: numbers, unique: attribute.unique, hash: attribute.hash });
        if indexes.len() == INDEXES_MAX.saturating_add(1) {
            faults.add(place, format!("a class has at most {INDEXES_MAX} indexes"));
        }
    }
    indexes
}

/// The numbers of the fields of these names.
fn field_numbers(idents: &[Ident], fields: &[Field], faults: &mut Faults) -> Vec<usize> {
    let mut numbers = Vec::new();
    for ident in idents {
        match fields.iter().position(|field| field.ident == *ident) {
            Some(number) if numbers.contains(&number) => {
                faults.add(ident.span(), "a key has each field only once");
            }
            Some(number) => numbers.push(number),
            None => faults.add(ident.span(), format!("the struct has no field {ident}")),
        }
    }
    numbers
}

fn check_key_length(length: usize, place: Span, faults: &mut Faults) {
    if length > KEY_FIELDS_MAX {
        faults.add(place, format!("a primary key has at most {KEY_FIELDS_MAX} fields"));
    }
}

/// The rule for names that the store has too.
fn check_name(name: &str, place: Span, faults: &mut Faults) {
    let is_name = !name.is_empty()
        && name.len() <= NAME_BYTES_MAX
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
    if !is_name {
        let text = format!(
            "{name:?} is not a name: use 1 to {NAME_BYTES_MAX} letters, digits and underscores, \
             not beginning with a digit"
        );
        faults.add(place, text);
    }
}
