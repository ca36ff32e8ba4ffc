//! The PROXY protocol, versions 1 and 2: the address of the client behind a load balancer.
//!
//! The parser is given what has arrived and says how many bytes it needs at least, so that nothing behind the header is
//! read by whoever feeds it. A listener either expects a header from everybody or from nobody: whoever may choose could
//! claim any address.
//!
//! <https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What every header of version 2 begins with (section 2.2).
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// What every header of version 1 begins with (section 2.1).
const PREFIX: [u8; 6] = *b"PROXY ";
/// A line of version 1 with its end (section 2.1).
const LINE_BYTES_MAX: usize = 107;
/// The shortest line, `PROXY UNKNOWN` and its end.
const LINE_BYTES_MIN: usize = 15;
/// The fixed part of a header of version 2.
const FIXED_BYTES: usize = 16;
/// What a header of version 2 may have behind its fixed part. The standard allows 64 KiB; addresses and what balancers
/// add, a certificate's subject among it, need far less.
const REST_BYTES_MAX: usize = 4096;

/// What came of the bytes so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// At least so many bytes more belong to the header.
    Needs(usize),
    /// The header is complete and was exactly what was given.
    Done(Header),
}

/// Whom a header speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header {
    /// The balancer itself, such as its health check, or somebody whose address has no form here: the connection's own
    /// address stands.
    Local,
    /// This client.
    Client(SocketAddr),
}

/// Why bytes are no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// They begin differently.
    #[error("the connection does not begin with a PROXY header, which this listener asks for")]
    Absent,
    /// A line of version 1 is wrong.
    #[error("the PROXY header of version 1 is no such line")]
    Line,
    /// The fixed part of version 2 has an unknown version, command, family or transport.
    #[error("the PROXY header of version 2 has an unknown version, command or family")]
    Fixed,
    /// It is longer than what is taken.
    #[error("the PROXY header is longer than 4 KiB")]
    TooLong,
    /// It has no room for the addresses it announces.
    #[error("the PROXY header of version 2 is too short for its addresses")]
    TooShort,
}

/// Looks at the first bytes of a connection. Never asks for bytes behind the header.
///
/// # Errors
/// When the bytes are no header, whatever follows.
pub fn parse(bytes: &[u8]) -> Result<Progress, HeaderError> {
    if bytes.is_empty() {
        return Ok(Progress::Needs(LINE_BYTES_MIN));
    }
    if begins_alike(bytes, &SIGNATURE) {
        return parse_v2(bytes);
    }
    if begins_alike(bytes, &PREFIX) {
        return parse_v1(bytes);
    }
    Err(HeaderError::Absent)
}

fn begins_alike(bytes: &[u8], expected: &[u8]) -> bool {
    bytes.iter().zip(expected).all(|(byte, expected)| byte == expected)
}

fn parse_v1(bytes: &[u8]) -> Result<Progress, HeaderError> {
    let Some(end) = bytes.windows(2).position(|pair| pair == b"\r\n") else {
        if bytes.len() >= LINE_BYTES_MAX {
            return Err(HeaderError::Line);
        }
        let missing = if bytes.last() == Some(&b'\r') { 1 } else { 2 };
        return Ok(Progress::Needs(missing.max(LINE_BYTES_MIN.saturating_sub(bytes.len()))));
    };
    let line = bytes.get(..end).and_then(|line| std::str::from_utf8(line).ok()).ok_or(HeaderError::Line)?;
    if end.saturating_add(2) != bytes.len() {
        return Err(HeaderError::Line);
    }
    let mut words = line.split(' ').skip(1);
    let mut next = || words.next().ok_or(HeaderError::Line);
    let family = next()?;
    if family == "UNKNOWN" {
        return Ok(Progress::Done(Header::Local));
    }
    let (source, destination) = (next()?, next()?);
    let source: IpAddr = match family {
        "TCP4" => both::<Ipv4Addr>(source, destination)?.into(),
        "TCP6" => both::<Ipv6Addr>(source, destination)?.into(),
        _ => return Err(HeaderError::Line),
    };
    let (port, _destination_port) = (port(next()?)?, port(next()?)?);
    if words.next().is_some() {
        return Err(HeaderError::Line);
    }
    Ok(Progress::Done(Header::Client(SocketAddr::new(source, port))))
}

/// The source, when both are addresses of the family.
fn both<A: std::str::FromStr>(source: &str, destination: &str) -> Result<A, HeaderError> {
    match (source.parse(), destination.parse::<A>()) {
        (Ok(source), Ok(_)) => Ok(source),
        _ => Err(HeaderError::Line),
    }
}

fn port(text: &str) -> Result<u16, HeaderError> {
    // Digits only: the standard library takes a sign too.
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(HeaderError::Line);
    }
    text.parse().map_err(|_no_port| HeaderError::Line)
}

fn parse_v2(bytes: &[u8]) -> Result<Progress, HeaderError> {
    let Some((fixed, rest)) = bytes.split_first_chunk::<FIXED_BYTES>() else {
        return Ok(Progress::Needs(FIXED_BYTES.saturating_sub(bytes.len())));
    };
    let [.., command, family, high, low] = *fixed;
    let length = usize::from(u16::from_be_bytes([high, low]));
    if !matches!(command, 0x20 | 0x21) || family >> 4 > 3 || family & 0x0f > 2 {
        return Err(HeaderError::Fixed);
    }
    if length > REST_BYTES_MAX {
        return Err(HeaderError::TooLong);
    }
    match length.checked_sub(rest.len()) {
        Some(0) => {}
        Some(missing) => return Ok(Progress::Needs(missing)),
        None => return Err(HeaderError::TooShort),
    }
    // What follows the addresses (TLVs) is not looked at.
    let header = match (command, family) {
        (0x21, 0x11) => match rest.first_chunk::<12>() {
            Some([a, b, c, d, _, _, _, _, high, low, ..]) => client([*a, *b, *c, *d], [*high, *low]),
            None => return Err(HeaderError::TooShort),
        },
        (0x21, 0x21) => match (rest.first_chunk::<16>(), rest.get(32..36)) {
            (Some(address), Some([high, low, ..])) => client(*address, [*high, *low]),
            _ => return Err(HeaderError::TooShort),
        },
        // LOCAL, or a family without an address of ours (UNSPEC, UNIX, datagrams): the receiver takes the connection as
        // it is (section 2.2).
        _ => Header::Local,
    };
    Ok(Progress::Done(header))
}

fn client(address: impl Into<IpAddr>, port: [u8; 2]) -> Header {
    Header::Client(SocketAddr::new(address.into(), u16::from_be_bytes(port)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Feeds a parser as it asks; returns what came out and how much it took.
    fn feed(stream: &[u8]) -> (Option<Result<Header, HeaderError>>, usize) {
        let mut taken = 0;
        loop {
            match parse(&stream[..taken]) {
                Err(error) => return (Some(Err(error)), taken),
                Ok(Progress::Done(header)) => return (Some(Ok(header)), taken),
                Ok(Progress::Needs(0)) => panic!("it asks for nothing"),
                Ok(Progress::Needs(more)) if taken + more > stream.len() => return (None, taken),
                Ok(Progress::Needs(more)) => taken += more,
            }
        }
    }

    fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [&SIGNATURE[..], &[command, family], &length, rest].concat()
    }

    fn address(text: &str) -> Option<Result<Header, HeaderError>> {
        Some(Ok(Header::Client(text.parse().unwrap())))
    }

    #[test]
    fn lines_of_version_1() {
        for (line, expect) in [
            ("PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n", address("192.0.2.1:56324")),
            ("PROXY TCP6 2001:db8::1 ::1 1 65535\r\n", address("[2001:db8::1]:1")),
            ("PROXY UNKNOWN\r\n", Some(Ok(Header::Local))),
            ("PROXY UNKNOWN ffff:f::1 ffff::2 65535 65535\r\n", Some(Ok(Header::Local))),
            ("PROXY TCP4 192.0.2.1 192.0.2.2 56324", None),
        ] {
            let (got, taken) = feed(format!("{line}\x10rest").as_bytes());
            match expect {
                Some(_) => assert_eq!((got, taken), (expect, line.len()), "{line}"),
                None => assert!(!matches!(got, Some(Ok(_))), "{line}"),
            }
        }
        for line in [
            "PROXY TCP4 ::1 ::1 1 1\r\n",
            "PROXY TCP4 192.0.2.1 ::1 1 1\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 +1 1\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 1 1 1\r\n",
            "PROXY TCP4  192.0.2.1 192.0.2.2 1 1\r\n",
            "PROXY UDP4 192.0.2.1 192.0.2.2 1 1\r\n",
            "PROXY \r\n and something more",
        ] {
            assert_eq!(feed(line.as_bytes()).0, Some(Err(HeaderError::Line)), "{line}");
        }
        let endless = [b"PROXY UNKNOWN ".as_slice(), &[b'x'; 200]].concat();
        assert_eq!(feed(&endless).0, Some(Err(HeaderError::Line)));
    }

    #[test]
    fn headers_of_version_2() {
        let v4 = [192, 0, 2, 1, 192, 0, 2, 2, 0xdc, 4, 1, 187];
        let mut v6 = [0; 36];
        (v6[0], v6[15], v6[33]) = (0x20, 1, 7);
        let tlvs = [4, 0, 2, 0, 0, 0xff];
        for (command, family, rest, expect) in [
            (0x21, 0x11, [&v4[..], &tlvs].concat(), address("192.0.2.1:56324")),
            (0x21, 0x21, [&v6[..], &tlvs].concat(), address("[2000::1]:7")),
            (0x20, 0x00, Vec::new(), Some(Ok(Header::Local))),
            (0x20, 0x11, v4.to_vec(), Some(Ok(Header::Local))),
            (0x21, 0x31, vec![0; 216], Some(Ok(Header::Local))),
            (0x21, 0x00, tlvs.to_vec(), Some(Ok(Header::Local))),
            (0x21, 0x11, vec![0; 11], Some(Err(HeaderError::TooShort))),
            (0x21, 0x21, vec![0; 35], Some(Err(HeaderError::TooShort))),
            (0x22, 0x11, v4.to_vec(), Some(Err(HeaderError::Fixed))),
            (0x11, 0x11, v4.to_vec(), Some(Err(HeaderError::Fixed))),
            (0x21, 0x41, v4.to_vec(), Some(Err(HeaderError::Fixed))),
            (0x21, 0x13, v4.to_vec(), Some(Err(HeaderError::Fixed))),
            (0x21, 0x11, vec![0; REST_BYTES_MAX + 1], Some(Err(HeaderError::TooLong))),
        ] {
            let header = v2(command, family, &rest);
            let (got, taken) = feed(&[&header[..], b"\x10rest"].concat());
            assert_eq!(got, expect, "{command:x} {family:x}");
            assert!(taken <= header.len(), "{taken}");
            let is_header = expect.is_some_and(|result| result.is_ok());
            assert!(!is_header || taken == header.len(), "{command:x} {family:x}");
        }
    }

    #[test]
    fn what_is_no_header() {
        for other in [
            &b"\x10\x0d\0\x04MQTT\x05\x02\0\0\0\0\0"[..],
            b"GET / HTTP/1.1\r\n\r\n",
            b"PROXX TCP4 more more",
            &[0x16; 20],
        ] {
            assert_eq!(feed(other).0, Some(Err(HeaderError::Absent)));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_end_and_take_no_more_than_they_may(
            start in prop_oneof![Just(Vec::new()), Just(SIGNATURE.to_vec()), Just(PREFIX.to_vec())],
            noise in prop::collection::vec(any::<u8>(), 0..400),
        ) {
            let stream = [start, noise].concat();
            let (_, taken) = feed(&stream);
            prop_assert!(taken <= FIXED_BYTES + REST_BYTES_MAX);
        }

        #[test]
        fn what_follows_a_header_is_never_asked_for(
            source: [u8; 4], port: u16, v6: [u8; 16], is_v6: bool, is_line: bool,
            tlvs in prop::collection::vec(any::<u8>(), 0..50),
            behind in prop::collection::vec(any::<u8>(), 0..50),
        ) {
            let ip = if is_v6 { IpAddr::from(v6) } else { IpAddr::from(source) };
            let header = match (is_line, ip) {
                (true, IpAddr::V4(_)) => format!("PROXY TCP4 {ip} 0.0.0.0 {port} 1\r\n").into_bytes(),
                (true, IpAddr::V6(_)) => format!("PROXY TCP6 {ip} :: {port} 1\r\n").into_bytes(),
                (false, IpAddr::V4(ip)) => {
                    v2(0x21, 0x11, &[&ip.octets()[..], &[0; 4], &port.to_be_bytes(), &[0; 2], &tlvs].concat())
                }
                (false, IpAddr::V6(ip)) => {
                    v2(0x21, 0x21, &[&ip.octets()[..], &[0; 16], &port.to_be_bytes(), &[0; 2], &tlvs].concat())
                }
            };
            let (got, taken) = feed(&[&header[..], &behind].concat());
            prop_assert_eq!(got, Some(Ok(Header::Client(SocketAddr::new(ip, port)))));
            prop_assert_eq!(taken, header.len());
            // Every beginning of it asks for more and never for more than there is.
            for cut in 0..header.len() {
                match parse(&header[..cut]) {
                    Ok(Progress::Needs(more)) => prop_assert!(more > 0 && cut + more <= header.len()),
                    other => prop_assert!(false, "{cut}: {other:?}"),
                }
            }
        }
    }
}
