//! A letter on paper: headers, a plain text part, an HTML part.

use lettre::Message;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, SinglePart};
use tandem_domain::mail::{Address, Kind, one_line};
use tandem_letters::Letter;
use time::OffsetDateTime;
use uuid::Uuid;

/// Who writes, as the head of a mail says it.
#[derive(Clone, Debug)]
pub struct Sender {
    from: Mailbox,
    bounce: Address,
    domain: String,
}

/// Not a sender.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum SenderError {
    /// Not an address.
    #[error("{0}")]
    Address(#[from] tandem_domain::mail::AddressError),
    /// An address that cannot be written into a mail.
    #[error("the address cannot be written into a mail")]
    Mailbox,
}

impl Sender {
    /// Somebody who writes from `address` under `name`; `bounce` gets what mail servers send back.
    ///
    /// # Errors
    /// [`SenderError`].
    pub fn new(name: &str, address: &str, bounce: Option<&str>) -> Result<Self, SenderError> {
        let address = Address::parse(address)?;
        let bounce = bounce.map_or_else(|| Ok(address.clone()), Address::parse)?;
        let from = Mailbox::new(Some(one_line(name, 80)), mailbox(&address)?);
        Ok(Self { from, bounce, domain: address.domain().to_owned() })
    }

    /// Where mail servers send back what they cannot deliver.
    pub(crate) fn bounce(&self) -> &Address {
        &self.bounce
    }
}

pub(crate) fn mailbox(address: &Address) -> Result<lettre::Address, SenderError> {
    address.as_str().parse().map_err(|_| SenderError::Mailbox)
}

/// A mail as bytes.
#[derive(Debug)]
pub(crate) struct Paper {
    /// A name for a file.
    pub(crate) name: String,
    /// Its subject.
    pub(crate) subject: String,
    /// Everything.
    pub(crate) bytes: Vec<u8>,
}

/// Puts a letter on paper. The id is the same at every try, so that whoever gets a mail twice can tell.
pub(crate) fn write(
    sender: &Sender,
    to: &Address,
    letter: &Letter,
    (kind, id): (Kind, Uuid),
    now: OffsetDateTime,
) -> Result<Paper, Box<dyn std::error::Error + Send + Sync>> {
    let place = u128::from_be_bytes(*id.as_bytes());
    let hash = to.as_str().bytes().fold(place, |hash, byte| {
        hash.wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b) ^ u128::from(byte)
    });
    let automatic = |name: &'static str, value: &str| {
        HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned())
    };
    let message = Message::builder()
        .from(sender.from.clone())
        .to(Mailbox::new(None, mailbox(to)?))
        .subject(letter.subject.clone())
        .date(now.into())
        .message_id(Some(format!("<{hash:032x}@{}>", sender.domain)))
        // no answering machine should answer, and filters may sort
        .raw_header(automatic("Auto-Submitted", "auto-generated"))
        .raw_header(automatic("X-Auto-Response-Suppress", "All"))
        .raw_header(automatic("X-Tandem-Kind", kind.as_str()))
        .multipart(
            MultiPart::alternative()
                .singlepart(SinglePart::builder().header(ContentType::TEXT_PLAIN).body(letter.text()?))
                .singlepart(SinglePart::builder().header(ContentType::TEXT_HTML).body(letter.html()?)),
        )?;
    let name = format!("{}-{kind}-{:08x}", now.unix_timestamp(), hash as u32);
    Ok(Paper { name, subject: letter.subject.clone(), bytes: message.formatted() })
}
