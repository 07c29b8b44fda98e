//! What a pushed body says: one profile, or many.

use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use tandem_domain::profile::MAX_TEXT_BYTES;
use tandem_domain::{Number, NumberError, PbxUserId, Profile};

use super::json::{Members, Slot, Text, Texts, document};
use super::{MAX_BULK_BYTES, MAX_BULK_USERS, MAX_USER_BYTES, PushError, parse_user_id, too_large};

/// Most numbers or follow-me targets of one user.
const MAX_ITEMS: usize = 100;

/// Ranges in which calling costs the caller a premium and which no person has as a direct number: ITU-T E.164
/// (+979), the North American Numbering Plan (900), the national plans of the United Kingdom (09), Germany (0900) and
/// France (089).
const PREMIUM: [&str; 5] = ["+979", "+1900", "+449", "+49900", "+3389"];

/// Reads the profile of one user. It replaces the stored one as a whole: what is absent is blank or off, but for
/// `enabled`, which is true unless it says false.
///
/// # Errors
/// [`PushError`]: nothing of the body is to be kept.
pub fn parse_user(body: &[u8]) -> Result<Profile, PushError> {
    if body.len() > MAX_USER_BYTES {
        return Err(too_large(MAX_USER_BYTES));
    }
    let mut slot = Slot::new();
    document(body, &mut slot, |json, slot| ProfileReader(slot).deserialize(json))
}

/// Reads many users: `{"users":[{"id":"...","profile":{...}}]}`. Each is what [`parse_user`] reads; users that are not
/// named stay as they are. Two users may have the same number, as they may in a PBX.
///
/// # Errors
/// [`PushError`] of the first user that is wrong, with its index: nothing of the body is to be kept.
pub fn parse_bulk(body: &[u8]) -> Result<Vec<(PbxUserId, Profile)>, PushError> {
    if body.len() > MAX_BULK_BYTES {
        return Err(too_large(MAX_BULK_BYTES));
    }
    let mut slot = Slot::new();
    let users = document(body, &mut slot, |json, slot| BulkReader(slot).deserialize(json))?;
    if users.is_empty() {
        let message =
            "the bulk names no user; an empty list is no news, to delete users send DELETE for each";
        return Err(PushError::unusable("empty_bulk", message));
    }
    Ok(users)
}

pub(super) fn check_text(member: &str, text: &str) -> Result<(), PushError> {
    if text.len() > MAX_TEXT_BYTES {
        let message = format!("`{member}` is longer than {MAX_TEXT_BYTES} bytes; shorten it");
        return Err(PushError::unusable("text_too_long", message));
    }
    if text.chars().any(char::is_control) {
        let message = format!("`{member}` holds a control character; remove it");
        return Err(PushError::unusable("control_character", message));
    }
    Ok(())
}

fn check_number(text: &str) -> Result<(), PushError> {
    let code = match Number::parse(text) {
        Ok(number) if number.as_str().contains(';') => "number_extension",
        Ok(number) if PREMIUM.iter().any(|range| number.as_str().starts_with(range)) => "number_premium",
        Ok(_) => return Ok(()),
        Err(NumberError::NoPlus) => "number_no_plus",
        Err(NumberError::NotDigits) => "number_not_digits",
        Err(NumberError::Length) => "number_length",
        Err(NumberError::Extension) => "number_extension",
    };
    let message =
        "a number in `did_numbers` is not a direct number in E.164; write + and 7 to 15 digits, nothing else";
    Err(PushError::unusable(code, message))
}

struct ProfileReader<'s>(&'s mut Slot);

impl<'de> DeserializeSeed<'de> for ProfileReader<'_> {
    type Value = Profile;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Profile, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ProfileReader<'_> {
    type Value = Profile;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a profile")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Profile, A::Error> {
        let slot = self.0;
        let mut members = Members::of(&Profile::FIELDS);
        let mut profile = Profile { enabled: true, ..Profile::default() };
        while let Some(name) = members.next(&mut map, slot)? {
            match name {
                "voicemail_enabled" => profile.voicemail_enabled = map.next_value()?,
                "dnd" => profile.dnd = map.next_value()?,
                "enabled" => profile.enabled = map.next_value()?,
                "did_numbers" => {
                    let list = map.next_value_seed(Texts { slot, most: MAX_ITEMS })?.unwrap_or_default();
                    for number in &list {
                        check_number(number).map_err(|error| slot.refuse(error))?;
                    }
                    profile.did_numbers = list;
                }
                "follow_me" => profile.follow_me = map.next_value_seed(Texts { slot, most: MAX_ITEMS })?,
                "display_name" => profile.display_name = map.next_value_seed(Text(slot))?,
                "email" => profile.email = map.next_value_seed(Text(slot))?,
                "extension" => profile.extension = map.next_value_seed(Text(slot))?,
                "voicemail_email" => profile.voicemail_email = map.next_value_seed(Text(slot))?,
                "forward_all" => profile.forward_all = map.next_value_seed(Text(slot))?,
                "forward_busy" => profile.forward_busy = map.next_value_seed(Text(slot))?,
                "forward_no_answer" => profile.forward_no_answer = map.next_value_seed(Text(slot))?,
                _ => profile.login_name = map.next_value_seed(Text(slot))?,
            }
        }
        Ok(profile.normalised())
    }
}

struct UserReader<'s>(&'s mut Slot);

impl<'de> DeserializeSeed<'de> for UserReader<'_> {
    type Value = (PbxUserId, Profile);

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for UserReader<'_> {
    type Value = (PbxUserId, Profile);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a user")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let slot = self.0;
        let mut members = Members::of(&["id", "profile"]);
        let (mut id, mut profile) = (PbxUserId(String::new()), Profile::default());
        while let Some(name) = members.next(&mut map, slot)? {
            if name == "id" {
                let text = map.next_value_seed(Text(slot))?.unwrap_or_default();
                id = parse_user_id(&text).map_err(|error| slot.refuse(error))?;
            } else {
                profile = map.next_value_seed(ProfileReader(slot))?;
            }
        }
        members.require(slot)?;
        Ok((id, profile))
    }
}

struct UsersReader<'s>(&'s mut Slot);

impl<'de> DeserializeSeed<'de> for UsersReader<'_> {
    type Value = Vec<(PbxUserId, Profile)>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for UsersReader<'_> {
    type Value = Vec<(PbxUserId, Profile)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of users")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let slot = self.0;
        let mut users: Self::Value = Vec::new();
        let mut ids = HashSet::new();
        loop {
            slot.item = Some(users.len());
            slot.member = "users";
            let Some((id, profile)) = seq.next_element_seed(UserReader(slot))? else {
                break;
            };
            if users.len() == MAX_BULK_USERS {
                slot.item = None;
                let message = format!("the bulk names more than {MAX_BULK_USERS} users; send several");
                return Err(slot.refuse(PushError::new(413, "too_many_users", message)));
            }
            if !ids.insert(id.clone()) {
                let message = "this id came before in the same bulk; name each user once";
                return Err(slot.refuse(PushError::unusable("duplicate_user", message)));
            }
            users.push((id, profile));
        }
        slot.item = None;
        Ok(users)
    }
}

struct BulkReader<'s>(&'s mut Slot);

impl<'de> DeserializeSeed<'de> for BulkReader<'_> {
    type Value = Vec<(PbxUserId, Profile)>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for BulkReader<'_> {
    type Value = Vec<(PbxUserId, Profile)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with users")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let slot = self.0;
        let mut members = Members::of(&["users"]);
        let mut users = Vec::new();
        while members.next(&mut map, slot)?.is_some() {
            users = map.next_value_seed(UsersReader(slot))?;
        }
        members.require(slot)?;
        Ok(users)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<Self::Value, A::Error> {
        let message = "the body is a list; write {\"users\":[{\"id\":\"...\",\"profile\":{...}}]}";
        Err(self.0.refuse(PushError::unusable("bulk_not_object", message)))
    }
}
