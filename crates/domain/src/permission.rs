//! What a tenant has to grant, and why: asked for on the connect pages, compared with every token.

/// An application permission of Microsoft Graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permission {
    /// Its name, as Microsoft writes it.
    pub name: &'static str,
    /// What it is for, in words for the customer's administrator.
    pub why: &'static str,
}

/// Every permission that jobs need; no other is asked for.
pub const PERMISSIONS: [Permission; 4] = [
    Permission {
        name: "User.Read.All",
        why: "to find the people of your organisation and see who holds a Teams Phone licence",
    },
    Permission {
        name: "TeamsUserConfiguration.Read.All",
        why: "to read which number and which calling policies each of them has in Teams",
    },
    Permission {
        name: "TeamsTelephoneNumber.ReadWrite.All",
        why: "to give the telephone numbers of your telephone system to the people you choose, and to take them back",
    },
    Permission {
        name: "TeamsPolicyUserAssign.ReadWrite.All",
        why: "to give those people the calling policies that go with their numbers, and to take them back",
    },
];

/// Their names.
pub const PERMISSION_NAMES: [&str; 4] =
    [PERMISSIONS[0].name, PERMISSIONS[1].name, PERMISSIONS[2].name, PERMISSIONS[3].name];
