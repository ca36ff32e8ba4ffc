//! The language by example, and the words and places of its faults. The properties are in `tests/`.

use crate::schema::{Class, ClassKind, Schema};
use crate::value::{Time, Type, Value};

const BANK: &str = r#"
    // The bank.
    declare database bank;

    /* Accounts,
       numbered. */
    replicated class Account = 7 {
        autoid id;
        string owner;
        optional string mail = none;
        vector<uint2> tags;
        int8 balance = -3;
        char<3> currency = "e\u{75}r\n\"";
        datetime seen = 5;
        blob photo = x"00fF";
        double rate = 1.5e-3;

        tree<owner, id> by_owner;
        voluntary unique hash<mail>[1000] by_mail;
    };

    compact local class Seat {
        unsigned<4> number;
        nullable boolean taken = true;
        tree<taken> by_taken[50];
        unique tree<number> by_number;
        unique tree<taken, number asc> other;
    }
"#;

fn bank() -> Schema {
    let optional = |inner| Type::Optional(Box::new(inner));
    let account = Class::builder("Account", 7, ClassKind::Replicated)
        .field("id", Type::U64)
        .field("owner", Type::String)
        .field_with_default("mail", optional(Type::String), Value::None)
        .field("tags", Type::Vector(Box::new(Type::U16)))
        .field_with_default("balance", Type::I64, Value::I64(-3))
        .field_with_default("currency", Type::String, "eur\n\"".into())
        .field_with_default("seen", Type::Time, Value::Time(Time(5)))
        .field_with_default("photo", Type::Bytes, Value::Bytes(vec![0, 255].into()))
        .field_with_default("rate", Type::F64, Value::F64(0.0015))
        .auto("id")
        .ordered("by_owner", &["owner", "id"])
        .unique_hash("by_mail", &["mail"]);
    let seat = Class::builder("Seat", 8, ClassKind::Local)
        .field("number", Type::U32)
        .field_with_default("taken", optional(Type::Bool), Value::Bool(true))
        .primary_named("by_number", &["number"])
        .ordered("by_taken", &["taken"])
        .unique("other", &["taken", "number"]);
    let build = |class: crate::ClassBuilder| class.build().expect("the class is sound");
    Schema::builder("bank").class(build(account)).class(build(seat)).build().expect("sound")
}

#[test]
fn a_text_is_the_schema_it_declares() {
    assert_eq!(Schema::parse_ddl(BANK), Ok(bank()));
}

#[test]
fn a_schema_prints_as_text_that_parses_to_it() {
    let text = bank().to_ddl();
    assert_eq!(Schema::parse_ddl(&text), Ok(bank()), "{text}");
    let lines = "    int8 balance = -3;\n    string currency = \"eur\\n\\\"\";\n    datetime seen = 5;\n    \
                 blob photo = x\"00ff\";\n    double rate = 0.0015;\n";
    assert!(text.contains(lines), "{text}");
}

#[test]
fn every_name_of_a_type_is_known() {
    let names = [
        ("bool boolean", Type::Bool),
        ("u8 uint1 unsigned<1>", Type::U8),
        ("u16 uint2 unsigned<2>", Type::U16),
        ("u32 uint4 unsigned<4>", Type::U32),
        ("u64 uint8 unsigned<8>", Type::U64),
        ("i8 int1 signed<1>", Type::I8),
        ("i16 int2 signed<2>", Type::I16),
        ("i32 int4 signed<4>", Type::I32),
        ("i64 int8 signed<8>", Type::I64),
        ("f64 double", Type::F64),
        ("string char<9> string<9> varchar<9>", Type::String),
        ("bytes blob binary<9> varbinary<9>", Type::Bytes),
        ("time date datetime", Type::Time),
    ];
    for (words, field_type) in &names {
        for word in words.split(' ') {
            let text = format!("declare database d; class A {{ {word} id; unique tree<id> p; }}");
            let schema = Schema::parse_ddl(&text).expect(&text);
            assert_eq!(schema.classes()[0].fields[0].field_type, *field_type, "{word}");
        }
    }
}

#[test]
fn words_of_the_language_can_be_names() {
    let text = "declare database database; class class = 3 { uint4 unique; string tree; autoid autoid;
                tree<tree, unique> hash; }";
    let schema = Schema::parse_ddl(text).expect(text);
    assert_eq!(schema.class_named("class").map(|class| class.fields.len()), Some(3));
    assert_eq!(Schema::parse_ddl(&schema.to_ddl()), Ok(schema));
}

#[test]
fn the_primary_key_is_the_named_or_the_first_unique_tree_or_the_autoid() {
    let primary = |members: &str| {
        let text = format!("declare database d; class A {{ uint4 a; uint4 b; {members} }}");
        let class = Schema::parse_ddl(&text).expect(&text).classes()[0].clone();
        (class.primary.name.clone(), class.primary.fields.clone(), class.primary.auto)
    };
    let by = |name: &str, fields: &[usize]| (name.to_owned(), fields.to_vec(), false);
    assert_eq!(primary("tree<b> x; unique tree<a> y; unique tree<b> z;"), by("y", &[0]));
    assert_eq!(primary("unique tree<a> y; unique tree<b, a> primary;"), by("primary", &[1, 0]));
    let auto = |field| ("primary".to_owned(), vec![field], true);
    assert_eq!(primary("autoid n; unique tree<a> y;"), auto(2));
    assert_eq!(primary("unique tree<a> y; autoid[1000];"), auto(0));
}

#[test]
fn codes_count_on_from_the_last_one() {
    let class = |name: &str| format!("class {name} {{ autoid; }}");
    let text = format!("declare database d; {} {} {}", class("A"), class("B = 9"), class("C"));
    let schema = Schema::parse_ddl(&text).expect(&text);
    let codes: Vec<u16> = schema.classes().iter().map(|class| class.id.0).collect();
    assert_eq!(codes, [1, 9, 10]);
}

/// The faults of a class with these members, which begin at line 2, column 1.
fn member_faults(members: &str) -> Vec<String> {
    let text = format!("declare database d; class A {{ uint4 id; unique tree<id> p;\n{members}\n}}");
    let faults = Schema::parse_ddl(&text).expect_err(&text);
    faults.0.iter().map(ToString::to_string).collect()
}

fn assert_member_fault(members: &str, column: u32, begins: &str) {
    let faults = member_faults(members);
    assert_eq!(faults.len(), 1, "{faults:?}");
    let expected = format!("line 2, column {column}: {begins}");
    assert!(faults[0].starts_with(&expected), "{members}: {faults:?} is not {expected}");
}

#[test]
fn what_other_databases_have_is_refused_with_the_reason() {
    assert_member_fault("trie<id> t;", 1, "`trie`: there is no index by prefix of its own");
    assert_member_fault("unique trigram<id> t;", 8, "`trigram`: there is no index for parts of text");
    assert_member_fault("rtree<id> t;", 1, "`rtree`: ");
    assert_member_fault("unique userdef tree<id> t;", 8, "`userdef`: ");
    assert_member_fault("list;", 1, "`list`: objects can always be scanned");
    assert_member_fault("event <new> created;", 1, "`event`: changes are followed");
    assert_member_fault("oid;", 1, "`oid`: objects have no identity");
    assert_member_fault("float f;", 1, "`float`: floats have 64 bits here: use double");
    assert_member_fault("ref r;", 1, "`ref`: objects do not point");
    assert_member_fault("uint4 a[10];", 8, "there are no arrays of fixed length: use vector<uint4> a;");
    assert_member_fault("tree<id desc> t;", 9, "keys go upwards only");
    assert_member_fault("voluntary tree<id> t;", 1, "`voluntary`: ");
    let text = "declare database d; struct S { uint4 a; }; persistent class A { autoid; }";
    let faults = Schema::parse_ddl(text).expect_err(text).to_string();
    let expected = "line 1, column 21: `struct`: there are no structures: put their fields into the class\n\
        line 1, column 44: `persistent`: durability is chosen when the store is opened, not for a class: \
        remove the word";
    assert_eq!(faults, expected);
}

#[test]
fn slips_are_shown_where_they_are() {
    assert_member_fault("strin s;", 1, "`strin` is no type: use boolean");
    assert_member_fault("string;", 7, "expected the name of the field, found `;`");
    assert_eq!(member_faults("string s\n"), ["line 4, column 1: expected `;`, found `}`"]);
    assert_member_fault("unsigned<3> u;", 9, "unsigned numbers have 1, 2, 4 or 8 bytes");
    assert_member_fault("uint1 u = 256;", 11, "the default of a uint1 is a number from 0 to 255");
    assert_member_fault("double d = 1e999;", 12, "the default of a double is a number");
    assert_member_fault("string s = 5;", 12, "the default of a string is text in quotes");
    assert_member_fault("optional optional uint1 o;", 10, "an optional cannot hold an optional");
    assert_member_fault("string id;", 8, "there is already a field id");
    assert_member_fault("tree<no> t;", 6, "class A has no field no");
    assert_member_fault("tree<id, id> t;", 10, "id is in this key already");
    assert_member_fault("tree<id> p;", 10, "there is already a key p");
    assert_member_fault("hash<id> primary;", 10, "the primary key must be a `unique tree`");
    assert_member_fault("vector<uint1> v; tree<v> t;", 23, "v is a vector");
    assert_member_fault("blob b = x\"0\";", 10, "bytes are written as pairs");
    assert_member_fault("blob größe;", 6, "`größe` is not a name");
    assert_member_fault("blob b; $", 9, "'$' has no meaning here");
}

#[test]
fn all_faults_are_reported_together() {
    let faults = member_faults("uint3 a; string b; float c;\ntree<d> t; event { new; }; uint1 id;\n uint4 e");
    let places: Vec<&str> = faults.iter().filter_map(|fault| fault.split(':').next()).collect();
    // The field d may be one of those that could not be read: its absence is no fault of its own.
    let expected = [
        "line 2, column 1",
        "line 2, column 20",
        "line 3, column 12",
        "line 3, column 34",
        "line 5, column 1",
    ];
    assert_eq!(places, expected, "{faults:?}");
}

#[test]
fn texts_without_a_database_or_an_end_are_refused() {
    let faults = |text: &str| Schema::parse_ddl(text).expect_err(text).to_string();
    let unnamed = "line 1, column 1: the database has no name: add `declare database NAME;`";
    assert_eq!(faults(""), unnamed);
    let open = faults("declare database d; class A { autoid;");
    assert_eq!(open, "line 1, column 38: class A does not end: close it with }");
    let twice = faults("declare database a; declare database b;");
    assert_eq!(twice, "line 1, column 38: the database is declared twice: remove one declaration");
    let comment = faults("declare database a; /* open");
    assert_eq!(comment, "line 1, column 21: this comment does not end: close it with */");
    let code =
        faults("declare database a; class A = 0 { autoid; } class B = 4 { autoid; } class C = 4 { autoid; }");
    assert!(code.contains("a class code is a number from 1 to 65535"), "{code}");
    assert!(code.contains("class C has the code 4, which B has already"), "{code}");
}

#[test]
fn the_documentation_parses_and_what_it_refuses_is_refused() {
    let document = include_str!("../../../../docs/store/schema.md");
    let example = document.split("```ddl\n").nth(1).and_then(|rest| rest.split("```").next());
    let schema = Schema::parse_ddl(example.expect("there is an example")).expect("the example is sound");
    assert_eq!(schema.class_named("seat").map(|class| class.primary.fields.clone()), Some(vec![1, 0]));
    let refused = document.split("what to use instead: ").nth(1).and_then(|rest| rest.split(", wide").next());
    let words: Vec<&str> = refused.expect("there is a list").split('`').skip(1).step_by(2).collect();
    assert_eq!(words.len(), 15, "{words:?}");
    for word in words {
        let member = if word == "desc" { "tree<id desc>".to_owned() } else { format!("{word} <id>") };
        let faults = member_faults(&format!("{member} x;"));
        assert!(!faults[0].contains("is no type"), "{faults:?}");
    }
}
