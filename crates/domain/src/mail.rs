//! Mail: its kinds, what may have become of it, and the addresses it may go to.

use serde::{Deserialize, Serialize};
use thiserror::Error;
use time::{Duration, OffsetDateTime};

use crate::job::text_enum;
use crate::plan::Code;
use crate::quarantine::{Cause, MAIL_DAYS, dates};

text_enum! {
    /// What a mail is about. A mail is sent once per account, kind and period.
    Kind {
        /// Something waits for the Global Admin; the period is a day of the account.
        Reminder = "reminder",
        /// A link to connect the tenant.
        Invitation = "invitation",
        /// Auto Sync was switched on.
        AutoSyncOn = "auto_sync_on",
        /// Auto Sync was switched off by the system, after 28 days in quarantine.
        AutoSyncOff = "auto_sync_off",
        /// Automatic work of the account stopped, or its reason changed.
        Quarantine = "quarantine",
        /// It has stopped for 1, 14 or 27 days.
        QuarantineDay = "quarantine_day",
        /// Jobs of several accounts fail alike; for the provider's operators.
        Incident = "incident",
        /// Somebody wants to know whether mail arrives.
        Test = "test",
    }
}

impl Kind {
    /// As people see it.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Reminder => "Reminder",
            Self::Invitation => "Invitation",
            Self::AutoSyncOn => "Auto Sync switched on",
            Self::AutoSyncOff => "Auto Sync switched off",
            Self::Quarantine => "Automatic syncs stopped",
            Self::QuarantineDay => "Automatic syncs still stopped",
            Self::Incident => "Incident",
            Self::Test => "Test mail",
        }
    }

    /// After so long a mail that could not be handed over is out of date and is given up. A reminder is out of date when
    /// its day is over, which its calendar tells.
    #[must_use]
    pub fn life(self) -> Duration {
        match self {
            Self::Invitation => Duration::hours(48),
            Self::Test => Duration::hours(1),
            Self::Reminder => Duration::days(2),
            _ => Duration::days(5),
        }
    }
}

text_enum! {
    /// What became of a mail to one address.
    Outcome {
        /// It waits to be handed over, again perhaps.
        Waiting = "waiting",
        /// It is being handed over.
        Sending = "sending",
        /// The server took it.
        Sent = "sent",
        /// The process ended, or the connection, between handing it over and the answer. It is not sent again.
        Unknown = "unknown",
        /// The server refused it for good.
        Refused = "refused",
        /// It was out of date before it could be handed over.
        Expired = "expired",
        /// A newer one took its place, or its cause was gone, before it could be handed over.
        Superseded = "superseded",
    }
}

impl Outcome {
    /// As people see it.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Waiting => "Waits for the mail server",
            Self::Sending => "Being sent",
            Self::Sent => "Sent",
            Self::Unknown => "Perhaps sent",
            Self::Refused => "Refused by the mail server",
            Self::Expired => "Given up",
            Self::Superseded => "Not needed any more",
        }
    }
}

text_enum! {
    /// Why an address gets the mail of an account.
    RecipientRole {
        /// It is the Global Admin's.
        GlobalAdmin = "global_admin",
        /// Somebody chose it.
        Further = "further",
        /// It joins after three days without success.
        SecondContact = "second_contact",
    }
}

impl RecipientRole {
    /// As people see it.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::GlobalAdmin => "Global Admin",
            Self::Further => "Further recipient",
            Self::SecondContact => "Second contact",
        }
    }
}

/// Wait before try number `tries + 1`: 1, 5, 15, 30 min, then hourly. Greylisting servers take a mail after minutes.
#[must_use]
pub fn retry(tries: u32) -> Duration {
    const MINUTES: [i64; 4] = [1, 5, 15, 30];
    let index = usize::try_from(tries.saturating_sub(1)).unwrap_or(usize::MAX);
    Duration::minutes(MINUTES.get(index).copied().unwrap_or(60))
}

/// The day of a quarantine for which a mail is due: the last of 1, 14 and 27 that has come. Days missed are left out.
#[must_use]
pub fn quarantine_day(since: OffsetDateTime, now: OffsetDateTime) -> Option<i64> {
    let (at, off) = dates(since);
    MAIL_DAYS.into_iter().zip(at).filter(|(_, at)| *at <= now && now < off).map(|(day, _)| day).next_back()
}

/// Whether failures of this code, in several accounts at once, are for the provider: not what one customer's tenant,
/// licences or numbers bring about.
#[must_use]
pub fn is_incident(code: &str) -> bool {
    let planned = Code::ALL.iter().any(|known| known.as_str() == code);
    Cause::parse(code).is_none() && !planned && !OF_A_CUSTOMER.contains(&code)
}

/// Refusals of Microsoft that the customer sets right in its own tenant, and what waits for a person.
const OF_A_CUSTOMER: [&str; 10] = [
    "number_taken",
    "number_trapped",
    "usage_location_missing",
    "emergency_location_missing",
    "number_not_in_tenant",
    "number_on_premises",
    "changed_outside",
    "not_authorized",
    "sign_in_over",
    "plan_changed",
];

/// An address that mail may go to: one mailbox, as `local@domain`, in plain ASCII.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Address(String);

/// Not such an address. The text of the address is not repeated: it goes into pages and logs.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum AddressError {
    /// Longer than SMTP takes.
    #[error("the address is too long")]
    Long,
    /// Line breaks, blanks, quotes, comments, lists, or letters outside ASCII.
    #[error(
        "an address is one mailbox such as name@example.com, in plain letters; write an internationalised domain in its xn-- form"
    )]
    Form,
}

impl Address {
    /// Reads an address. Stricter than the standard: what mail programs and servers disagree on is refused.
    ///
    /// # Errors
    /// [`AddressError`].
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let (local, domain) = text.rsplit_once('@').ok_or(AddressError::Form)?;
        if text.len() > 254 || local.len() > 64 {
            return Err(AddressError::Long);
        }
        let atom = |c: u8| c.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&c);
        let dotted = |part: &str, good: &dyn Fn(u8) -> bool| {
            part.split('.').all(|word| !word.is_empty() && word.bytes().all(good))
        };
        let label = |c: u8| c.is_ascii_alphanumeric() || c == b'-';
        let labels = domain
            .split('.')
            .all(|label| label.len() <= 63 && !label.starts_with('-') && !label.ends_with('-'));
        // the last label of a domain is no number: an address literal without brackets
        let named = domain.rsplit('.').next().is_some_and(|top| top.bytes().any(|c| c.is_ascii_alphabetic()));
        if !(dotted(local, &atom) && dotted(domain, &label) && labels && named && domain.contains('.')) {
            return Err(AddressError::Form);
        }
        Ok(Self(format!("{local}@{}", domain.to_ascii_lowercase())))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The domain, in small letters.
    #[must_use]
    pub fn domain(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(_, domain)| domain)
    }
}

impl TryFrom<String> for Address {
    type Error = AddressError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<Address> for String {
    fn from(address: Address) -> Self {
        address.0
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text as one line of a mail's head: no line breaks nor other control characters, no marks that turn the direction
/// of writing around, and not without end.
#[must_use]
pub fn one_line(text: &str, most: usize) -> String {
    let turning =
        |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let broken = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    let kept = text.chars().filter(|c| !turning(*c)).map(|c| if broken(c) { ' ' } else { c });
    let line: String = kept.take(most + 1).collect();
    let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() > most || text.chars().count() > most {
        return format!("{}\u{2026}", line.chars().take(most.saturating_sub(1)).collect::<String>());
    }
    line
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn b39_only_one_plain_mailbox_is_an_address() {
        for good in
            ["ana@contoso.example", "A.b+c_d@Sub.Example.COM", "x@xn--bcher-kva.example", "o'neil@a.bc"]
        {
            assert!(Address::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "@",
            "ana",
            "ana@",
            "@contoso.example",
            "ana@contoso",
            "ana@contoso.example\r\nBcc: eve@evil.example",
            "ana@contoso.example\nX: y",
            "ana\r\n@contoso.example",
            "ana@contoso.example,eve@evil.example",
            "ana@contoso.example;eve@evil.example",
            "ana@contoso.example eve@evil.example",
            "ana@contoso.example@evil.example",
            "\"ana smith\"@contoso.example",
            "\"eve@evil.example> \"@contoso.example",
            "Ana <ana@contoso.example>",
            "<ana@contoso.example>",
            "ana(comment)@contoso.example",
            ".ana@contoso.example",
            "ana.@contoso.example",
            "a..b@contoso.example",
            "ana@contoso..example",
            "ana@-contoso.example",
            "ana@contoso.example.",
            "ana@[127.0.0.1]",
            "ana@127.0.0.1",
            "ana@bücher.example",
            "änä@contoso.example",
            "ana@contoso.example\0",
            " ana@contoso.example",
        ] {
            assert!(Address::parse(bad).is_err(), "{bad:?}");
        }
        let long = format!("{}@contoso.example", "a".repeat(65));
        assert_eq!(Address::parse(&long), Err(AddressError::Long));
    }

    #[test]
    fn b39_the_domain_is_compared_in_small_letters() {
        assert_eq!(Address::parse("Ana@CONTOSO.example").unwrap().domain(), "contoso.example");
    }

    #[test]
    fn tries_come_at_1_5_15_30_minutes_then_hourly() {
        assert_eq!([1, 2, 3, 4, 5, 40].map(|tries| retry(tries).whole_minutes()), [1, 5, 15, 30, 60, 60]);
    }

    #[test]
    fn mails_of_a_quarantine_that_were_missed_are_left_out() {
        let since = OffsetDateTime::UNIX_EPOCH;
        let day = |days: i64| quarantine_day(since, since + Duration::days(days));
        assert_eq!([0, 1, 2, 14, 20, 27].map(day), [None, Some(1), Some(1), Some(14), Some(14), Some(27)]);
        assert_eq!(day(28), None, "Auto Sync is switched off then");
    }

    #[test]
    fn idea12_faults_of_one_customer_are_no_incident() {
        for code in ["transient", "microsoft_unavailable", "internal"] {
            assert!(is_incident(code), "{code}");
        }
        for code in [
            "authorization_revoked",
            "too_many_failures",
            "number_unusable",
            "no_phone_licence",
            "number_taken",
        ] {
            assert!(!is_incident(code), "{code}");
        }
    }

    proptest! {
        #[test]
        fn b39_no_text_breaks_the_line(text in any::<String>(), most in 1_usize..80) {
            let line = one_line(&text, most);
            prop_assert!(!line.chars().any(char::is_control));
            prop_assert!(line.chars().count() <= most);
        }

        #[test]
        fn b39_an_address_never_holds_what_smtp_reads(text in "[ -~\r\n]{0,40}@[ -~\r\n]{0,30}") {
            if let Ok(address) = Address::parse(&text) {
                prop_assert!(!address.as_str().contains(|c: char| c.is_control() || " <>,;:\"()[]\\".contains(c)));
                prop_assert_eq!(address.as_str().matches('@').count(), 1);
            }
        }
    }
}
