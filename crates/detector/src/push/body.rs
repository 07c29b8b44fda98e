//! Reads bodies from the network: bounded in size, in time, and in what they hold in memory together.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use futures_util::StreamExt;
use tandem_pbx::push;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use crate::push::problem::Problem;

/// Bodies held in memory at once, in KiB.
const TOTAL_KIB: u32 = 64 * 1024;
/// A sender has so long for its body.
const READ: Duration = Duration::from_secs(10);
/// A request waits so long for room.
const WAIT: Duration = Duration::from_secs(5);

/// Memory for bodies.
pub(crate) struct Budget(Semaphore);

impl Default for Budget {
    fn default() -> Self {
        Self(Semaphore::new(TOTAL_KIB as usize))
    }
}

impl Budget {
    /// Reads a body of at most `limit` bytes. The permit stands for its memory.
    pub(crate) async fn read(
        &self,
        headers: &HeaderMap,
        body: Body,
        limit: usize,
    ) -> Result<(Vec<u8>, SemaphorePermit<'_>), Problem> {
        let announced =
            headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<usize>().ok());
        if announced.is_some_and(|length| length > limit) {
            return Err(push::too_large(limit).into());
        }
        let expected = announced.unwrap_or(limit);
        let kib = u32::try_from(expected.div_ceil(1024)).unwrap_or(TOTAL_KIB).clamp(1, TOTAL_KIB);
        let room = match timeout(WAIT, self.0.acquire_many(kib)).await {
            Ok(Ok(room)) => room,
            _ => {
                let detail = "too many large messages at once; send the same message again";
                return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", detail).retry(2));
            }
        };
        match timeout(READ, collect(body, limit, announced.unwrap_or(0))).await {
            Ok(read) => Ok((read?, room)),
            Err(_) => {
                let detail = format!("the body did not arrive within {} s; send it again", READ.as_secs());
                Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "body_timeout", detail))
            }
        }
    }
}

async fn collect(body: Body, limit: usize, announced: usize) -> Result<Vec<u8>, Problem> {
    let mut bytes = Vec::with_capacity(announced.min(limit));
    let mut stream = body.into_data_stream();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|_| {
            let detail = "the body ended before it was complete; send it again";
            Problem::new(StatusCode::BAD_REQUEST, "body_incomplete", detail)
        })?;
        if bytes.len() + chunk.len() > limit {
            return Err(push::too_large(limit).into());
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}
