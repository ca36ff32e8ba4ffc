//! Keys: the order of the bytes is the order of the values.

use proptest::prelude::*;
use skein_store::{Class, Key, Type, Value};

use crate::any;

fn typed_pair() -> impl Strategy<Value = (Vec<Type>, Vec<Value>, Vec<Value>)> {
    proptest::collection::vec(any::keyable(), 1..5).prop_flat_map(|types| {
        let (a, b) = (any::values_of(&types), any::values_of(&types));
        // The second shares a beginning with the first, so that later fields decide.
        let shared = (a, b, 0..=types.len()).prop_map(|(a, b, shared)| {
            let b = a.iter().take(shared).chain(b.iter().skip(shared)).cloned().collect();
            (a, b)
        });
        (Just(types), shared).prop_map(|(types, (a, b))| (types, a, b))
    })
}

fn key(class: &Class, values: &[Value]) -> Key {
    class.key_from_values(values).expect("the values fit")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn keys_are_ordered_as_their_values((types, a, b) in typed_pair()) {
        let class = any::keyed(&types);
        let (key_a, key_b) = (key(&class, &a), key(&class, &b));
        prop_assert_eq!(key_a.cmp(&key_b), a.cmp(&b));
        prop_assert_eq!(key_a == key_b, a == b);
    }

    #[test]
    fn a_key_begins_with_the_key_of_its_first_fields((types, a, b) in typed_pair(), length in 0..5usize) {
        let class = any::keyed(&types);
        let length = length.min(types.len());
        let prefix = key(&class, &b[..length]);
        let whole = key(&class, &a);
        let is_inside = a[..length] == b[..length];
        prop_assert_eq!(whole.starts_with(&prefix), is_inside);
        let is_in_range = whole >= prefix && prefix.prefix_end().is_none_or(|end| whole < end);
        prop_assert_eq!(is_in_range, is_inside);
    }

    #[test]
    fn no_whole_key_begins_with_another((types, a, b) in typed_pair()) {
        let class = any::keyed(&types);
        let (key_a, key_b) = (key(&class, &a), key(&class, &b));
        prop_assert_eq!(key_a.starts_with(&key_b), a == b);
    }

    #[test]
    fn a_key_gives_its_values_back((types, a, _) in typed_pair(), length in 0..5usize) {
        let class = any::keyed(&types);
        let values = &a[..length.min(types.len())];
        prop_assert_eq!(class.key_values(&key(&class, values)), Some(values.to_vec()));
    }

    #[test]
    fn any_bytes_are_a_key_or_none(types in proptest::collection::vec(any::keyable(), 1..4), bytes: Vec<u8>) {
        let class = any::keyed(&types);
        let found = Key::from_slice(&bytes);
        if let Some(values) = class.key_values(&found) {
            prop_assert_eq!(key(&class, &values), found);
        }
    }

    #[test]
    fn keys_compare_as_slices(a in short_bytes(), b in short_bytes()) {
        let (key_a, key_b) = (Key::from_slice(&a), Key::from_slice(&b));
        prop_assert_eq!(key_a.as_slice(), &a[..]);
        prop_assert_eq!(key_a.len(), a.len());
        prop_assert_eq!(key_a.cmp(&key_b), a.cmp(&b));
        prop_assert_eq!(key_a == key_b, a == b);
        prop_assert_eq!(hash(&key_a), hash(&a[..]));
        prop_assert!(key_a < key_a.successor());
        prop_assert!(key_b <= key_a || key_b >= key_a.successor());
    }
}

/// Around the length up to which keys are kept in place, with zeros at the end, which pad those.
fn short_bytes() -> impl Strategy<Value = Vec<u8>> {
    let byte = proptest::sample::select(vec![0u8, 0, 1, 0xff]);
    prop_oneof![proptest::collection::vec(byte.clone(), 0..3), proptest::collection::vec(byte, 20..25)]
}

fn hash<T: std::hash::Hash + ?Sized>(value: &T) -> u64 {
    use std::hash::BuildHasher;
    foldhash::fast::FixedState::default().hash_one(value)
}

#[test]
fn a_long_key_built_in_pieces_is_whole() {
    let mut builder = skein_store::KeyBuilder::new();
    let mut expected = Vec::new();
    for number in 0..100u64 {
        builder.push_u64(number);
        expected.extend_from_slice(&number.to_be_bytes());
    }
    assert_eq!(builder.finish().as_slice(), expected);
}

#[test]
fn the_start_of_a_text_is_a_prefix_of_all_that_begin_so() {
    let start = |text: &str| {
        let mut builder = skein_store::KeyBuilder::new();
        builder.push_bytes_start(text.as_bytes());
        builder.finish()
    };
    let class = any::keyed(&[Type::String]);
    for (text, begins) in [("ab", "a"), ("a\0b", "a\0"), ("a", ""), ("a\x01", "a\x01")] {
        assert!(key(&class, &[text.into()]).starts_with(&start(begins)), "{text:?} begins with {begins:?}");
    }
    for (text, other) in [("a", "ab"), ("a\x01", "a\0"), ("", "\0"), ("b", "a")] {
        assert!(!key(&class, &[text.into()]).starts_with(&start(other)), "{text:?} begins with {other:?}");
    }
}

#[test]
fn the_last_prefixes_have_no_end() {
    assert_eq!(Key::EMPTY.prefix_end(), None);
    assert_eq!(Key::from_slice(&[0xff, 0xff]).prefix_end(), None);
    assert_eq!(Key::from_slice(&[1, 0xff]).prefix_end(), Some(Key::from_slice(&[2])));
}

#[test]
fn a_key_is_shown_with_the_names_of_its_fields() {
    let class = any::keyed(&[Type::String, Type::I8]);
    assert_eq!(class.describe_key(&key(&class, &["a\"b".into(), Value::I8(-2)])), r#"f0 = "a\"b", f1 = -2"#);
    assert_eq!(class.describe_key(&Key::from_slice(&[1])), "Key(01)");
}
