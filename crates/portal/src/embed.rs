//! Signed addresses of the page that the PBX's own pages show in a frame. Pure.
//!
//! Whoever has the provider's key makes one, for one account and a few minutes, and needs no sign-in: the page tells how
//! many changes wait and leads to the portal, where people sign in as ever. `docs/embed.md` says how to make one, with
//! examples that a test of this module reads.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret as _, SecretString};
use time::{Duration, OffsetDateTime};
use url::Url;

/// What is signed begins with this, so that no signature of this key means anything elsewhere.
const PURPOSE: &str = "tandem-embed-v1";
/// The longest life that any configuration may allow.
pub const LONGEST_LIFE: Duration = Duration::hours(1);
/// The shortest key, in characters.
pub const SHORTEST_KEY: usize = 32;

/// Who may show the page in a frame, and how addresses are signed.
#[derive(Clone, Debug)]
pub struct EmbedSettings {
    /// The key that the provider's PBX pages sign with.
    pub key: SecretString,
    /// Origins of those pages.
    pub origins: Vec<Url>,
    /// An address that is good for longer counts as forged.
    pub max_life: Duration,
}

/// Why an address is not good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotGood {
    /// Not signed with the key, or for another account or time.
    Forged,
    Expired,
    /// Good for longer than addresses may be.
    TooLong,
}

fn key(secret: &SecretString) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, secret.expose_secret().as_bytes())
}

fn signed(account: &str, expires: i64) -> String {
    format!("{PURPOSE}\n{account}\n{expires}")
}

/// The address of an account's page, good until `expires`.
///
/// # Errors
/// When `base` is no address that paths can be joined to.
pub fn embed_link(
    base: &Url,
    secret: &SecretString,
    account: &str,
    expires: OffsetDateTime,
) -> Result<Url, url::ParseError> {
    let expires = expires.unix_timestamp();
    let signature = hmac::sign(&key(secret), signed(account, expires).as_bytes());
    let mut link = base.join(&format!("embed/{account}"))?;
    link.query_pairs_mut()
        .append_pair("expires", &expires.to_string())
        .append_pair("signature", &URL_SAFE_NO_PAD.encode(signature));
    Ok(link)
}

/// Whether an address is good now. The signature is looked at first: nothing is told to whoever has no key.
pub(crate) fn check(
    settings: &EmbedSettings,
    (account, expires): (&str, i64),
    signature: &str,
    now: OffsetDateTime,
) -> Result<(), NotGood> {
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| NotGood::Forged)?;
    hmac::verify(&key(&settings.key), signed(account, expires).as_bytes(), &signature)
        .map_err(|_| NotGood::Forged)?;
    let left = expires.saturating_sub(now.unix_timestamp());
    if left <= 0 {
        Err(NotGood::Expired)
    } else if left > settings.max_life.whole_seconds() {
        Err(NotGood::TooLong)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(key: &str) -> EmbedSettings {
        EmbedSettings { key: key.to_owned().into(), origins: Vec::new(), max_life: Duration::minutes(10) }
    }

    fn at(seconds: i64) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(seconds).unwrap()
    }

    /// Account, expiry and signature of an address.
    fn parts(link: &Url) -> (String, i64, String) {
        let value = |name: &str| link.query_pairs().find(|(key, _)| key == name).unwrap().1.into_owned();
        let account = link.path().strip_prefix("/embed/").unwrap().to_owned();
        (account, value("expires").parse().unwrap(), value("signature"))
    }

    #[test]
    fn a20_an_address_is_good_for_its_account_and_its_time_alone() {
        let settings = settings("0123456789abcdef0123456789abcdef");
        let base = Url::parse("https://portal.example/").unwrap();
        let link = embed_link(&base, &settings.key, "account1", at(1_000_600)).unwrap();
        let (account, expires, signature) = parts(&link);
        let good = |account: &str, expires, signature: &str, now| {
            check(&settings, (account, expires), signature, at(now))
        };
        assert_eq!(good(&account, expires, &signature, 1_000_000), Ok(()));
        assert_eq!(good(&account, expires, &signature, 1_000_600), Err(NotGood::Expired));
        assert_eq!(good(&account, expires, &signature, 999_999), Err(NotGood::TooLong));
        for (account, expires, signature) in [
            ("account2", expires, signature.as_str()),
            ("account1", expires + 1, &signature),
            ("account1", expires, ""),
            ("account1", expires, "AAAA"),
            ("account1", expires, &signature[1..]),
            ("account1", expires, &format!("{signature}=")),
        ] {
            assert_eq!(good(account, expires, signature, 1_000_000), Err(NotGood::Forged));
        }
        let other = embed_link(
            &base,
            &"another key of thirty-two letters".to_owned().into(),
            "account1",
            at(expires),
        );
        assert_eq!(good("account1", expires, &parts(&other.unwrap()).2, 1_000_000), Err(NotGood::Forged));
    }

    #[test]
    fn the_examples_of_the_document_are_true() {
        let text = include_str!("../../../docs/embed.md");
        let rows = text.lines().filter_map(|line| line.strip_prefix("| `key-")).map(|row| {
            row.split('|').map(|cell| cell.trim().trim_matches('`').to_owned()).collect::<Vec<_>>()
        });
        let base = Url::parse("https://portal.example/").unwrap();
        let mut seen = 0;
        for row in rows {
            let [key, account, expires, signature] = row.get(..4).unwrap() else { panic!("{row:?}") };
            let key = format!("key-{key}").into();
            let link = embed_link(&base, &key, account, at(expires.parse().unwrap())).unwrap();
            assert_eq!(parts(&link).2, *signature, "{account} {expires}");
            assert!(text.contains(link.as_str()) || seen > 0, "the first is written out: {link}");
            seen += 1;
        }
        assert!(seen >= 3);
    }
}
