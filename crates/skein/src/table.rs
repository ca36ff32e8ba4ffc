//! Listings of a node as tables for people.
//!
//! Used by the commands that list what a node has. What a node tells may hold anything: control characters are shown as
//! escapes, so that no name moves the cursor.

use serde_json::Value;

/// Where a cell's text comes from.
type Cell = fn(&Value) -> String;

/// A column: its head and its cells.
pub(crate) struct Column(pub(crate) &'static str, pub(crate) Cell);

/// The items as lines below a line of heads, in columns as wide as their widest cell.
pub(crate) fn table(columns: &[Column], items: &[Value]) -> String {
    let heads = columns.iter().map(|Column(head, _)| (*head).to_owned()).collect();
    let row = |item| columns.iter().map(|Column(_, cell)| printable(&cell(item))).collect();
    let rows: Vec<Vec<String>> = std::iter::once(heads).chain(items.iter().map(row)).collect();
    let mut widths = vec![0; columns.len()];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let line = |row: &Vec<String>| {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// A member of an item as people write it; what is not there is a dash.
pub(crate) fn member(item: &Value, key: &str) -> String {
    shown(item.get(key).unwrap_or(&Value::Null))
}

/// A value as people write it; what is not there is a dash.
pub(crate) fn shown(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter.is_control() {
            printable.extend(letter.escape_default());
        } else {
            printable.push(letter);
        }
    }
    printable
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn cells_stand_below_their_heads_and_move_no_cursor() {
        let columns = [Column("NAME", |item| member(item, "name")), Column("ON", |item| member(item, "on"))];
        let items = [json!({"name": "lamp-one", "on": true}), json!({"name": "a\u{1b}[2J", "on": null})];
        assert_eq!(table(&columns, &items), "NAME        ON\nlamp-one    yes\na\\u{1b}[2J  -");
    }
}
