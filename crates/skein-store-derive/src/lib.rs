//! `#[derive(Object)]`: a struct as a class of `skein-store`. Used through that crate only.
