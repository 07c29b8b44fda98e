//! The normalised row of one PBX user and the difference between two of them.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// One extension with its person, normalised: blank = absent, texts trimmed, e-mail in lower case, numbers sorted.
///
/// The field names are the stable names that change records, policy rules and messages use. Secrets and timestamps
/// of the PBX are not part of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Profile {
    /// Name shown to others.
    pub display_name: Option<String>,
    /// Lower-case e-mail address.
    pub email: Option<String>,
    /// Direct numbers that lead to the user, sorted, each once; `+E164` where the country is known, else raw digits.
    pub did_numbers: Vec<String>,
    /// The extension that rings.
    pub extension: Option<String>,
    /// Whether the mailbox takes messages.
    pub voicemail_enabled: bool,
    /// Where the PBX mails messages to.
    pub voicemail_email: Option<String>,
    /// Target of the unconditional forward, while it is on.
    pub forward_all: Option<String>,
    /// Target of the forward on busy, while it is on.
    pub forward_busy: Option<String>,
    /// Target of the forward on no answer, while it is on.
    pub forward_no_answer: Option<String>,
    /// Do-not-disturb.
    pub dnd: bool,
    /// Ordered targets of follow-me, while it is on.
    pub follow_me: Option<Vec<String>>,
    /// The user and its tenant in the PBX are both switched on.
    pub enabled: bool,
    /// Name of the web login that owns the extension.
    pub login_name: Option<String>,
}

/// The text itself where nothing is to be taken off, as nearly always.
fn trimmed(text: String) -> String {
    if text.trim().len() == text.len() { text } else { text.trim().to_owned() }
}

/// Longest accepted text of a profile field in bytes; longer input is refused where it enters.
pub const MAX_TEXT_BYTES: usize = 400;

impl Profile {
    /// Names of all fields, in the order in which differences list them.
    pub const FIELDS: [&'static str; 13] = [
        "display_name",
        "email",
        "did_numbers",
        "extension",
        "voicemail_enabled",
        "voicemail_email",
        "forward_all",
        "forward_busy",
        "forward_no_answer",
        "dnd",
        "follow_me",
        "enabled",
        "login_name",
    ];

    /// Brings whatever a source gave into the one spelling that is compared: see the field docs.
    #[must_use]
    pub fn normalised(mut self) -> Self {
        for text in [
            &mut self.display_name,
            &mut self.email,
            &mut self.extension,
            &mut self.voicemail_email,
            &mut self.forward_all,
            &mut self.forward_busy,
            &mut self.forward_no_answer,
            &mut self.login_name,
        ] {
            *text = text.take().map(trimmed).filter(|t| !t.is_empty());
        }
        for mail in [&mut self.email, &mut self.voicemail_email] {
            *mail = mail.take().map(|m| m.to_lowercase());
        }
        self.did_numbers = self.did_numbers.into_iter().map(trimmed).filter(|n| !n.is_empty()).collect();
        self.did_numbers.sort_unstable();
        self.did_numbers.dedup();
        self.follow_me =
            self.follow_me.map(|list| list.into_iter().map(trimmed).filter(|t| !t.is_empty()).collect());
        self
    }

    /// The value of a field as JSON, `None` for a name that is no field.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<Value> {
        let text = |t: &Option<String>| t.as_ref().map_or(Value::Null, |t| Value::from(t.as_str()));
        Some(match name {
            "display_name" => text(&self.display_name),
            "email" => text(&self.email),
            "did_numbers" => Value::from(self.did_numbers.clone()),
            "extension" => text(&self.extension),
            "voicemail_enabled" => Value::from(self.voicemail_enabled),
            "voicemail_email" => text(&self.voicemail_email),
            "forward_all" => text(&self.forward_all),
            "forward_busy" => text(&self.forward_busy),
            "forward_no_answer" => text(&self.forward_no_answer),
            "dnd" => Value::from(self.dnd),
            "follow_me" => self.follow_me.as_ref().map_or(Value::Null, |l| Value::from(l.clone())),
            "enabled" => Value::from(self.enabled),
            "login_name" => text(&self.login_name),
            _ => return None,
        })
    }

    /// Names of the fields in which two profiles differ, in the order of [`Self::FIELDS`].
    #[must_use]
    pub fn changed_fields(&self, after: &Self) -> Vec<&'static str> {
        Self::FIELDS
            .into_iter()
            .zip(self.equal(after))
            .filter(|(_, equal)| !equal)
            .map(|(name, _)| name)
            .collect()
    }

    /// Whether each field is equal, in the order of [`Self::FIELDS`].
    fn equal(&self, other: &Self) -> [bool; Self::FIELDS.len()] {
        [
            self.display_name == other.display_name,
            self.email == other.email,
            self.did_numbers == other.did_numbers,
            self.extension == other.extension,
            self.voicemail_enabled == other.voicemail_enabled,
            self.voicemail_email == other.voicemail_email,
            self.forward_all == other.forward_all,
            self.forward_busy == other.forward_busy,
            self.forward_no_answer == other.forward_no_answer,
            self.dnd == other.dnd,
            self.follow_me == other.follow_me,
            self.enabled == other.enabled,
            self.login_name == other.login_name,
        ]
    }

    /// The named fields alone, as a JSON object: the narrow `before` and `after` of a change.
    #[must_use]
    pub fn pick(&self, fields: &[&str]) -> Map<String, Value> {
        fields.iter().filter_map(|name| Some(((*name).to_owned(), self.field(name)?))).collect()
    }

    /// A 64-bit digest of the profile, equal for equal profiles, for comparing without loading the stored row.
    ///
    /// It is the head of a SHA-256 over the JSON form: stable between releases as long as the fields are.
    #[must_use]
    pub fn digest(&self) -> i64 {
        Self::digest_of(&serde_json::to_string(self).unwrap_or_default())
    }

    /// The digest of the profile whose JSON form this is, for a caller that has the form already.
    #[must_use]
    pub fn digest_of(json: &str) -> i64 {
        let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, json.as_bytes());
        let mut head = [0_u8; 8];
        head.copy_from_slice(&hash.as_ref()[..8]);
        i64::from_be_bytes(head)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normalising_twice_changes_nothing_more() {
        let raw = Profile {
            display_name: Some("  Ana  ".into()),
            email: Some("Ana@Example.COM".into()),
            did_numbers: vec!["+2".into(), " +1 ".into(), "+2".into(), String::new()],
            forward_all: Some(" ".into()),
            follow_me: Some(vec![" 1001".into(), String::new()]),
            ..Profile::default()
        };
        let once = raw.normalised();
        assert_eq!(once.display_name.as_deref(), Some("Ana"));
        assert_eq!(once.email.as_deref(), Some("ana@example.com"));
        assert_eq!(once.did_numbers, ["+1", "+2"]);
        assert_eq!(once.forward_all, None);
        assert_eq!(once.follow_me.as_deref(), Some(["1001".to_owned()].as_slice()));
        assert_eq!(once.clone().normalised(), once);
    }

    #[test]
    fn every_field_is_named_and_compared() {
        let json = serde_json::to_value(Profile::default()).unwrap();
        let mut names: Vec<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
        let mut fields = Profile::FIELDS.to_vec();
        names.sort_unstable();
        fields.sort_unstable();
        assert_eq!(names, fields);

        // each field alone is found under its own name
        for name in Profile::FIELDS {
            let mut other = json.clone();
            other[name] = match &json[name] {
                Value::Bool(on) => (!on).into(),
                Value::Array(_) => serde_json::json!(["+15550100"]),
                _ if name == "follow_me" => serde_json::json!(["1001"]),
                _ => "x".into(),
            };
            let other: Profile = serde_json::from_value(other).unwrap();
            assert_eq!(Profile::default().changed_fields(&other), [name]);
        }

        let before = Profile::default();
        let after = Profile { dnd: true, forward_all: Some("1001".into()), ..Profile::default() };
        assert_eq!(before.changed_fields(&after), ["forward_all", "dnd"]);
        assert_ne!(before.digest(), after.digest());
        assert_eq!(after.pick(&["dnd"])["dnd"], true);
    }
}
