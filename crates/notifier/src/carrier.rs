//! What takes mail away: a mail server, or a folder.

use std::path::PathBuf;

use tandem_domain::mail::Address;
use thiserror::Error;

use crate::smtp::{Session, Smtp};
use crate::{folder, paper};

/// What takes mail away.
#[derive(Clone, Debug)]
pub enum Carrier {
    /// A mail server.
    Smtp(Smtp),
    /// A folder that gets a file `.eml` for each mail: for the demo.
    Folder(PathBuf),
}

/// What became of a mail that was handed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Handed {
    /// It was taken; what the server said.
    Taken(String),
    /// The server wants it again later.
    Later(String),
    /// The server will never take it.
    Refused(String),
    /// Nobody knows: the connection ended after the words had left and before the answer.
    Unknown(String),
    /// The words did not leave, because the mail may not go out any more.
    Stopped,
}

/// The carrier cannot be reached; nothing has left.
#[derive(Clone, Debug, Error)]
pub enum CarrierError {
    /// No connection, or none that can be trusted, or the login was refused.
    #[error("the mail server cannot be used: {0}")]
    Away(String),
    /// The database says nothing, so nothing may leave.
    #[error("the mail was not handed over: {0}")]
    Held(String),
}

/// A way that is open.
pub(crate) enum Open<'a> {
    Smtp(Box<Session>),
    Folder(&'a PathBuf),
}

impl Carrier {
    /// Opens the way.
    pub(crate) async fn open(&self) -> Result<Open<'_>, CarrierError> {
        match self {
            Self::Smtp(smtp) => Ok(Open::Smtp(Box::new(smtp.connect().await?))),
            Self::Folder(folder) => Ok(Open::Folder(folder)),
        }
    }
}

impl Open<'_> {
    /// Hands one mail over. `leave` is asked right before its words leave; they stay when it says no.
    pub(crate) async fn hand(
        &mut self,
        bounce: &Address,
        to: &Address,
        mail: &paper::Paper,
        leave: impl AsyncFnOnce() -> Result<bool, String>,
    ) -> Result<Handed, CarrierError> {
        match self {
            Self::Smtp(session) => session.hand(bounce, to, mail, leave).await,
            Self::Folder(folder) => {
                if !leave().await.map_err(CarrierError::Held)? {
                    return Ok(Handed::Stopped);
                }
                folder::put(folder, mail).await
            }
        }
    }

    /// Whether the way can take another mail.
    pub(crate) fn usable(&self) -> bool {
        match self {
            Self::Smtp(session) => session.usable(),
            Self::Folder(_) => true,
        }
    }

    /// Closes it politely.
    pub(crate) async fn close(self) {
        if let Self::Smtp(session) = self {
            session.close().await;
        }
    }
}
