//! The fields of messages on links: text, bytes and properties, written and read.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use skein_types::{ByteString, Properties, Topic};

use super::RunError;

const UTF8_KNOWN: u8 = 1;
const UTF8: u8 = 1 << 1;
const CONTENT_TYPE: u8 = 1 << 2;
const RESPONSE_TOPIC: u8 = 1 << 3;
const CORRELATION: u8 = 1 << 4;
const USER: u8 = 1 << 5;

/// A text of at most 65 535 bytes, which is what topics and MQTT's texts have (MQTT 5.0 section 1.5.4).
pub(super) fn put_text(out: &mut BytesMut, text: &str) {
    put_bytes(out, text.as_bytes());
}

fn put_bytes(out: &mut BytesMut, bytes: &[u8]) {
    let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    out.put_u16_le(length);
    out.extend_from_slice(bytes.get(..usize::from(length)).unwrap_or(bytes));
}

pub(super) fn put_properties(out: &mut BytesMut, properties: &Properties) {
    let Properties { payload_is_utf8, content_type, response_topic, correlation_data, user } = properties;
    let bit = |set: bool, bit: u8| if set { bit } else { 0 };
    out.put_u8(
        bit(payload_is_utf8.is_some(), UTF8_KNOWN)
            | bit(*payload_is_utf8 == Some(true), UTF8)
            | bit(content_type.is_some(), CONTENT_TYPE)
            | bit(response_topic.is_some(), RESPONSE_TOPIC)
            | bit(correlation_data.is_some(), CORRELATION)
            | bit(!user.is_empty(), USER),
    );
    if let Some(content_type) = content_type {
        put_text(out, content_type);
    }
    if let Some(topic) = response_topic {
        put_text(out, topic.as_str());
    }
    if let Some(data) = correlation_data {
        put_bytes(out, data);
    }
    if !user.is_empty() {
        out.put_u32_le(u32::try_from(user.len()).unwrap_or(u32::MAX));
        for (name, value) in user {
            put_text(out, name);
            put_text(out, value);
        }
    }
}

/// Reads fields one after another.
#[derive(Debug)]
pub(super) struct Reader {
    rest: Bytes,
}

const SHORT: RunError = RunError("it ends in the middle");

impl Reader {
    pub(super) fn new(rest: Bytes) -> Self {
        Self { rest }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn u8(&mut self) -> Result<u8, RunError> {
        self.rest.try_get_u8().map_err(|_short| SHORT)
    }

    pub(super) fn u16(&mut self) -> Result<u16, RunError> {
        self.rest.try_get_u16_le().map_err(|_short| SHORT)
    }

    pub(super) fn u64(&mut self) -> Result<u64, RunError> {
        self.rest.try_get_u64_le().map_err(|_short| SHORT)
    }

    fn u32(&mut self) -> Result<usize, RunError> {
        let value = self.rest.try_get_u32_le().map_err(|_short| SHORT)?;
        usize::try_from(value).map_err(|_too_large| SHORT)
    }

    fn take(&mut self, length: usize) -> Result<Bytes, RunError> {
        if length > self.rest.len() {
            return Err(SHORT);
        }
        Ok(self.rest.split_to(length))
    }

    pub(super) fn bytes_u32(&mut self) -> Result<Bytes, RunError> {
        let length = self.u32()?;
        self.take(length)
    }

    fn bytes_u16(&mut self) -> Result<Bytes, RunError> {
        let length = self.u16()?;
        self.take(usize::from(length))
    }

    pub(super) fn text(&mut self) -> Result<ByteString, RunError> {
        ByteString::try_from(self.bytes_u16()?).map_err(|_invalid| RunError("a text is not UTF-8"))
    }

    pub(super) fn properties(&mut self) -> Result<Properties, RunError> {
        let has = self.u8()?;
        let mut properties = Properties::default();
        if has & UTF8_KNOWN != 0 {
            properties.payload_is_utf8 = Some(has & UTF8 != 0);
        }
        if has & CONTENT_TYPE != 0 {
            properties.content_type = Some(self.text()?);
        }
        if has & RESPONSE_TOPIC != 0 {
            let topic =
                Topic::new(self.text()?).map_err(|_invalid| RunError("a response topic is not valid"))?;
            properties.response_topic = Some(topic);
        }
        if has & CORRELATION != 0 {
            properties.correlation_data = Some(self.bytes_u16()?);
        }
        if has & USER != 0 {
            // Room grows with what has arrived, not with what was announced.
            for _ in 0..self.u32()? {
                properties.user.push((self.text()?, self.text()?));
            }
        }
        Ok(properties)
    }
}
