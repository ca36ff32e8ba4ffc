//! DDL text and catalogues: what is printed is parsed, and nothing makes the parser panic.

use proptest::prelude::*;
use proptest::sample::{Index as Pick, select};
use skein_store::{DDL_BYTES_MAX, DDL_FAULTS_MAX, Schema};

use crate::any;

const PIECES: [&str; 44] = [
    "declare",
    "database",
    "class",
    "replicated",
    "local",
    "persistent",
    "struct",
    "A",
    "id",
    "x",
    "autoid",
    "unique",
    "nonunique",
    "voluntary",
    "tree",
    "hash",
    "trie",
    "event",
    "uint4",
    "string",
    "optional",
    "vector",
    "unsigned",
    "desc",
    "none",
    "true",
    "{",
    "}",
    "<",
    ">",
    "[",
    "]",
    ";",
    ",",
    "=",
    "1000",
    "-1.5e9",
    "\"t\\u{41}\"",
    "x\"0a\"",
    "\"open",
    "/* open",
    "// line\n",
    "$",
    "é",
];

/// Every fault stands inside the text, and there is at least one.
fn assert_parsed_or_refused(text: &str) -> Result<(), TestCaseError> {
    let Err(faults) = Schema::parse_ddl(text) else { return Ok(()) };
    prop_assert!(!faults.0.is_empty() && faults.0.len() <= DDL_FAULTS_MAX);
    let lines: Vec<&str> = text.split('\n').collect();
    for fault in &faults.0 {
        let line = lines.get(fault.line as usize - 1);
        prop_assert!(line.is_some(), "{} is not in the text", fault);
        let length = line.map_or(0, |line| line.chars().count());
        prop_assert!(
            fault.column >= 1 && fault.column as usize <= length + 1,
            "{} is not in its line",
            fault
        );
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn a_printed_schema_parses_to_itself(schema in any::any_schema()) {
        let text = schema.to_ddl();
        prop_assert_eq!(Schema::parse_ddl(&text), Ok(schema), "{}", text);
    }

    #[test]
    fn a_schema_in_bytes_is_itself(schema in any::any_schema()) {
        prop_assert_eq!(Schema::from_bytes(&schema.to_bytes()), Ok(schema));
    }

    #[test]
    fn damaged_catalogues_are_schemas_or_refused(schema in any::any_schema(), place: Pick, byte: u8) {
        let mut bytes = schema.to_bytes();
        let place = place.index(bytes.len());
        bytes[place] = byte;
        if let Ok(read) = Schema::from_bytes(&bytes) {
            prop_assert_eq!(Schema::from_bytes(&read.to_bytes()), Ok(read));
        }
    }

    #[test]
    fn any_bytes_are_a_catalogue_or_refused(mut bytes: Vec<u8>) {
        bytes.insert(0, 1);
        if let Ok(read) = Schema::from_bytes(&bytes) {
            prop_assert_eq!(Schema::from_bytes(&read.to_bytes()), Ok(read));
        }
    }

    #[test]
    fn any_text_is_parsed_or_refused(text: String) {
        assert_parsed_or_refused(&text)?;
    }

    #[test]
    fn any_pieces_of_the_language_are_parsed_or_refused(
        pieces in proptest::collection::vec(select(&PIECES[..]), 0..60),
    ) {
        assert_parsed_or_refused(&pieces.join(" "))?;
        assert_parsed_or_refused(&pieces.concat())?;
        let class = format!("declare database d; class A {{ autoid; {} }}", pieces.join(" "));
        assert_parsed_or_refused(&class)?;
    }

    #[test]
    fn a_damaged_text_is_parsed_or_refused(
        schema in any::any_schema(),
        place: Pick,
        length in 0..8usize,
        piece in select(&PIECES[..]),
    ) {
        let letters: Vec<char> = schema.to_ddl().chars().collect();
        let place = place.index(letters.len());
        let head: String = letters[..place].iter().collect();
        let tail: String = letters.iter().skip(place + length).collect();
        assert_parsed_or_refused(&format!("{head}{piece}{tail}"))?;
    }
}

#[test]
fn deep_and_long_texts_are_refused() {
    let deep = format!("declare database d; class A {{ {} uint4 x; }}", "optional ".repeat(100_000));
    assert_eq!(Schema::parse_ddl(&deep).expect_err("too deep").0.len(), 1);
    let braces = "{".repeat(100_000);
    assert!(Schema::parse_ddl(&braces).is_err());
    let many = format!("declare database d; class A {{ {} }}", "float f; ".repeat(1000));
    assert_eq!(Schema::parse_ddl(&many).expect_err("too many faults").0.len(), DDL_FAULTS_MAX);
    let long = " ".repeat(DDL_BYTES_MAX + 1);
    assert_eq!(Schema::parse_ddl(&long).expect_err("too long").0.len(), 1);
}
