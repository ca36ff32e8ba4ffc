//! The text of a store: a line with the version of the text and the schema, a line for each object, a line at the end.
//!
//! ```text
//! {"skein_dump":1,"ddl":"declare database …"}          with "class":"…" when it is of one class only
//! {"class":"session","row":{"number":1, …}}
//! {"rows":1}
//! ```
//!
//! Classes come by their codes and objects by their keys, so that equal stores give equal texts. The last line tells a
//! whole text from one that broke off.

use std::io::Write;

use anyhow::{Context, anyhow};
use serde_json::Value as Json;
use skein_store::{Class, Snapshot};

use super::json::to_json;
use crate::output::print_stream;

/// The version of the text that is written, and the only one that is read.
pub(super) const DUMP_FORMAT: u64 = 1;

/// Writes the state to the standard output, or only the class of this name.
pub(super) fn print(snapshot: &Snapshot, only: Option<&str>) -> anyhow::Result<()> {
    let classes = snapshot.schema().classes();
    let chosen: Vec<&Class> = match only {
        None => classes.iter().map(|class| &**class).collect(),
        Some(name) => vec![snapshot.schema().class_named(name).ok_or_else(|| {
            let names: Vec<&str> = classes.iter().map(|class| class.name.as_str()).collect();
            anyhow!("there is no class {name:?} in the store; there are {}", names.join(", "))
        })?],
    };
    print_stream(|out| {
        writeln!(out, "{}", header(snapshot, only))?;
        let mut rows = 0_u64;
        for class in chosen {
            rows += write_class(out, snapshot, class)?;
        }
        writeln!(out, "{{\"rows\":{rows}}}")?;
        Ok(())
    })
}

/// By hand as the objects are, so that the version stands first.
fn header(snapshot: &Snapshot, only: Option<&str>) -> String {
    let ddl = Json::from(snapshot.schema().to_ddl());
    let class = only.map_or(String::new(), |class| format!(",\"class\":{}", Json::from(class)));
    format!("{{\"skein_dump\":{DUMP_FORMAT}{class},\"ddl\":{ddl}}}")
}

fn write_class(out: &mut dyn Write, snapshot: &Snapshot, class: &Class) -> anyhow::Result<u64> {
    let name = Json::from(class.name.as_str()).to_string();
    let mut rows = 0;
    for (key, row) in snapshot.rows(class.id) {
        let values = class
            .values(row)
            .with_context(|| format!("cannot read the {} with {}", class.name, class.describe_key(key)))?;
        // By hand, because the fields are to stand in the order of the class.
        write!(out, "{{\"class\":{name},\"row\":{{")?;
        for (number, (field, value)) in class.fields.iter().zip(&values).enumerate() {
            let comma = if number > 0 { "," } else { "" };
            write!(out, "{comma}{}:{}", Json::from(field.name.as_str()), to_json(value))?;
        }
        out.write_all(b"}}\n")?;
        rows += 1;
    }
    Ok(rows)
}
