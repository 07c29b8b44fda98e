//! What Tandem wants a Microsoft user to have: one number and a set of policies, from profile, mapping and settings.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::{ObjectId, PbxUserId};
use crate::number::{Number, NumberError};
use crate::policy::{PolicyRule, PolicyType, Service, wanted_policies};
use crate::profile::Profile;

/// The settings of an account that decide what its users get.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AccountSettings {
    /// Voice routing policy of every Voice user, unless a rule names another.
    pub voice_routing_policy: Option<String>,
    /// Dial plan of every Voice user, unless a rule names another.
    pub dial_plan: Option<String>,
    /// Base number that users without a direct number share, each with `;ext=` and its extension.
    pub shared_number: Option<Number>,
    /// Emergency location given along with each number.
    pub location_id: Option<String>,
    /// Ordered policy rules.
    pub rules: Vec<PolicyRule>,
}

/// A PBX user connected with a Microsoft user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mapping {
    /// The PBX user.
    pub user: PbxUserId,
    /// The Microsoft user.
    pub oid: ObjectId,
    /// What the mapping gives.
    pub service: Service,
    /// Which direct number, when the PBX user has several.
    pub number: Option<Number>,
}

/// What Tandem has put on a Microsoft user and has not taken off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// The PBX user it was put there for.
    pub user: PbxUserId,
    /// The number.
    pub number: Option<Number>,
    /// The policies by type.
    pub policies: BTreeMap<PolicyType, String>,
}

/// The number a user should have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WantedNumber {
    /// None: an App user, a user without number, or a user whose things come off.
    None,
    /// This one.
    Number(Number),
    /// The PBX gives a number that Microsoft would not take.
    Unusable {
        /// As the PBX has it.
        text: String,
        /// What is wrong with it.
        why: NumberError,
    },
}

impl WantedNumber {
    /// The number, when it is a usable one.
    #[must_use]
    pub fn number(&self) -> Option<&Number> {
        match self {
            Self::Number(number) => Some(number),
            Self::None | Self::Unusable { .. } => None,
        }
    }
}

/// The wanted state of one managed user, mapped or leaving.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedUser {
    /// The PBX user.
    pub user: PbxUserId,
    /// The Microsoft user.
    pub oid: ObjectId,
    /// What the mapping gives.
    pub service: Service,
    /// The number.
    pub number: WantedNumber,
    /// The policies by type.
    pub policies: BTreeMap<PolicyType, String>,
    /// Emergency location given along with the number.
    pub location_id: Option<String>,
}

impl WantedUser {
    /// Whether nothing at all is wanted: everything of ours comes off.
    #[must_use]
    pub fn wants_nothing(&self) -> bool {
        self.number == WantedNumber::None && self.policies.is_empty()
    }
}

/// The wanted state of a mapped user. A disabled profile wants nothing; an App user gets policies by rules alone.
#[must_use]
pub fn wanted_user(mapping: &Mapping, profile: &Profile, settings: &AccountSettings) -> WantedUser {
    let mut wanted = WantedUser { service: mapping.service, ..leaving_user(&mapping.user, mapping.oid) };
    if !profile.enabled {
        return wanted;
    }
    wanted.policies = wanted_policies(&settings.rules, profile, mapping.service);
    if mapping.service == Service::Voice {
        wanted.number = wanted_number(mapping, profile, settings);
        wanted.location_id.clone_from(&settings.location_id);
        // a rule is the more specific statement, so the account's own policies only fill what no rule named
        for (policy_type, name) in [
            (PolicyType::VOICE_ROUTING, &settings.voice_routing_policy),
            (PolicyType::DIAL_PLAN, &settings.dial_plan),
        ] {
            if let Some(name) = name {
                wanted.policies.entry(policy_type.into()).or_insert_with(|| name.clone());
            }
        }
    }
    wanted
}

/// The wanted state of a user that was unmapped or deleted: nothing.
#[must_use]
pub fn leaving_user(user: &PbxUserId, oid: ObjectId) -> WantedUser {
    WantedUser {
        user: user.clone(),
        oid,
        service: Service::Voice,
        number: WantedNumber::None,
        policies: BTreeMap::new(),
        location_id: None,
    }
}

fn wanted_number(mapping: &Mapping, profile: &Profile, settings: &AccountSettings) -> WantedNumber {
    let mut direct: Vec<&str> = profile.did_numbers.iter().map(String::as_str).collect();
    direct.sort_unstable();
    let parsed: Vec<Number> = direct.iter().filter_map(|text| Number::parse(text).ok()).collect();
    let chosen = mapping.number.as_ref().filter(|number| parsed.contains(number));
    if let Some(number) = chosen.or(parsed.first()) {
        return WantedNumber::Number(number.clone());
    }
    if let Some(text) = direct.first() {
        return to_wanted(text, Number::parse(text));
    }
    match (&settings.shared_number, &profile.extension) {
        (Some(shared), Some(ext)) => {
            to_wanted(&format!("{};ext={ext}", shared.base()), shared.with_extension(ext))
        }
        _ => WantedNumber::None,
    }
}

fn to_wanted(text: &str, parsed: Result<Number, NumberError>) -> WantedNumber {
    match parsed {
        Ok(number) => WantedNumber::Number(number),
        Err(why) => WantedNumber::Unusable { text: text.to_owned(), why },
    }
}
