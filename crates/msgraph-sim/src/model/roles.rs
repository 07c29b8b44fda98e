//! Directory roles (Microsoft Entra built-in roles) by name and template id.

use uuid::{Uuid, uuid};

use super::ModelError;

/// May do everything, consent included.
pub(crate) const GLOBAL_ADMINISTRATOR: Uuid = uuid!("62e90394-69f5-4237-9190-012177145e10");
/// The other role that may consent to application permissions of Graph.
pub(crate) const PRIVILEGED_ROLE_ADMINISTRATOR: Uuid = uuid!("e8611ab8-c189-46e8-94e1-60213ab1f814");
/// The entry that every ordinary member carries in `wids`; it proves nothing.
pub(crate) const DEFAULT_USER: Uuid = uuid!("b79fbf4d-3ef9-4689-8143-76b194e85509");

/// Known roles: name, template id, description.
const ROLES: [(&str, Uuid, &str); 8] = [
    ("Global Administrator", GLOBAL_ADMINISTRATOR, "Can manage all aspects of Microsoft Entra ID."),
    (
        "Global Reader",
        uuid!("f2ef992c-3afb-46b9-b7cf-a126ee74c451"),
        "Can read everything that a Global Administrator can, but not update anything.",
    ),
    (
        "Privileged Role Administrator",
        PRIVILEGED_ROLE_ADMINISTRATOR,
        "Can manage role assignments in Microsoft Entra ID.",
    ),
    (
        "Teams Administrator",
        uuid!("69091246-20e8-4a56-aa4d-066075b2a7a8"),
        "Can manage the Microsoft Teams service.",
    ),
    (
        "Application Administrator",
        uuid!("9b895d92-2cd3-44c7-9d02-a6ac2d5ea5c3"),
        "Can create and manage all aspects of app registrations and enterprise apps.",
    ),
    (
        "Cloud Application Administrator",
        uuid!("158c047a-c907-4556-b7ef-446551a6b5f7"),
        "Can create and manage all aspects of app registrations and enterprise apps except App Proxy.",
    ),
    (
        "Teams Telephony Administrator",
        uuid!("aa38014f-0993-46e9-9b45-30501a20909d"),
        "Can manage voice and telephony features of Microsoft Teams.",
    ),
    (
        "User Administrator",
        uuid!("fe930be7-5e62-47db-91af-98c3a49a38b1"),
        "Can manage all aspects of users and groups.",
    ),
];

/// The template id of a role given by name or by id.
pub(crate) fn template(text: &str) -> Result<Uuid, ModelError> {
    if let Ok(id) = Uuid::try_parse(text) {
        return Ok(id);
    }
    let known = ROLES.iter().find(|(name, ..)| name.eq_ignore_ascii_case(text));
    known.map(|(_, id, _)| *id).ok_or_else(|| ModelError::Unknown { what: "role", text: text.to_owned() })
}

/// Name and description of a role.
pub(crate) fn describe(template: Uuid) -> (&'static str, &'static str) {
    let known = ROLES.iter().find(|(_, id, _)| *id == template);
    known.map_or(("Directory role", ""), |(name, _, text)| (name, text))
}

/// Whether one of these roles may consent to application permissions of Graph for the organization.
pub(crate) fn may_consent(roles: &[Uuid]) -> bool {
    roles.iter().any(|role| [GLOBAL_ADMINISTRATOR, PRIVILEGED_ROLE_ADMINISTRATOR].contains(role))
}
