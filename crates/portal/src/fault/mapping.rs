//! Why a mapping is not saved.

use tandem_domain::eligible::NotEligible;
use tandem_store::StoreError;

use super::Fault;

/// Why a mapping is not saved. Codes are stable and listed in `docs/codes.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MappingFault {
    /// Every licence is in use.
    NoLicence,
    /// The licence that was given back is not free yet.
    LicenceLeaving,
    /// The PBX has the user no more.
    UserGone,
    /// The tenant's list does not have the Microsoft user, or no more.
    Unknown,
    NotEligible(NotEligible),
    /// Another PBX user has the Microsoft user.
    Taken,
}

impl MappingFault {
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::NoLicence => "no_licence_free",
            Self::LicenceLeaving => "licence_still_leaving",
            Self::UserGone => "pbx_user_gone",
            Self::Unknown => "microsoft_user_unknown",
            Self::NotEligible(_) => "microsoft_user_not_eligible",
            Self::Taken => "microsoft_user_taken",
        }
    }

    pub(crate) fn happened(self) -> String {
        match self {
            Self::NoLicence => "Every integration licence is in use.".into(),
            Self::LicenceLeaving => {
                "The licence that was given back is not free yet: something still stands in Teams for the user who had it."
                    .into()
            }
            Self::UserGone => "The PBX does not have this user any more.".into(),
            Self::Unknown => "The last list of the tenant does not have this Microsoft user.".into(),
            Self::NotEligible(why) => format!("This Microsoft user {}.", why.text()),
            Self::Taken => "Another user is mapped to this Microsoft user.".into(),
        }
    }

    pub(crate) fn todo(self) -> &'static str {
        match self {
            Self::NoLicence => "Take one from somebody else, or ask your provider for more.",
            Self::LicenceLeaving => "Wait for the next sync, or have one started, and save again.",
            Self::UserGone => "Choose None, so that the licence becomes free.",
            Self::Unknown => "Have a Manual Sync started, which reads the list anew.",
            Self::NotEligible(_) => {
                "Choose another, or mend it in Microsoft 365 and have a Manual Sync started."
            }
            Self::Taken => "Take it from the other user first.",
        }
    }

    /// What a refusal of the database means for a mapping.
    pub(crate) fn of(error: StoreError) -> Fault {
        match error.constraint() {
            Some("mappings_within_licences") => Fault::Mapping(Self::NoLicence),
            Some("mappings_account_id_microsoft_user_key") => Fault::Mapping(Self::Taken),
            _ => error.into(),
        }
    }
}
