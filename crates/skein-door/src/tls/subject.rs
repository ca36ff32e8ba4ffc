//! The user a client's certificate names: the common name of its subject (RFC 5280 section 4.1.2.6).
//!
//! Only certificates that were verified come here. A subject that names nobody, or several, is refused: to guess
//! would let one client act as another.

use der::{
    Reader, SliceReader, Tag, Tagged,
    asn1::{AnyRef, ObjectIdentifier},
};
use rustls::pki_types::CertificateDer;
use skein_types::UserName;

/// id-at-commonName (RFC 5280 appendix A.1).
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");

/// Why a certificate names no user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum SubjectError {
    #[error("the client's certificate cannot be read")]
    Unreadable,
    #[error("the subject of the client's certificate has no common name to be its user")]
    Absent,
    #[error(
        "the subject of the client's certificate has several common names, so which is the user is not clear"
    )]
    Several,
    #[error("the common name of the client's certificate is empty, has U+0000 in it or is not text")]
    NotAName,
}

/// The user named by a verified certificate.
pub(super) fn user_of(certificate: &CertificateDer<'_>) -> Result<UserName, SubjectError> {
    let certificate =
        webpki::EndEntityCert::try_from(certificate).map_err(|_error| SubjectError::Unreadable)?;
    common_name(certificate.subject())
}

/// Reads the content of a Name: sets of pairs of a kind and a value.
fn common_name(subject: &[u8]) -> Result<UserName, SubjectError> {
    let mut found = None;
    let unreadable = |_error: der::Error| SubjectError::Unreadable;
    for set in elements(subject).map_err(unreadable)? {
        for pair in elements(set.value()).map_err(unreadable)? {
            let mut pair = SliceReader::new(pair.value()).map_err(unreadable)?;
            let kind: ObjectIdentifier = pair.decode().map_err(unreadable)?;
            let value: AnyRef<'_> = pair.decode().map_err(unreadable)?;
            if kind == COMMON_NAME && found.replace(value).is_some() {
                return Err(SubjectError::Several);
            }
        }
    }
    text(found.ok_or(SubjectError::Absent)?)
}

fn elements(content: &[u8]) -> der::Result<Vec<AnyRef<'_>>> {
    let mut reader = SliceReader::new(content)?;
    let mut elements = Vec::new();
    while !reader.is_finished() {
        elements.push(reader.decode()?);
    }
    Ok(elements)
}

fn text(value: AnyRef<'_>) -> Result<UserName, SubjectError> {
    if !matches!(value.tag(), Tag::Utf8String | Tag::PrintableString | Tag::Ia5String) {
        return Err(SubjectError::NotAName);
    }
    match std::str::from_utf8(value.value()) {
        Ok(name) if !name.is_empty() && !name.contains('\0') => Ok(UserName::new(name)),
        _ => Err(SubjectError::NotAName),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SET { SEQUENCE { OID 2.5.4.`kind`, `tag` `value` } }, short lengths only.
    fn attribute(kind: u8, tag: u8, value: &[u8]) -> Vec<u8> {
        let len = u8::try_from(value.len()).unwrap();
        let mut bytes = vec![0x31, len + 9, 0x30, len + 7, 0x06, 0x03, 0x55, 0x04, kind, tag, len];
        bytes.extend(value);
        bytes
    }

    #[test]
    fn the_one_common_name_is_the_user() {
        for tag in [0x0c, 0x13, 0x16] {
            let name = [attribute(10, 0x0c, b"org"), attribute(3, tag, b"ada")].concat();
            assert_eq!(common_name(&name), Ok(UserName::new("ada")));
        }
    }

    #[test]
    fn a_subject_that_is_not_clear_names_nobody() {
        let ada = attribute(3, 0x0c, b"ada");
        for (name, why) in [
            (Vec::new(), SubjectError::Absent),
            (attribute(10, 0x0c, b"org"), SubjectError::Absent),
            ([ada.clone(), attribute(3, 0x0c, b"bob")].concat(), SubjectError::Several),
            (attribute(3, 0x0c, b""), SubjectError::NotAName),
            (attribute(3, 0x0c, b"a\0b"), SubjectError::NotAName),
            (attribute(3, 0x0c, b"\xff"), SubjectError::NotAName),
            // BMPString: text, but of an encoding nobody uses for names any more.
            (attribute(3, 0x1e, b"\0a"), SubjectError::NotAName),
        ] {
            assert_eq!(common_name(&name), Err(why), "{name:x?}");
        }
        for cut in 1..ada.len() {
            assert_eq!(common_name(&ada[..cut]), Err(SubjectError::Unreadable), "{cut}");
        }
    }
}
