//! Texts that may be missing, and lists of web addresses.

use super::{
    document::Value,
    secrets::url_without_password,
    setting::{Given, Setting, quoted},
};

/// A text, or none for the empty one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text(pub Option<String>);

/// Addresses that take a request by HTTP.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Urls(pub Vec<String>);

impl Setting for Text {
    const KIND: &'static str = "text, or \"\" for none";

    fn read(given: Given<'_>) -> Result<Self, String> {
        let text = String::read(given)?;
        Ok(Self(Some(text).filter(|text| !text.is_empty())))
    }

    fn to_toml(&self) -> String {
        quoted(self.0.as_deref().unwrap_or_default())
    }
}

impl Setting for Urls {
    const KIND: &'static str = "list of http:// addresses";
    const IS_LIST: bool = true;

    fn read(given: Given<'_>) -> Result<Self, String> {
        let advice = "write \"http://host:port/path\"";
        let texts = texts_of(given, advice)?;
        for text in &texts {
            let rest = text.strip_prefix("http://").unwrap_or_default();
            if text.starts_with("https://") {
                let what = "send it over a proxy on this machine";
                return Err(format!("has {text:?}: webhooks are sent without TLS in this version; {what}"));
            }
            if rest.is_empty() || rest.starts_with(['/', ':']) || text.contains(char::is_whitespace) {
                return Err(format!("has {text:?}, which is no address: {advice}"));
            }
        }
        Ok(Self(texts.into_iter().map(str::to_owned).collect()))
    }

    /// Without passwords: what is shown of the configuration ends in logs.
    fn to_toml(&self) -> String {
        let shown: Vec<_> = self.0.iter().map(|url| url_without_password(url).unwrap_or_default()).collect();
        list_to_toml(&shown)
    }
}

/// The texts of a list, without empty ones; `advice` says what to write.
pub(super) fn texts_of<'v>(given: Given<'v>, advice: &str) -> Result<Vec<&'v str>, String> {
    let texts: Vec<&str> = match given {
        Given::Text(text) => text.split(',').map(str::trim).collect(),
        Given::Value(Value::Text(text)) => vec![text.trim()],
        Given::Value(Value::List(items)) => {
            if let Some(other) = items.iter().find(|item| !matches!(item.value, Value::Text(_))) {
                return Err(format!("has the entry {}, which is no text: {advice}", other.value));
            }
            let texts = items.iter().filter_map(|item| match &item.value {
                Value::Text(text) => Some(text.trim()),
                _ => None,
            });
            texts.collect()
        }
        Given::Value(_) => return Err(format!("is no list of texts: {advice}")),
    };
    Ok(texts.into_iter().filter(|text| !text.is_empty()).collect())
}

/// A list of texts as TOML; one stands alone.
pub(super) fn list_to_toml(texts: &[String]) -> String {
    let shown: Vec<String> = texts.iter().map(|text| quoted(text)).collect();
    match shown.as_slice() {
        [one] => one.clone(),
        many => format!("[{}]", many.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn web_addresses() {
        for (text, expect) in [
            ("http://127.0.0.1:9/nodes", Some(1)),
            ("http://a/x, http://b", Some(2)),
            ("", Some(0)),
            ("https://a", None),
            ("a", None),
            ("http://", None),
            ("http:///x", None),
            ("http://a b", None),
        ] {
            let read = Urls::read(Given::Text(text)).ok().map(|urls| urls.0.len());
            assert_eq!(read, expect, "{text}");
        }
    }
}
