//! Ports for private servers.

use std::net::TcpListener;

/// Below the range from which Linux gives ports to outgoing connections (32768 and up): a client that
/// reconnects while its server is down could otherwise be given the very port that the server needs again.
const FIRST: u16 = 15_000;
const COUNT: u16 = 16_000;

/// No port could be had.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// The machine gave no random bytes.
    #[error("choose a random port")]
    Random,
    /// Many ports were tried and all were taken.
    #[error("find a free port on 127.0.0.1")]
    NoneFree,
}

/// A port of 127.0.0.1 that nobody listens on at this moment; whoever uses it must be ready to try another.
///
/// # Errors
/// When no free port is found after many tries.
pub fn free_port() -> Result<u16, PortError> {
    for _ in 0..200 {
        let mut bytes = [0_u8; 2];
        aws_lc_rs::rand::fill(&mut bytes).map_err(|_unspecified| PortError::Random)?;
        let port = FIRST + u16::from_le_bytes(bytes) % COUNT;
        if is_free(port) {
            return Ok(port);
        }
    }
    Err(PortError::NoneFree)
}

/// Which port a server is to listen on.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wanted {
    /// This one if it is to be had, else any.
    Rather(Option<u16>),
    /// This one and no other: clients know it.
    Only(u16),
}

impl Wanted {
    /// The port of the next try.
    pub(crate) fn next(&mut self) -> Result<u16, PortError> {
        match self {
            Self::Only(port) => Ok(*port),
            Self::Rather(port) => port.take().map_or_else(free_port, Ok),
        }
    }
}

/// Whether the port can be listened on now.
pub(crate) fn is_free(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).is_ok()
}
