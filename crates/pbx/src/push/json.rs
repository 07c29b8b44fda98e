//! JSON in which every member is known, stands once and has its type.
//!
//! The readers that serde derives would also take an array for an object, and they cannot say which user of a bulk they
//! choked on. Readers here keep in a [`Slot`] where they are and the precise refusal, and give serde an error without
//! content.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::PushError;

/// Where reading stands, and why it stopped.
pub(super) struct Slot {
    pub(super) item: Option<usize>,
    pub(super) member: &'static str,
    refused: Option<PushError>,
}

impl Slot {
    pub(super) fn new() -> Self {
        Self { item: None, member: "the body", refused: None }
    }

    pub(super) fn refuse<E: Error>(&mut self, error: PushError) -> E {
        self.refused = Some(error);
        E::custom("refused")
    }
}

type Json<'b> = serde_json::Deserializer<serde_json::de::SliceRead<'b>>;

/// Reads a whole document.
pub(super) fn document<'b, T>(
    body: &'b [u8],
    slot: &mut Slot,
    reader: impl FnOnce(&mut Json<'b>, &mut Slot) -> Result<T, serde_json::Error>,
) -> Result<T, PushError> {
    if body.trim_ascii().is_empty() {
        return Err(PushError::bad("empty_body", "the body is empty; send JSON"));
    }
    if body.starts_with(b"\xef\xbb\xbf") {
        return Err(PushError::bad(
            "byte_order_mark",
            "the body begins with a byte order mark; leave it out",
        ));
    }
    let mut json = Json::from_slice(body);
    reader(&mut json, slot).and_then(|value| json.end().map(|()| value)).map_err(|error| {
        let refusal = slot.refused.take().unwrap_or_else(|| {
            let place = format!("line {}, column {}", error.line(), error.column());
            if error.is_data() {
                let message =
                    format!("`{}` has another type ({place}); see the table of fields", slot.member);
                PushError::unusable("wrong_type", message)
            } else {
                PushError::bad(
                    "bad_json",
                    format!("the body is not JSON after RFC 8259 ({place}); correct it"),
                )
            }
        });
        PushError { item: slot.item, ..refusal }
    })
}

/// The members of one object: which are known, and which were there.
pub(super) struct Members {
    known: &'static [&'static str],
    seen: u32,
}

impl Members {
    pub(super) fn of(known: &'static [&'static str]) -> Self {
        Self { known, seen: 0 }
    }

    /// The name of the next member, `None` at the end of the object.
    pub(super) fn next<'de, A: MapAccess<'de>>(
        &mut self,
        map: &mut A,
        slot: &mut Slot,
    ) -> Result<Option<&'static str>, A::Error> {
        let Some(index) = map.next_key_seed(Name { known: self.known, slot })? else {
            return Ok(None);
        };
        let name = self.known[index];
        if self.seen & (1 << index) != 0 {
            let message = format!("the member `{name}` stands twice; write it once");
            return Err(slot.refuse(PushError::bad("duplicate_member", message)));
        }
        self.seen |= 1 << index;
        slot.member = name;
        Ok(Some(name))
    }

    /// Refuses an object that lacks a member.
    pub(super) fn require<E: Error>(&self, slot: &mut Slot) -> Result<(), E> {
        match (0..self.known.len()).find(|index| self.seen & (1 << index) == 0) {
            None => Ok(()),
            Some(index) => {
                let message = format!("the member `{}` is missing; add it", self.known[index]);
                Err(slot.refuse(PushError::unusable("missing_field", message)))
            }
        }
    }
}

/// Reads the name of a member where it stands; its place among those that are known.
struct Name<'s> {
    known: &'static [&'static str],
    slot: &'s mut Slot,
}

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = usize;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = usize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a member")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        self.known.iter().position(|known| *known == name).ok_or_else(|| {
            let shown: String = name.chars().filter(|c| !c.is_control()).take(60).collect();
            let message = format!("there is no member `{shown}` here; write only: {}", self.known.join(", "));
            self.slot.refuse(PushError::unusable("unknown_field", message))
        })
    }
}

/// Reads a text, or `null` for none.
pub(super) struct Text<'s>(pub(super) &'s mut Slot);

impl<'de> DeserializeSeed<'de> for Text<'_> {
    type Value = Option<String>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Text<'_> {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text or null")
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Self::Value, E> {
        super::body::check_text(self.0.member, value).map_err(|error| self.0.refuse(error))?;
        Ok(Some(value.to_owned()))
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}

/// Reads a list of texts, or `null` for none.
pub(super) struct Texts<'s> {
    pub(super) slot: &'s mut Slot,
    pub(super) most: usize,
}

impl<'de> DeserializeSeed<'de> for Texts<'_> {
    type Value = Option<Vec<String>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Texts<'_> {
    type Value = Option<Vec<String>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of texts or null")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut list = Vec::new();
        while let Some(text) = seq.next_element_seed(Text(self.slot))? {
            // a null in a list says nothing that could be kept
            let text = text.ok_or_else(|| A::Error::custom("null in a list"))?;
            if list.len() == self.most {
                let message = format!("`{}` has more than {} items; send fewer", self.slot.member, self.most);
                return Err(self.slot.refuse(PushError::unusable("list_too_long", message)));
            }
            list.push(text);
        }
        Ok(Some(list))
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}
