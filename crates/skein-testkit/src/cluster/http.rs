//! One GET over a connection of its own, for what a node tells of itself.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A node that answers does so well within this; one that is paused never does.
const TIMEOUT: Duration = Duration::from_secs(2);
/// No answer of the paths that tests ask for is longer.
const ANSWER_BYTES_MAX: u64 = 4 << 20;

/// Status and body.
///
/// # Errors
/// What failed, in words.
pub(super) fn get(address: SocketAddr, path: &str) -> Result<(u16, String), String> {
    let failed = |what: &str, error: std::io::Error| format!("cannot {what} {address}: {error}");
    let mut stream =
        TcpStream::connect_timeout(&address, TIMEOUT).map_err(|error| failed("connect to", error))?;
    for set in [TcpStream::set_read_timeout, TcpStream::set_write_timeout] {
        set(&stream, Some(TIMEOUT)).map_err(|error| failed("set a timeout for", error))?;
    }
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).map_err(|error| failed("ask", error))?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).map_err(|error| failed("hear", error))?;
    read(&answer)
}

fn read(answer: &[u8]) -> Result<(u16, String), String> {
    let text = String::from_utf8_lossy(answer);
    let (head, body) = text.split_once("\r\n\r\n").ok_or_else(|| format!("no HTTP answer: {text:?}"))?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| format!("no status in {head:?}"))?;
    if head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
        return Err("the answer came in chunks, which this client does not put together".to_owned());
    }
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    match length {
        Some(length) if length != body.len() => {
            Err(format!("an answer of {length} bytes ended after {}", body.len()))
        }
        _ => Ok((status, body.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_status_and_body() {
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]";
        assert_eq!(read(answer), Ok((200, "[]".to_owned())));
        assert_eq!(read(b"HTTP/1.1 404 Not Found\r\n\r\n").map(|(status, _)| status), Ok(404));
    }

    #[test]
    fn an_answer_that_is_cut_short_or_none_is_an_error() {
        for answer in [
            &b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n[]"[..],
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
            b"HTTP/1.1 200 OK",
            b"HTTP/1.1\r\n\r\n",
            b"",
        ] {
            assert!(read(answer).is_err(), "{answer:?}");
        }
    }
}
