//! What the commands that list something of a node share: pages, payloads, and how the answer is printed.

use anyhow::Context;
use base64::{Engine, engine::general_purpose::STANDARD};
use clap::Args;
use serde_json::Value;

use crate::{
    api_client::ApiArgs,
    output::{note, print_line},
    table::{Column, member, table},
};

/// Bytes of a payload that are asked for: what fits a line of a terminal.
const PAYLOAD_BYTES: usize = 64;

/// Which page is shown, and how.
#[derive(Args, Clone, Debug)]
pub(crate) struct PageArgs {
    /// Page to show
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    page: u32,
    /// Entries per page
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100))]
    page_size: u32,
    /// Print the full response as JSON
    #[arg(long)]
    json: bool,
}

impl PageArgs {
    /// Asks for the page and prints it; `noun` says what is listed.
    pub(crate) fn print(
        &self,
        api: &ApiArgs,
        path: &str,
        mut query: Vec<(&str, String)>,
        columns: &[Column],
        noun: &str,
    ) -> anyhow::Result<()> {
        query.extend([("page", self.page.to_string()), ("page_size", self.page_size.to_string())]);
        let page = api.get(path, &query)?;
        if self.json {
            return print_line(&serde_json::to_string_pretty(&page)?);
        }
        let items = page.get("items").and_then(Value::as_array).context("the node's answer has no items")?;
        print_line(&table(columns, items))?;
        let total = page.get("total").and_then(Value::as_u64).unwrap_or_default();
        note(&format!("page {}: {} of {total} {noun}", self.page, items.len()));
        Ok(())
    }
}

/// What to ask for when payloads are to be shown.
pub(crate) fn payload_query(wanted: bool) -> Option<(&'static str, String)> {
    wanted.then(|| ("payload_bytes_max", PAYLOAD_BYTES.to_string()))
}

/// The start of an item's payload: as text where it is text, else in hexadecimal.
pub(crate) fn payload(item: &Value) -> String {
    let Some(encoded) = item.get("payload").and_then(Value::as_str) else { return "-".to_owned() };
    let bytes = STANDARD.decode(encoded).unwrap_or_default();
    let length = item.get("payload_bytes").and_then(Value::as_u64).unwrap_or_default();
    let rest = if length > bytes.len() as u64 { "…" } else { "" };
    match start_as_text(&bytes, rest.is_empty()) {
        Some(text) => format!("{text:?}{rest}"),
        None => {
            let hexadecimal: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("{hexadecimal}{rest}")
        }
    }
}

/// The text of the bytes; what is cut off may end within a letter.
fn start_as_text(bytes: &[u8], whole: bool) -> Option<&str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Some(text),
        Err(error) if !whole && error.error_len().is_none() => {
            std::str::from_utf8(bytes.get(..error.valid_up_to())?).ok()
        }
        Err(_) => None,
    }
}

/// When something expires.
pub(crate) fn expiry(item: &Value) -> String {
    member(item, "expires_at")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn payloads_are_text_where_they_are_and_cut_between_letters() {
        let shown = |bytes: &[u8], length: usize| {
            payload(&json!({"payload": STANDARD.encode(bytes), "payload_bytes": length}))
        };
        assert_eq!(shown(b"on\n", 3), r#""on\n""#);
        assert_eq!(shown("aé".as_bytes().get(..2).unwrap(), 3), r#""a"…"#);
        assert_eq!(shown(&[0xff, 0x01], 2), "ff01");
        assert_eq!(shown(&[0xff, 0x01], 3), "ff01…");
        assert_eq!(shown(b"", 0), r#""""#);
        assert_eq!(payload(&json!({"payload_bytes": 3})), "-");
    }
}
