//! Whether the broker admits strangers.

use tokio::time::timeout;

use crate::{Auth, BusConfig, config};

/// What a client without credentials finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// It is let in: anybody who can reach the broker can ring our doorbells and read our events.
    Admitted,
    /// It is refused, as it should be.
    Refused,
    /// The broker cannot be reached, so nothing is known.
    Unreachable(String),
}

/// Tries to connect as nobody, the credentials of `config` left aside. Whether the broker asks for credentials in its
/// greeting proves nothing: brokers have admitted strangers although users were configured (CVE-2023-47090).
pub async fn probe_anonymous(config: &BusConfig) -> Probe {
    let options = match config::options(config, &Auth::None) {
        Ok(options) => options,
        Err(error) => return Probe::Unreachable(tandem_runtime::chain(&error)),
    };
    let addresses: Vec<&str> = config.url.split(',').map(str::trim).collect();
    let limit = config.connect_grace * 2;
    match timeout(limit, options.max_reconnects(1).connect(addresses)).await {
        Ok(Ok(client)) => match timeout(limit, client.flush()).await {
            Ok(Ok(())) => Probe::Admitted,
            _ => Probe::Unreachable("the connection ended at once".to_owned()),
        },
        Ok(Err(error)) => match error.kind() {
            async_nats::ConnectErrorKind::AuthorizationViolation
            | async_nats::ConnectErrorKind::Authentication => Probe::Refused,
            _ => Probe::Unreachable(tandem_runtime::chain(&error)),
        },
        Err(_) => Probe::Unreachable("no answer in time".to_owned()),
    }
}
