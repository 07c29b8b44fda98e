//! How to reach the broker.

use std::{path::PathBuf, time::Duration};

use async_nats::ConnectOptions;
use secrecy::{ExposeSecret, SecretString};

use crate::BusError;

/// How to reach the broker.
#[derive(Clone, Debug)]
pub struct BusConfig {
    /// `nats://host:port` or `tls://host:port`; several are separated by commas. Without credentials in it.
    pub url: String,
    /// Who we are.
    pub auth: Auth,
    /// How the connection is encrypted.
    pub tls: TlsConfig,
    /// The name the broker's tools show for this connection.
    pub client_name: String,
    /// How long the broker may take to confirm a message, or to answer a question about a stream.
    pub publish_timeout: Duration,
    /// How long [`Bus::connect`](crate::Bus::connect) waits for the broker before it goes on without it.
    pub connect_grace: Duration,
}

impl BusConfig {
    /// The defaults, for the broker at `url`.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            auth: Auth::None,
            tls: TlsConfig::default(),
            client_name: "tandem".to_owned(),
            publish_timeout: Duration::from_secs(3),
            connect_grace: Duration::from_secs(3),
        }
    }
}

/// Who we are to the broker.
#[derive(Clone, Debug, Default)]
pub enum Auth {
    /// Nobody: for development only.
    #[default]
    None,
    /// A user with a password.
    UserPassword {
        /// The user.
        user: String,
        /// The password.
        password: SecretString,
    },
    /// The seed of an nkey.
    Nkey(SecretString),
    /// The text of a `.creds` file.
    Creds(SecretString),
    /// A token.
    Token(SecretString),
}

/// How the connection is encrypted.
#[derive(Clone, Debug, Default)]
pub struct TlsConfig {
    /// Refuse a broker that does not offer TLS. A `tls://` address does the same.
    pub required: bool,
    /// Trust this certificate authority as well.
    pub ca_file: Option<PathBuf>,
    /// Our certificate, for mutual TLS; with `client_key_file`.
    pub client_cert_file: Option<PathBuf>,
    /// The key of our certificate.
    pub client_key_file: Option<PathBuf>,
}

/// The client's options for `config`, as `auth`.
pub(crate) fn options(config: &BusConfig, auth: &Auth) -> Result<ConnectOptions, BusError> {
    let TlsConfig { required, ca_file, client_cert_file, client_key_file } = &config.tls;
    let mut options = ConnectOptions::new()
        .name(&config.client_name)
        .ping_interval(Duration::from_secs(15))
        .connection_timeout(config.connect_grace.max(Duration::from_secs(1)))
        .request_timeout(Some(config.publish_timeout))
        .require_tls(*required);
    options = match auth {
        Auth::None => options,
        Auth::UserPassword { user, password } => {
            options.user_and_password(user.clone(), password.expose_secret().to_owned())
        }
        Auth::Nkey(seed) => options.nkey(seed.expose_secret().trim().to_owned()),
        Auth::Creds(text) => options.credentials(text.expose_secret()).map_err(BusError::BadCredentials)?,
        Auth::Token(token) => options.token(token.expose_secret().to_owned()),
    };
    if let Some(file) = ca_file {
        options = options.add_root_certificates(file.clone());
    }
    match (client_cert_file, client_key_file) {
        (Some(cert), Some(key)) => options = options.add_client_certificate(cert.clone(), key.clone()),
        (None, None) => {}
        _ => return Err(BusError::HalfCertificate),
    }
    Ok(options)
}
