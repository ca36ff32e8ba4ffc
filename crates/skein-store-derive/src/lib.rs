//! `#[derive(Object)]`: a struct as a class of `skein-store`. Used through that crate only, whose trait `Object`
//! documents the attributes.
//!
//! `declaration.rs` reads the struct and refuses what the store would refuse, at the attribute that is wrong; `expand.rs`
//! writes the implementation. Nothing here runs in a program that uses the store.

mod attribute;
mod declaration;
mod expand;
#[cfg(test)]
mod tests;

use proc_macro::TokenStream;

/// Implements `skein_store::Object` for a struct; that trait documents the attributes.
#[proc_macro_derive(Object, attributes(class, primary, auto, index, default_value))]
pub fn derive_object(input: TokenStream) -> TokenStream {
    derive(input.into()).unwrap_or_else(|error| error.to_compile_error()).into()
}

fn derive(input: proc_macro2::TokenStream) -> syn::Result<proc_macro2::TokenStream> {
    let declaration = declaration::Declaration::read(&syn::parse2(input)?)?;
    Ok(expand::expand(&declaration))
}
