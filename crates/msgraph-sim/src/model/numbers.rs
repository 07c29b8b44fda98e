//! Telephone numbers and the inventory.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use uuid::Uuid;

use super::ModelError;
use crate::util::b64url;

/// `operatorId` of Direct Routing numbers, as Microsoft's samples show it.
const DIRECT_ROUTING_OPERATOR: &str = "7a205197-8e59-487d-b9fa-3fc1b108f1e5";

/// One number of the inventory.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Number {
    pub(crate) telephone_number: String,
    pub(crate) number_type: &'static str,
    pub(crate) status: &'static str,
    pub(crate) category: Option<&'static str>,
    pub(crate) holder: Option<Uuid>,
    pub(crate) capabilities: Vec<String>,
    pub(crate) source: String,
    pub(crate) activation: String,
    pub(crate) location_id: Option<String>,
    pub(crate) network_site_id: Option<String>,
    pub(crate) city: Option<String>,
    pub(crate) country: Option<String>,
    pub(crate) reverse_lookup: Vec<String>,
    /// Stays in the inventory without a holder.
    pub(crate) keep: bool,
}

impl Number {
    /// A Direct Routing number that came into being by being assigned.
    pub(crate) fn direct_routing(telephone_number: &str) -> Self {
        Self {
            telephone_number: telephone_number.to_owned(),
            number_type: "directRouting",
            status: "unassigned",
            category: None,
            holder: None,
            capabilities: vec!["userAssignment".to_owned()],
            source: "online".to_owned(),
            activation: "activated".to_owned(),
            location_id: None,
            network_site_id: None,
            city: None,
            country: None,
            reverse_lookup: Vec::new(),
            keep: false,
        }
    }

    pub(crate) fn operator_id(&self) -> &'static str {
        match self.number_type {
            "directRouting" => DIRECT_ROUTING_OPERATOR,
            _ => "83d289bc-a4d3-41e6-8a3f-cff260a3f091",
        }
    }

    /// The opaque id of the entity.
    pub(crate) fn id(&self) -> String {
        b64url(format!("{}|{}", self.operator_id(), self.telephone_number))
    }
}

/// The number that an id of [`Number::id`] stands for.
pub(crate) fn number_of_id(id: &str) -> Option<String> {
    let text = String::from_utf8(crate::util::from_b64url(id)?).ok()?;
    text.split_once('|').map(|(_, number)| number.to_owned())
}

/// The form in which a number is kept and shown: `+` and digits, perhaps `;ext=` and digits.
pub(crate) fn canonical(text: &str) -> Option<String> {
    let digits = |s: &str, range: std::ops::RangeInclusive<usize>| {
        range.contains(&s.len()) && s.bytes().all(|b| b.is_ascii_digit())
    };
    let (base, extension) = match text.split_once(';') {
        None => (text, None),
        Some((base, rest)) => (base, Some(rest.strip_prefix("ext=").or_else(|| rest.strip_prefix("EXT="))?)),
    };
    let base = base.strip_prefix('+').unwrap_or(base);
    if !digits(base, 7..=15) || base.starts_with('0') {
        return None;
    }
    match extension {
        None => Some(format!("+{base}")),
        Some(extension) if digits(extension, 1..=15) => Some(format!("+{base};ext={extension}")),
        Some(_) => None,
    }
}

fn member(what: &'static str, text: &str, known: &[&'static str]) -> Result<&'static str, ModelError> {
    let found = known.iter().find(|k| k.eq_ignore_ascii_case(text));
    found.copied().ok_or_else(|| ModelError::Unknown { what, text: text.to_owned() })
}

/// `numberType` in any casing.
pub(crate) fn number_type(text: &str) -> Result<&'static str, ModelError> {
    member("numberType", text, &["directRouting", "callingPlan", "operatorConnect"])
}

/// `assignmentCategory` in any casing.
pub(crate) fn category(text: &str) -> Result<&'static str, ModelError> {
    member("assignmentCategory", text, &["primary", "private", "alternate"])
}

/// `assignmentStatus` in any casing.
pub(crate) fn status(text: &str) -> Result<&'static str, ModelError> {
    let known = [
        "unassigned",
        "userAssigned",
        "conferenceAssigned",
        "voiceApplicationAssigned",
        "thirdPartyAppAssigned",
        "policyAssigned",
        "internalError",
    ];
    member("assignmentStatus", text, &known)
}

/// Numbers by canonical text and by holder.
#[derive(Debug, Default)]
pub(crate) struct Inventory {
    numbers: BTreeMap<String, Number>,
    by_holder: HashMap<Uuid, BTreeSet<String>>,
}

impl Inventory {
    pub(crate) fn get(&self, number: &str) -> Option<&Number> {
        self.numbers.get(number)
    }

    pub(crate) fn len(&self) -> usize {
        self.numbers.len()
    }

    /// Puts a number in the place of its former state.
    pub(crate) fn put(&mut self, number: Number) {
        self.remove(&number.telephone_number);
        if let Some(holder) = number.holder {
            self.by_holder.entry(holder).or_default().insert(number.telephone_number.clone());
        }
        self.numbers.insert(number.telephone_number.clone(), number);
    }

    pub(crate) fn remove(&mut self, number: &str) -> Option<Number> {
        let old = self.numbers.remove(number)?;
        if let Some(holder) = old.holder
            && let Some(set) = self.by_holder.get_mut(&holder)
        {
            set.remove(number);
            if set.is_empty() {
                self.by_holder.remove(&holder);
            }
        }
        Some(old)
    }

    /// Numbers from a given one on, that one left out.
    pub(crate) fn after<'a>(&'a self, last: Option<&str>) -> Box<dyn Iterator<Item = &'a Number> + 'a> {
        use std::ops::Bound::{Excluded, Unbounded};
        match last {
            None => Box::new(self.numbers.values()),
            Some(last) => {
                let range = self.numbers.range::<str, _>((Excluded(last), Unbounded));
                Box::new(range.map(|(_, number)| number))
            }
        }
    }

    /// Numbers of one holder.
    pub(crate) fn held_by(&self, holder: Uuid) -> impl Iterator<Item = &Number> {
        self.by_holder.get(&holder).into_iter().flatten().filter_map(|n| self.numbers.get(n))
    }
}

#[cfg(test)]
mod tests {
    use super::canonical;

    #[test]
    fn forms_of_a_number() {
        let table = [
            ("+12125550101", Some("+12125550101")),
            ("12125550101", Some("+12125550101")),
            ("+12125550101;ext=1001", Some("+12125550101;ext=1001")),
            ("12125550101;ext=1001", Some("+12125550101;ext=1001")),
            ("tel:+12125550101", None),
            ("+12125550101x1001", None),
            ("1001", None),
            ("", None),
            ("+1 212 555 0101", None),
            ("+12125550101;ext=", None),
        ];
        for (text, expected) in table {
            assert_eq!(canonical(text).as_deref(), expected, "{text}");
        }
    }
}
