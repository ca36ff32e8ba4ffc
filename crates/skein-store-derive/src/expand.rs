//! The implementation of `Object` for a checked declaration.
//!
//! Where the compiler must check a field's type, the tokens carry the place of that type, so that its error points there.

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;

use crate::declaration::{Declaration, Field, Index};

/// The implementation.
pub(crate) fn expand(class: &Declaration) -> TokenStream {
    let ident = &class.ident;
    let key = key_type(class);
    let build = build_class(class);
    let write_key = primary_fields(class).map(|field| {
        let (name, field_type) = (&field.ident, &field.field_type);
        quote_spanned!(field_type.span()=>
            <#field_type as ::skein_store::KeyType>::write_key(&self.#name, &mut key);)
    });
    let write = class.fields.iter().map(|field| {
        let (name, field_type) = (&field.ident, &field.field_type);
        quote_spanned!(field_type.span()=>
            <#field_type as ::skein_store::FieldType>::write(&self.#name, out);)
    });
    let read = class.fields.iter().map(|field| read_field(class, field));
    let auto = class.auto.then(|| set_auto_id(class));
    let checks = type_checks(class);
    let constants = index_constants(class);
    quote! {
        #checks
        #constants

        #[automatically_derived]
        impl ::skein_store::Object for #ident {
            type Key<'a> = #key;

            fn class() -> &'static ::skein_store::Class {
                static CLASS: ::std::sync::OnceLock<::skein_store::Class> = ::std::sync::OnceLock::new();
                CLASS.get_or_init(|| #build)
            }

            fn primary_key(&self) -> ::skein_store::Key {
                let mut key = ::skein_store::KeyBuilder::new();
                #(#write_key)*
                key.finish()
            }

            fn write(&self, out: &mut ::skein_store::RowWriter<'_>) {
                #(#write)*
            }

            fn read(
                row: &mut ::skein_store::RowReader<'_>,
            ) -> ::core::result::Result<Self, ::skein_store::RowFault> {
                ::core::result::Result::Ok(Self { #(#read)* })
            }

            #auto
        }
    }
}

fn primary_fields(class: &Declaration) -> impl Iterator<Item = &Field> {
    class.primary.iter().filter_map(|number| class.fields.get(*number))
}

fn key_type(class: &Declaration) -> TokenStream {
    let parts: Vec<TokenStream> = primary_fields(class)
        .map(|field| {
            let field_type = &field.field_type;
            quote_spanned!(field_type.span()=> <#field_type as ::skein_store::KeyType>::Ref<'a>)
        })
        .collect();
    match parts.as_slice() {
        [one] => one.clone(),
        several => quote!((#(#several,)*)),
    }
}

fn build_class(class: &Declaration) -> TokenStream {
    let (name, code, kind) = (&class.name, class.code, &class.kind);
    let fields = class.fields.iter().map(|field| {
        let (name, field_type) = (&field.name, &field.field_type);
        let declared = quote_spanned!(field_type.span()=>
            <#field_type as ::skein_store::FieldType>::field_type());
        match default_value(field) {
            None => quote!(.field(#name, #declared)),
            Some(value) => quote! {
                .field_with_default(#name, #declared, ::skein_store::FieldType::to_value(&#value))
            },
        }
    });
    let primary = primary_fields(class).map(|field| &field.name);
    let primary = if class.auto { quote!(.auto(#(#primary)*)) } else { quote!(.primary(&[#(#primary),*])) };
    let indexes = class.indexes.iter().map(|index| build_index(class, index));
    quote! {
        ::skein_store::Class::builder(#name, #code, ::skein_store::ClassKind::#kind)
            #(#fields)*
            #primary
            #(#indexes)*
            .build_derived()
    }
}

fn build_index(class: &Declaration, index: &Index) -> TokenStream {
    let method = format_ident!(
        "{}",
        match (index.unique, index.hash) {
            (false, false) => "ordered",
            (true, false) => "unique",
            (false, true) => "hash",
            (true, true) => "unique_hash",
        }
    );
    let name = &index.name;
    let fields = index.fields.iter().filter_map(|number| class.fields.get(*number)).map(|field| &field.name);
    quote!(.#method(#name, &[#(#fields),*]))
}

/// The declared default, as an expression of the field's type.
fn default_value(field: &Field) -> Option<TokenStream> {
    let default = field.default.as_ref()?;
    let (value, field_type) = (&default.value, &field.field_type);
    Some(if default.is_text {
        quote_spanned!(value.span()=> <#field_type as ::core::convert::From<&'static str>>::from(#value))
    } else {
        quote_spanned!(value.span()=> { let value: #field_type = #value; value })
    })
}

fn read_field(class: &Declaration, field: &Field) -> TokenStream {
    let (class, ident, name, field_type) = (&class.name, &field.ident, &field.name, &field.field_type);
    match default_value(field) {
        None => quote!(#ident: row.field::<#field_type>(#class, #name)?,),
        Some(value) => quote!(#ident: row.field_or::<#field_type>(#class, #name, || #value)?,),
    }
}

fn set_auto_id(class: &Declaration) -> TokenStream {
    let set = primary_fields(class).map(|field| {
        let name = &field.ident;
        quote_spanned!(field.field_type.span()=> self.#name = id;)
    });
    quote! {
        fn set_auto_id(&mut self, id: u64) {
            #(#set)*
        }
    }
}

/// What the store would refuse when the class is first used, refused by the compiler.
fn type_checks(class: &Declaration) -> TokenStream {
    let depths = class.fields.iter().map(|field| {
        let field_type = &field.field_type;
        quote_spanned! {field_type.span()=>
            assert!(
                <#field_type as ::skein_store::FieldType>::DEPTH <= ::skein_store::TYPE_DEPTH_MAX,
                "too many optionals and vectors lie inside each other"
            );
        }
    });
    let keys = class.indexes.iter().flat_map(|index| &index.fields).filter_map(|number| {
        let field_type = &class.fields.get(*number)?.field_type;
        Some(quote_spanned!(field_type.span()=> is_key::<#field_type>();))
    });
    quote! {
        const _: () = {
            const fn is_key<T: ::skein_store::KeyType>() {}
            #(#depths)*
            #(#keys)*
        };
    }
}

fn index_constants(class: &Declaration) -> TokenStream {
    if class.indexes.is_empty() {
        return TokenStream::new();
    }
    let (ident, visibility) = (&class.ident, &class.visibility);
    let constants = class.indexes.iter().enumerate().map(|(number, index)| {
        let constant = format_ident!("INDEX_{}", index.name.to_ascii_uppercase());
        let text = format!("The number of the index `{}`.", index.name);
        quote! {
            #[doc = #text]
            #[allow(dead_code, reason = "an index need not be searched by name")]
            #visibility const #constant: usize = #number;
        }
    });
    quote! {
        #[automatically_derived]
        impl #ident {
            #(#constants)*
        }
    }
}
