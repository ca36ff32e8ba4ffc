//! What is refused, with what words, and that the error points at the place that is wrong.

/// The errors for a struct, each with the text it points at.
fn errors(source: &str) -> Vec<(String, String)> {
    let tokens = source.parse().expect("the source is Rust");
    let error = crate::derive(tokens).expect_err("the struct is no class");
    let pointed = |error: syn::Error| {
        let (start, end) = (error.span().start(), error.span().end());
        let line = source.lines().nth(start.line - 1).unwrap_or_default();
        // Columns count characters.
        let end = if end.line == start.line { end.column } else { line.len() };
        let text = line.chars().take(end).skip(start.column).collect();
        (text, error.to_string())
    };
    error.into_iter().map(pointed).collect()
}

/// The one error for a struct: what it points at, and how it begins.
fn assert_error(source: &str, at: &str, begins: &str) {
    let found = errors(source);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].0, at, "{found:?}");
    assert!(found[0].1.starts_with(begins), "{found:?}");
}

#[test]
fn a_sound_struct_is_expanded() {
    let source = r#"#[class(code = 3, name = "acc", kind = "local", index(name = "x", fields(b, a), unique))]
        pub struct Account { #[primary] a: u64, #[index(hash)] b: String, #[default_value("none")] c: String }"#;
    let text = crate::derive(source.parse().expect("Rust")).expect("a class").to_string();
    assert!(text.contains("impl :: skein_store :: Object for Account"), "{text}");
    assert!(text.contains("pub const INDEX_BY_B : usize = 1"), "{text}");
}

#[test]
fn the_class_attribute_is_needed_once_and_with_a_code() {
    assert_error("struct A { #[primary] a: u8 }", "A", "the class needs a code");
    assert_error("#[class(kind = \"local\")] struct A { #[primary] a: u8 }", "A", "the class needs a code");
    let twice = "#[class(code = 1)]\n#[class(code = 2)]\nstruct A { #[primary] a: u8 }";
    assert_error(twice, "class", "#[class(..)] is given twice");
    assert_error("#[class(code = 1, code = 2)] struct A { #[primary] a: u8 }", "code", "this is given twice");
}

#[test]
fn codes_kinds_and_names_are_checked() {
    assert_error("#[class(code = 0)] struct A { #[primary] a: u8 }", "0", "0 is no class code");
    assert_error("#[class(code = 65536)] struct A { #[primary] a: u8 }", "65536", "65536 is no class code");
    let kind = "#[class(code = 1, kind = \"global\")] struct A { #[primary] a: u8 }";
    assert_error(kind, "\"global\"", "\"global\" is no kind");
    let name = "#[class(code = 1, name = \"a b\")] struct A { #[primary] a: u8 }";
    assert_error(name, "\"a b\"", "\"a b\" is not a name");
    let field = "#[class(code = 1)] struct A { #[primary] größe: u8 }";
    assert_error(field, "größe", "\"größe\" is not a name");
    let word = "#[class(code = 1, sort = \"x\")] struct A { #[primary] a: u8 }";
    assert_error(word, "sort", "expected name, code, kind, primary or index");
}

#[test]
fn the_primary_key_is_needed_once() {
    assert_error("#[class(code = 1)] struct A { a: u8 }", "A", "the class needs a primary key");
    let both = "#[class(code = 1)] struct A { #[auto] a: u64, #[primary] b: u8 }";
    assert_error(both, "a", "the number the store gives is the whole primary key");
    let autos = "#[class(code = 1)] struct A { #[auto] a: u64, #[auto] b: u64 }";
    assert_error(autos, "auto", "the store numbers one field only");
    let given = "#[class(code = 1, primary(a))] struct A { a: u64, #[primary] b: u64 }";
    assert_error(given, "b", "the primary key is given");
    let unknown = "#[class(code = 1, primary(c))] struct A { a: u64 }";
    assert_error(unknown, "c", "the struct has no field c");
    let long = "#[class(code = 1, primary(a, b, c, d, e, f, g, h, i))]
        struct A { a: u8, b: u8, c: u8, d: u8, e: u8, f: u8, g: u8, h: u8, i: u8 }";
    assert_error(long, "primary", "a primary key has at most 8 fields");
}

#[test]
fn indexes_are_checked() {
    let class = |index: &str| format!("#[class(code = 1, {index})] struct A {{ #[primary] a: u8, b: u8 }}");
    assert_error(&class("index(fields(x))"), "x", "the struct has no field x");
    assert_error(&class("index(fields(b, b))"), "b", "a key has each field only once");
    assert_error(&class("index(name = \"i\")"), "index", "the index needs its fields");
    assert_error(&class("index(name = \"primary\", fields(b))"), "\"primary\"", "this name is kept");
    assert_error(&class("index(fields(b)), index(fields(b))"), "index", "there is already an index by_b");
    assert_error(&class("index(fields(b), sorted)"), "sorted", "expected name, fields, unique or hash");
    let field = "#[class(code = 1)] struct A { #[primary] a: u8, #[index(fields(a))] b: u8 }";
    assert_error(field, "fields", "the index of a field has that field only");
}

#[test]
fn only_structs_with_named_fields_and_without_parameters_are_classes() {
    assert_error("#[class(code = 1)] enum A { B }", "A", "only a struct can be a class");
    assert_error("#[class(code = 1)] struct A(u8);", "A", "a class needs named fields");
    let parameters = "#[class(code = 1)] struct A<T> { #[primary] a: T }";
    assert_error(parameters, "T", "a class cannot have parameters");
}

#[test]
fn attributes_of_fields_are_checked() {
    let class = |field: &str| format!("#[class(code = 1)] struct A {{ #[primary] a: u8, {field} b: u8 }}");
    assert_error(&class("#[default_value()]"), "default_value", "the default needs a value");
    assert_error(&class("#[default_value(1)] #[default_value(2)]"), "default_value", "this is given twice");
    assert_error(&class("#[class(code = 2)]"), "class", "#[class(..)] stands on the struct");
    let auto = "#[class(code = 1)] struct A { #[auto] #[default_value(1)] a: u64 }";
    assert_error(auto, "a", "the store gives this field its number");
    let marked = "#[class(code = 1)] struct A { #[primary(first)] a: u8 }";
    assert_error(marked, "(", "unexpected token");
}

#[test]
fn all_errors_are_shown_at_once() {
    let source = "#[class(code = 0, kind = \"x\", index(fields(y)))] struct A { #[primary] a: u8 }";
    assert_eq!(errors(source).len(), 3);
}
