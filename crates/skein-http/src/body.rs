//! Reading a request's body within its bounds in bytes and time, before a handler sees the request.
//!
//! The guard calls it once the request is allowed, so that nobody else makes the server hold a body.

use axum::{
    body::{Body, HttpBody as _, to_bytes},
    http::{HeaderMap, header},
};

use crate::{
    door::HttpSettings,
    problem::{Kind, Problem},
};

/// The same body, whole and in memory.
pub(crate) async fn read(headers: &HeaderMap, body: Body, settings: &HttpSettings) -> Result<Body, Problem> {
    if body.is_end_stream() {
        return Ok(Body::empty());
    }
    let bytes_max = settings.body_bytes_max;
    let announced = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.parse::<u64>().ok());
    if announced.is_some_and(|bytes| bytes > bytes_max as u64) {
        return Err(too_large(bytes_max));
    }
    match tokio::time::timeout(settings.body_timeout, to_bytes(body, bytes_max)).await {
        Ok(Ok(bytes)) => Ok(Body::from(bytes)),
        // A body of announced length ends where it says, so it broke off; another one went past the bound or broke.
        Ok(Err(_)) if announced.is_some() => Err(Problem::new(
            Kind::BodyBroken,
            "the body ended before the length it announced",
            "send as many bytes as content-length says",
        )),
        Ok(Err(_)) => Err(too_large(bytes_max)),
        Err(_) => Err(Problem::new(
            Kind::BodyTimeout,
            format!("the body did not arrive within {} s", settings.body_timeout.as_secs_f64()),
            "send it at once",
        )),
    }
}

fn too_large(bytes_max: usize) -> Problem {
    Problem::new(
        Kind::BodyTooLarge,
        format!("the body is larger than {bytes_max} bytes or broke off"),
        "send less, and send all of it",
    )
}
