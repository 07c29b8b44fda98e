//! A mail server, spoken to in steps, so that it is known whether the words of a mail have left.

use std::time::Duration;

use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt, Rset};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::response::Response;
use secrecy::{ExposeSecret as _, SecretString};
use tandem_domain::mail::{Address, one_line};
use tandem_runtime::chain;

use crate::carrier::{CarrierError, Handed};
use crate::paper::{Paper, mailbox};

/// Longest answer that is kept.
const REPLY: usize = 300;

/// How the connection is secured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsMode {
    /// TLS from the first byte, usually port 465.
    Implicit,
    /// STARTTLS, which is demanded, usually port 587.
    StartTls,
    /// None: for a server on this machine.
    None,
}

/// Where the mail server is.
#[derive(Clone, Debug)]
pub struct SmtpConfig {
    /// Its name, as its certificate says it.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is secured.
    pub tls: TlsMode,
    /// A private certificate authority, as PEM.
    pub ca_pem: Option<String>,
    /// User and password.
    pub login: Option<(String, SecretString)>,
    /// How this machine calls itself; its host name where nothing is said.
    pub hello: Option<String>,
    /// Longest wait for a connection, and for each answer but the last.
    pub patience: Duration,
    /// Longest wait for the answer to a whole mail; servers may take minutes to look at one (RFC 5321, 4.5.3.2).
    pub data_patience: Duration,
}

/// A mail server.
#[derive(Clone)]
pub struct Smtp {
    config: SmtpConfig,
    tls: Option<TlsParameters>,
    hello: ClientId,
}

impl std::fmt::Debug for Smtp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Smtp").field(&self.config).finish()
    }
}

impl Smtp {
    /// A mail server; nothing is connected yet.
    ///
    /// # Errors
    /// What is wrong with the certificate authority.
    pub fn new(config: SmtpConfig) -> Result<Self, CarrierError> {
        let away = |error: Error| CarrierError::Away(chain(&error));
        let tls = match config.tls {
            TlsMode::None => None,
            TlsMode::Implicit | TlsMode::StartTls => {
                let mut tls = TlsParameters::builder(config.host.clone());
                if let Some(pem) = &config.ca_pem {
                    tls = tls.add_root_certificate(Certificate::from_pem(pem.as_bytes()).map_err(away)?);
                }
                Some(tls.build_rustls().map_err(away)?)
            }
        };
        let hello = config.hello.clone().map_or_else(ClientId::default, ClientId::Domain);
        Ok(Self { config, tls, hello })
    }

    /// Connects, secures the connection, and signs in.
    pub(crate) async fn connect(&self) -> Result<Session, CarrierError> {
        let away = |error: Error| CarrierError::Away(one_line(&chain(&error), REPLY));
        let address = (self.config.host.as_str(), self.config.port);
        let connected = async {
            let first = self.tls.clone().filter(|_| self.config.tls == TlsMode::Implicit);
            let patience = Some(self.config.patience);
            let mut connection =
                AsyncSmtpConnection::connect_tokio1(address, patience, &self.hello, first, None)
                    .await
                    .map_err(away)?;
            if let (TlsMode::StartTls, Some(tls)) = (self.config.tls, &self.tls) {
                connection.starttls(tls.clone(), &self.hello).await.map_err(away)?;
            }
            if let Some((user, password)) = &self.config.login {
                let credentials = Credentials::new(user.clone(), password.expose_secret().to_owned());
                connection.auth(DEFAULT_MECHANISMS, &credentials).await.map_err(away)?;
            }
            Ok(connection)
        };
        let connection = tokio::time::timeout(self.config.patience * 2, connected)
            .await
            .map_err(|_| CarrierError::Away("no connection in time".to_owned()))??;
        let (patience, data_patience) = (self.config.patience, self.config.data_patience);
        Ok(Session { connection, patience, data_patience, broken: false })
    }
}

/// A connection to a mail server.
pub(crate) struct Session {
    connection: AsyncSmtpConnection,
    patience: Duration,
    data_patience: Duration,
    broken: bool,
}

/// How a step went.
enum Step {
    Ok(String),
    Said(Handed),
    Lost(String),
}

impl Session {
    pub(crate) fn usable(&self) -> bool {
        !self.broken
    }

    /// One transaction with one recipient.
    pub(crate) async fn hand(
        &mut self,
        bounce: &Address,
        to: &Address,
        mail: &Paper,
        leave: impl AsyncFnOnce() -> Result<bool, String>,
    ) -> Result<Handed, CarrierError> {
        let (Ok(from), Ok(recipient)) = (mailbox(bounce), mailbox(to)) else {
            return Ok(Handed::Refused("the address cannot be written to a mail server".to_owned()));
        };
        for command in [
            Mail::new(Some(from), Vec::new()).to_string(),
            Rcpt::new(recipient, Vec::new()).to_string(),
            Data.to_string(),
        ] {
            match self.step(command).await {
                Step::Ok(_) => {}
                Step::Said(handed) => {
                    self.reset().await;
                    return Ok(handed);
                }
                Step::Lost(text) => return Err(CarrierError::Away(text)),
            }
        }
        match leave().await {
            Ok(true) => {}
            // a connection that ends here takes no mail with it
            Ok(false) => {
                self.broken = true;
                return Ok(Handed::Stopped);
            }
            Err(text) => {
                self.broken = true;
                return Err(CarrierError::Held(text));
            }
        }
        let sent = tokio::time::timeout(self.data_patience, self.connection.message(&mail.bytes)).await;
        Ok(match self.sort(sent) {
            Step::Ok(text) => Handed::Taken(text),
            Step::Said(handed) => handed,
            Step::Lost(text) => Handed::Unknown(text),
        })
    }

    pub(crate) async fn close(mut self) {
        if !self.broken {
            let _gone = tokio::time::timeout(Duration::from_secs(2), self.connection.quit()).await;
        }
    }

    async fn reset(&mut self) {
        if !self.broken
            && let Step::Lost(_) | Step::Said(_) = self.step(Rset.to_string()).await
        {
            self.broken = true;
        }
    }

    async fn step(&mut self, command: String) -> Step {
        let answer = tokio::time::timeout(self.patience, self.connection.command(command)).await;
        self.sort(answer)
    }

    fn sort(&mut self, answer: Result<Result<Response, Error>, tokio::time::error::Elapsed>) -> Step {
        match answer {
            Ok(Ok(response)) => {
                let said: Vec<&str> = response.message().collect();
                Step::Ok(one_line(&format!("{} {}", response.code(), said.join(" ")), REPLY))
            }
            Ok(Err(error)) => {
                let text = one_line(&chain(&error), REPLY);
                if error.is_permanent() {
                    Step::Said(Handed::Refused(text))
                } else if error.is_transient() {
                    // 421: the server closes the connection
                    self.broken |= error.status().is_some_and(|code| u16::from(code) == 421);
                    Step::Said(Handed::Later(text))
                } else {
                    self.broken = true;
                    Step::Lost(text)
                }
            }
            Err(_) => {
                self.broken = true;
                Step::Lost("the mail server did not answer in time".to_owned())
            }
        }
    }
}
