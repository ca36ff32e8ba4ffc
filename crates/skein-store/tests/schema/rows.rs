//! Rows: what is written is read, and nothing else is.

use proptest::prelude::*;
use proptest::sample::Index as Pick;
use skein_store::{Class, ClassKind, Row, RowFaultKind, Type, Value};

use crate::any;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn a_row_is_read_as_it_was_written((class, values) in any::class_and_values()) {
        let row = class.encode_row(&values).expect("the values fit");
        prop_assert_eq!(class.check_row(&row), Ok(()));
        prop_assert_eq!(class.decode_row(&row), Ok(values.clone()));
        prop_assert_eq!(class.values(&row), Ok(values));
    }

    #[test]
    fn keys_of_a_row_are_those_of_its_values((class, values) in any::class_and_values()) {
        let row = class.encode_row(&values).expect("the values fit");
        let pick = |fields: &[usize]| fields.iter().map(|field| values[*field].clone()).collect::<Vec<_>>();
        prop_assert_eq!(class.key_of_row(&row).ok(), class.key_from_values(&pick(&class.primary.fields)).ok());
        for (number, index) in class.indexes.iter().enumerate() {
            let picked = pick(&index.fields);
            let key = class.index_key_of_row(number, &row).expect("the row is sound");
            prop_assert_eq!(key.is_none(), picked.contains(&Value::None));
            if let Some(key) = key {
                prop_assert_eq!(&key, &class.index_key_from_values(number, &picked).expect("the values fit"));
                prop_assert_eq!(class.index_key_values(number, &key), Some(picked));
            }
        }
    }

    /// Bytes that are read are the one encoding of what was read, and checking agrees with reading.
    #[test]
    fn any_bytes_are_a_row_or_refused(class in any::any_class(1), mut bytes: Vec<u8>) {
        bytes.insert(0, 1);
        assert_row_or_refused(&class, &bytes)?;
    }

    #[test]
    fn damaged_rows_are_rows_or_refused(
        (class, values) in any::class_and_values(),
        place: Pick,
        byte: u8,
        cut: Pick,
    ) {
        let mut bytes = class.encode_row(&values).expect("the values fit").to_vec();
        let place = place.index(bytes.len());
        bytes[place] = byte;
        assert_row_or_refused(&class, &bytes)?;
        bytes.truncate(cut.index(bytes.len()));
        assert_row_or_refused(&class, &bytes)?;
    }

    #[test]
    fn rows_that_end_before_a_field_have_its_default(
        (class, values) in any::class_and_values(),
        length in 1..6usize,
    ) {
        let length = length.min(class.fields.len());
        let mut shorter = Class::builder("A", 1, ClassKind::Local);
        for field in &class.fields[..length] {
            shorter = shorter.field(&field.name, field.field_type.clone());
        }
        let shorter = shorter.primary(&["f0"]).build().expect("the class is sound");
        let row = shorter.encode_row(&values[..length]).expect("the values fit");
        let defaults: Option<Vec<Value>> =
            class.fields[length..].iter().map(skein_store::Field::default_value).collect();
        match defaults {
            Some(defaults) => {
                let expected: Vec<Value> = values[..length].iter().cloned().chain(defaults).collect();
                prop_assert_eq!(class.decode_row(&row), Ok(expected.clone()));
                let rewritten = class.encode_row(&expected).expect("the values fit");
                prop_assert_eq!(class.key_of_row(&row), class.key_of_row(&rewritten));
                for number in 0..class.indexes.len() {
                    let key = class.index_key_of_row(number, &row);
                    prop_assert_eq!(key, class.index_key_of_row(number, &rewritten));
                }
            }
            None => {
                let kind = class.check_row(&row).map_err(|fault| fault.kind());
                prop_assert_eq!(kind, Err(RowFaultKind::Truncated));
                prop_assert!(class.decode_row(&row).is_err());
            }
        }
    }

    #[test]
    fn values_of_another_type_are_refused((class, mut values) in any::class_and_values(), place: Pick) {
        let place = place.index(values.len());
        let wrong = if matches!(class.fields[place].field_type, Type::Bool) { Value::U8(0) } else { Value::Bool(true) };
        let fits = class.fields[place].field_type.accepts(&wrong);
        values[place] = wrong;
        prop_assert_eq!(class.encode_row(&values).is_ok(), fits);
    }
}

fn assert_row_or_refused(class: &Class, bytes: &[u8]) -> Result<(), TestCaseError> {
    let read = class.decode_row(bytes);
    prop_assert_eq!(class.check_row(bytes), read.as_ref().map(|_| ()).map_err(Clone::clone));
    let row = Row::from_slice(bytes);
    prop_assert_eq!(&class.values(&row), &read);
    let key = class.key_of_row(bytes);
    let index_keys: Vec<_> =
        (0..class.indexes.len()).map(|number| class.index_key_of_row(number, bytes)).collect();
    if let Ok(values) = read {
        prop_assert!(key.is_ok() && index_keys.iter().all(Result::is_ok));
        let written = class.encode_row(&values).expect("values that were read fit");
        // A row that ends early reads as the longer one that has the defaults.
        prop_assert!(written.starts_with(bytes), "{:?} is not the start of {:?}", bytes, written);
    }
    Ok(())
}
