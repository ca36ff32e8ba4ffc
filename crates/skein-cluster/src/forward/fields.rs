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

/// The bytes of a text; whatever its length, which is written in full.
pub(crate) fn put_text(out: &mut BytesMut, text: &str) {
    put_bytes(out, text.as_bytes());
}

pub(crate) fn put_bytes(out: &mut BytesMut, bytes: &[u8]) {
    put_length(out, bytes.len());
    out.extend_from_slice(bytes);
}

/// Seven bits a byte, the lowest first; the highest bit says that more follow.
fn put_length(out: &mut BytesMut, length: usize) {
    let mut rest = length;
    while rest > 0x7f {
        out.put_u8((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    out.put_u8(rest as u8);
}

pub(crate) fn put_properties(out: &mut BytesMut, properties: &Properties) {
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
        put_length(out, user.len());
        for (name, value) in user {
            put_text(out, name);
            put_text(out, value);
        }
    }
}

/// Reads fields one after another.
#[derive(Debug)]
pub(crate) struct Reader {
    rest: Bytes,
}

const SHORT: RunError = RunError("it ends in the middle");

impl Reader {
    pub(crate) fn new(rest: Bytes) -> Self {
        Self { rest }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn u8(&mut self) -> Result<u8, RunError> {
        self.rest.try_get_u8().map_err(|_short| SHORT)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, RunError> {
        self.rest.try_get_u16_le().map_err(|_short| SHORT)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, RunError> {
        self.rest.try_get_u64_le().map_err(|_short| SHORT)
    }

    fn length(&mut self) -> Result<usize, RunError> {
        let mut length = 0_u64;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                break;
            }
            length |= bits << shift;
            if byte & 0x80 == 0 {
                return usize::try_from(length).map_err(|_too_large| SHORT);
            }
        }
        Err(RunError("a length is larger than lengths are"))
    }

    pub(crate) fn u32_le(&mut self) -> Result<u32, RunError> {
        self.rest.try_get_u32_le().map_err(|_short| SHORT)
    }

    pub(crate) fn take(&mut self, length: usize) -> Result<Bytes, RunError> {
        if length > self.rest.len() {
            return Err(SHORT);
        }
        Ok(self.rest.split_to(length))
    }

    pub(crate) fn bytes(&mut self) -> Result<Bytes, RunError> {
        let length = self.length()?;
        self.take(length)
    }

    pub(crate) fn text(&mut self) -> Result<ByteString, RunError> {
        ByteString::try_from(self.bytes()?).map_err(|_invalid| RunError("a text is not UTF-8"))
    }

    pub(crate) fn properties(&mut self) -> Result<Properties, RunError> {
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
            properties.correlation_data = Some(self.bytes()?);
        }
        if has & USER != 0 {
            // Room grows with what has arrived, not with what was announced.
            for _ in 0..self.length()? {
                properties.user.push((self.text()?, self.text()?));
            }
        }
        Ok(properties)
    }
}
