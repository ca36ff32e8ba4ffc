//! Makes a store of the text that a dump is.
//!
//! It is made beside its place and put there when the whole text was good: a fault in the middle, or a crash, leaves
//! the data directory without a store and never with half of one.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader},
    path::Path,
};

use anyhow::{Context, anyhow, bail};
use serde_json::{Map, Value as Json};
use skein_node::create_private_directory;
use skein_store::{Class, ClassId, Isolation, Options, Row, Schema, StatementError, Store, WriteBatch};

use super::{dump::DUMP_FORMAT, json::from_json};

/// Objects that are committed together.
const GROUP_ROWS: usize = 4096;
/// Bytes of objects that are committed together.
const GROUP_BYTES: usize = 16 << 20;
/// Longest line that is read: far above the largest object there can be, so that a file without lines is refused.
const LINE_BYTES_MAX: u64 = 2 << 30;

/// Restores the text of `file` as the store `name` of `data_directory`, which must not be there; returns the number of
/// objects.
pub(super) fn restore(file: &Path, data_directory: &Path, name: &str) -> anyhow::Result<u64> {
    let place = data_directory.join(name);
    refuse_occupied(&place)?;
    let mut text = Lines::open(file)?;
    let schema = read_header(&mut text)?;
    let unfinished = data_directory.join(format!("{name}.restoring"));
    create_private_directory(data_directory)
        .with_context(|| format!("cannot make {}", data_directory.display()))?;
    clear(&unfinished)?;
    let restored = fill(&unfinished, schema, &mut text);
    if restored.is_err() {
        // The fault that is reported is the first one.
        drop(clear(&unfinished));
    }
    let rows = restored?;
    put_in_place(&unfinished, &place)
        .with_context(|| format!("cannot give {} its name {}", unfinished.display(), place.display()))?;
    Ok(rows)
}

fn refuse_occupied(place: &Path) -> anyhow::Result<()> {
    let is_free = match fs::read_dir(place) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => true,
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", place.display())),
    };
    if is_free {
        return Ok(());
    }
    bail!(
        "there is something in {} already and nothing was changed. Name another directory with --data.dir, or move that \
         one away",
        place.display()
    )
}

fn clear(directory: &Path) -> anyhow::Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", directory.display()))
        }
        _ => Ok(()),
    }
}

fn put_in_place(unfinished: &Path, place: &Path) -> io::Result<()> {
    if place.exists() {
        fs::remove_dir(place)?;
    }
    fs::rename(unfinished, place)?;
    match place.parent() {
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

fn read_header(text: &mut Lines) -> anyhow::Result<Schema> {
    let header = text.next_object()?.unwrap_or_default();
    match header.get("skein_dump").and_then(Json::as_u64) {
        Some(DUMP_FORMAT) => {}
        Some(other) => bail!(
            "{} is a dump of version {other}, this program reads {DUMP_FORMAT}. Use the program that wrote it",
            text.name
        ),
        None => bail!("{} is no dump: its first line does not say so", text.name),
    }
    if let Some(class) = header.get("class").and_then(Json::as_str) {
        bail!(
            "{} has the objects of class {class} only. Restore a dump that was made without --class",
            text.name
        );
    }
    let ddl = header.get("ddl").and_then(Json::as_str);
    let ddl = ddl.ok_or_else(|| text.fault("it has no ddl"))?;
    Schema::parse_ddl(ddl).map_err(|faults| text.fault(&format!("the ddl has faults:\n{faults}")))
}

/// Writes the objects that follow into a new store.
fn fill(directory: &Path, schema: Schema, text: &mut Lines) -> anyhow::Result<u64> {
    let store = Store::open(schema, Options::durable(directory))?;
    let mut group = Group::new(&store);
    let mut rows = 0_u64;
    loop {
        let Some(line) = text.next_object()? else {
            bail!(
                "{} broke off after {rows} objects: its last line is missing. Get the whole file",
                text.name
            );
        };
        if let Some(announced) = line.get("rows") {
            if announced.as_u64() != Some(rows) {
                return Err(text.fault(&format!("it says there are {announced} objects, there were {rows}")));
            }
            break;
        }
        let (class, row) = read_row(store.schema(), &line).map_err(|fault| text.fault(&fault))?;
        group.add(class, row)?;
        rows += 1;
    }
    if text.next_object()?.is_some() {
        return Err(text.fault("something follows the last line"));
    }
    group.commit()?;
    store.checkpoint()?;
    store.close();
    Ok(rows)
}

fn read_row<'s>(schema: &'s Schema, line: &Map<String, Json>) -> Result<(&'s Class, Row), String> {
    let name = line.get("class").and_then(Json::as_str).ok_or("it names no class")?;
    let class = schema.class_named(name).ok_or_else(|| format!("the schema has no class {name:?}"))?;
    let fields = line.get("row").and_then(Json::as_object).ok_or("it has no row")?;
    if let Some(unknown) = fields.keys().find(|key| class.field_number(key).is_none()) {
        return Err(format!("class {name} has no field {unknown:?}"));
    }
    let value = |field: &skein_store::Field| {
        let json = fields.get(&field.name).ok_or_else(|| format!("the field {} is missing", field.name))?;
        from_json(&field.field_type, json)
            .ok_or_else(|| format!("the field {} is no {}", field.name, field.field_type))
    };
    let values = class.fields.iter().map(value).collect::<Result<Vec<_>, _>>()?;
    Ok((class, class.encode_row(&values).map_err(|fault| fault.to_string())?))
}

/// Objects that are to be committed together.
struct Group<'s> {
    store: &'s Store,
    batch: WriteBatch,
    /// Of classes with a unique index, which only a transaction keeps.
    unique: Vec<(ClassId, Row)>,
    unique_bytes: usize,
}

impl<'s> Group<'s> {
    fn new(store: &'s Store) -> Self {
        Self { store, batch: store.batch(), unique: Vec::new(), unique_bytes: 0 }
    }

    fn add(&mut self, class: &Class, row: Row) -> anyhow::Result<()> {
        if class.indexes.iter().any(|index| index.unique) {
            self.unique_bytes += row.len();
            self.unique.push((class.id, row));
        } else {
            self.batch.put(class.id, row)?;
        }
        let rows = self.batch.len() + self.unique.len();
        let bytes =
            usize::try_from(self.batch.bytes()).unwrap_or(usize::MAX).saturating_add(self.unique_bytes);
        if rows >= GROUP_ROWS || bytes >= GROUP_BYTES { self.commit() } else { Ok(()) }
    }

    fn commit(&mut self) -> anyhow::Result<()> {
        if !self.batch.is_empty() {
            self.store.commit(std::mem::replace(&mut self.batch, self.store.batch()))?;
        }
        let unique = std::mem::take(&mut self.unique);
        self.unique_bytes = 0;
        if !unique.is_empty() {
            self.store.transact(Isolation::RepeatableRead, |transaction| {
                unique.iter().try_for_each(|(class, row)| {
                    transaction.insert_row(*class, row.clone()).map(drop)?;
                    Ok::<(), StatementError>(())
                })
            })?;
        }
        Ok(())
    }
}

/// The lines of a text, numbered from 1.
struct Lines {
    name: String,
    number: u64,
    reader: Box<dyn BufRead>,
}

impl Lines {
    fn open(file: &Path) -> anyhow::Result<Self> {
        if file == Path::new("-") {
            let reader = Box::new(BufReader::new(io::stdin()));
            return Ok(Self { name: "the standard input".to_owned(), number: 0, reader });
        }
        let name = file.display().to_string();
        let opened = File::open(file).with_context(|| format!("cannot read {name}"))?;
        Ok(Self { name, number: 0, reader: Box::new(BufReader::new(opened)) })
    }

    fn next_object(&mut self) -> anyhow::Result<Option<Map<String, Json>>> {
        let mut line = Vec::new();
        let read = io::Read::take(&mut self.reader, LINE_BYTES_MAX).read_until(b'\n', &mut line);
        if read.with_context(|| format!("cannot read {}", self.name))? == 0 {
            return Ok(None);
        }
        self.number += 1;
        match serde_json::from_slice(&line) {
            Ok(Json::Object(object)) => Ok(Some(object)),
            Ok(_) => Err(self.fault("it is no JSON object")),
            Err(error) => Err(self.fault(&format!("it is no JSON: {error}"))),
        }
    }

    fn fault(&self, text: &str) -> anyhow::Error {
        anyhow!("{}, line {}: {text}. Nothing was restored", self.name, self.number)
    }
}
