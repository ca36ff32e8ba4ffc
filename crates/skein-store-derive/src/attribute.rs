//! The attributes: from tokens to plain values with the place each was written at.

use proc_macro2::{Span, TokenStream, TokenTree};
use syn::meta::ParseNestedMeta;
use syn::punctuated::Punctuated;
use syn::{Attribute, Ident, LitInt, LitStr, Meta, Token, parenthesized};

/// `#[class(..)]`.
#[derive(Default)]
pub(crate) struct ClassAttribute {
    pub(crate) name: Option<LitStr>,
    pub(crate) code: Option<LitInt>,
    pub(crate) kind: Option<LitStr>,
    pub(crate) primary: Option<(Span, Vec<Ident>)>,
    pub(crate) indexes: Vec<IndexAttribute>,
}

/// `index(..)` of a class, or `#[index(..)]` of a field.
pub(crate) struct IndexAttribute {
    pub(crate) place: Span,
    pub(crate) name: Option<LitStr>,
    pub(crate) fields: Vec<Ident>,
    pub(crate) unique: bool,
    pub(crate) hash: bool,
}

/// `#[default_value(..)]`. The name `default` is taken by `#[derive(Default)]`, which refuses it on fields.
pub(crate) struct DefaultAttribute {
    pub(crate) value: TokenStream,
    /// The value is one literal of text, which fields own and attributes only show.
    pub(crate) is_text: bool,
}

impl ClassAttribute {
    pub(crate) fn read(attribute: &Attribute) -> syn::Result<ClassAttribute> {
        let mut class = ClassAttribute::default();
        attribute.parse_nested_meta(|meta| {
            if meta.path.is_ident("name") {
                set(&mut class.name, &meta, meta.value()?.parse()?)
            } else if meta.path.is_ident("code") {
                set(&mut class.code, &meta, meta.value()?.parse()?)
            } else if meta.path.is_ident("kind") {
                set(&mut class.kind, &meta, meta.value()?.parse()?)
            } else if meta.path.is_ident("primary") {
                let fields = names(&meta)?;
                set(&mut class.primary, &meta, (place(&meta), fields))
            } else if meta.path.is_ident("index") {
                let mut index = IndexAttribute::new(place(&meta));
                meta.parse_nested_meta(|meta| index.part(&meta))?;
                if index.fields.is_empty() {
                    return Err(error_at(&meta, "the index needs its fields: index(fields(a, b))"));
                }
                class.indexes.push(index);
                Ok(())
            } else {
                Err(error_at(&meta, "expected name, code, kind, primary or index"))
            }
        })?;
        Ok(class)
    }
}

impl IndexAttribute {
    fn new(place: Span) -> IndexAttribute {
        IndexAttribute { place, name: None, fields: Vec::new(), unique: false, hash: false }
    }

    /// Reads the attribute of a field.
    pub(crate) fn read(attribute: &Attribute, field: &Ident) -> syn::Result<IndexAttribute> {
        let mut index = IndexAttribute::new(path_place(attribute));
        if !matches!(attribute.meta, Meta::Path(_)) {
            attribute.parse_nested_meta(|meta| {
                if meta.path.is_ident("fields") {
                    return Err(error_at(&meta,
                        "the index of a field has that field only: put one of several fields into #[class(..)]",
                    ));
                }
                index.part(&meta)
            })?;
        }
        index.fields = vec![field.clone()];
        Ok(index)
    }

    fn part(&mut self, meta: &ParseNestedMeta<'_>) -> syn::Result<()> {
        if meta.path.is_ident("name") {
            set(&mut self.name, meta, meta.value()?.parse()?)
        } else if meta.path.is_ident("fields") {
            self.fields = names(meta)?;
            Ok(())
        } else if meta.path.is_ident("unique") {
            self.unique = true;
            Ok(())
        } else if meta.path.is_ident("hash") {
            self.hash = true;
            Ok(())
        } else {
            Err(error_at(meta, "expected name, fields, unique or hash"))
        }
    }
}

impl DefaultAttribute {
    pub(crate) fn read(attribute: &Attribute) -> syn::Result<DefaultAttribute> {
        let value = attribute.meta.require_list()?.tokens.clone();
        let mut tokens = value.clone().into_iter();
        let is_text = match (tokens.next(), tokens.next()) {
            (None, _) => {
                let text = "the default needs a value: #[default_value(0)]";
                return Err(syn::Error::new(path_place(attribute), text));
            }
            (Some(TokenTree::Literal(one)), None) => syn::parse_str::<LitStr>(&one.to_string()).is_ok(),
            _ => false,
        };
        Ok(DefaultAttribute { value, is_text })
    }
}

/// Refuses anything behind the name of an attribute that takes nothing.
pub(crate) fn require_bare(attribute: &Attribute) -> syn::Result<()> {
    attribute.meta.require_path_only().map(drop)
}

/// Where an attribute's name stands.
pub(crate) fn path_place(attribute: &Attribute) -> Span {
    attribute.path().get_ident().map_or_else(Span::call_site, Ident::span)
}

fn error_at(meta: &ParseNestedMeta<'_>, text: &str) -> syn::Error {
    syn::Error::new(place(meta), text)
}

fn place(meta: &ParseNestedMeta<'_>) -> Span {
    meta.path.get_ident().map_or_else(Span::call_site, Ident::span)
}

fn set<T>(slot: &mut Option<T>, meta: &ParseNestedMeta<'_>, value: T) -> syn::Result<()> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(error_at(meta, "this is given twice")),
    }
}

fn names(meta: &ParseNestedMeta<'_>) -> syn::Result<Vec<Ident>> {
    let inside;
    parenthesized!(inside in meta.input);
    let names = Punctuated::<Ident, Token![,]>::parse_terminated(&inside)?;
    if names.is_empty() {
        return Err(error_at(meta, "at least one field is needed"));
    }
    Ok(names.into_iter().collect())
}
