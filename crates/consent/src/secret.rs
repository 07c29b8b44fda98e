//! Secrets of links and sessions: 256 bits from the operating system's generator; only their hashes are kept.

use aws_lc_rs::{digest, hmac, rand};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::SecretString;
use tandem_domain::AccountId;
use tandem_store::connect::SecretHash;
use uuid::Uuid;

const BYTES: usize = 32;

/// 256 random bits. No Debug, no Display: it is shown where it is meant to be and nowhere else.
#[derive(Clone)]
pub struct Secret([u8; BYTES]);

/// The operating system gave no random bits.
#[derive(Debug, thiserror::Error)]
#[error("the operating system gave no random bits")]
pub struct NoRandom;

impl Secret {
    /// A new one.
    ///
    /// # Errors
    /// [`NoRandom`]
    pub fn new() -> Result<Self, NoRandom> {
        let mut bytes = [0; BYTES];
        rand::fill(&mut bytes).map_err(|_| NoRandom)?;
        Ok(Self(bytes))
    }

    /// Reads its text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok().map(Self)
    }

    /// As it stands in a cookie or an address.
    #[must_use]
    pub fn text(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    /// What is kept of it.
    #[must_use]
    pub fn hash(&self) -> SecretHash {
        sha256(&self.0)
    }

    /// Something that only the holder of this secret can make again: the nonce, the PKCE verifier and the form's mark
    /// of a session are made anew from its cookie and stored nowhere.
    #[must_use]
    pub fn derive(&self, use_: &str, of: &str) -> SecretString {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.0);
        let tag = hmac::sign(&key, format!("{use_} {of}").as_bytes());
        URL_SAFE_NO_PAD.encode(tag).into()
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> SecretHash {
    let mut hash = [0; BYTES];
    hash.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    hash
}

/// PKCE's challenge of a verifier, method S256 (RFC 7636).
#[must_use]
pub fn challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(sha256(verifier.as_bytes()))
}

/// The part of a link that only its receiver knows. It names the account, so that every look into the database is made
/// in the context of that account.
#[derive(Clone)]
pub struct LinkCode {
    pub(crate) account: AccountId,
    pub(crate) secret: Secret,
}

impl LinkCode {
    pub(crate) fn new(account: AccountId) -> Result<Self, NoRandom> {
        Ok(Self { account, secret: Secret::new()? })
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        let bytes: [u8; 16 + BYTES] = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
        let (account, secret) = bytes.split_first_chunk::<16>()?;
        let account = AccountId(Uuid::from_bytes(*account));
        Some(Self { account, secret: Secret(secret.try_into().ok()?) })
    }

    /// As it stands in the link.
    #[must_use]
    pub fn text(&self) -> String {
        URL_SAFE_NO_PAD.encode([self.account.0.as_bytes().as_slice(), &self.secret.0].concat())
    }

    /// The account.
    #[must_use]
    pub fn account(&self) -> AccountId {
        self.account
    }

    /// What is kept of it.
    #[must_use]
    pub fn hash(&self) -> SecretHash {
        self.secret.hash()
    }
}

/// What a browser's cookie holds: the link it came by, and the secret of its session.
#[derive(Clone)]
pub(crate) struct Session {
    pub(crate) link: LinkCode,
    pub(crate) secret: Secret,
}

impl Session {
    pub(crate) fn new(link: LinkCode) -> Result<Self, NoRandom> {
        Ok(Self { link, secret: Secret::new()? })
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (link, secret) = text.split_once('.')?;
        Some(Self { link: LinkCode::parse(link)?, secret: Secret::parse(secret)? })
    }

    pub(crate) fn text(&self) -> String {
        format!("{}.{}", self.link.text(), self.secret.text())
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn b55_every_secret_has_256_bits_and_is_read_back_from_its_text() {
        let account = AccountId(Uuid::from_u128(7));
        let session = Session::new(LinkCode::new(account).unwrap()).unwrap();
        let again = Session::parse(&session.text()).unwrap();
        assert_eq!(again.link.account(), account);
        assert_eq!((again.link.hash(), again.secret.hash()), (session.link.hash(), session.secret.hash()));
        assert_ne!(Secret::new().unwrap().hash(), session.secret.hash());
        for bad in ["", ".", "a.b", &session.text()[1..], &format!("{}x", session.text())] {
            assert!(Session::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn what_is_derived_depends_on_session_use_and_state() {
        let secret = Secret(*b"0123456789abcdef0123456789abcdef");
        let verifier = secret.derive("verifier", "state").expose_secret().to_owned();
        // RFC 7636 asks for 43 to 128 characters
        assert_eq!(verifier.len(), 43);
        for other in [
            secret.derive("nonce", "state"),
            secret.derive("verifier", "other"),
            Secret([0; 32]).derive("verifier", "state"),
        ] {
            assert_ne!(other.expose_secret(), verifier);
        }
        // RFC 7636, appendix B
        let known = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        assert_eq!(challenge(known), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }
}
