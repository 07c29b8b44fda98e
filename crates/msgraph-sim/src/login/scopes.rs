//! Delegated permissions as an authorization request names them.

use std::collections::BTreeSet;

use super::errors::LoginError;
use super::token::is_graph;

/// Delegated permissions of Graph that exist here.
const KNOWN: [&str; 18] = [
    "AppCatalog.Read.All",
    "Application.Read.All",
    "Directory.Read.All",
    "Directory.ReadWrite.All",
    "GroupMember.Read.All",
    "LicenseAssignment.Read.All",
    "LicenseAssignment.ReadWrite.All",
    "Organization.Read.All",
    "Organization.ReadWrite.All",
    "RoleManagement.Read.Directory",
    "TeamsPolicyUserAssign.ReadWrite.All",
    "TeamsTelephoneNumber.Read.All",
    "TeamsTelephoneNumber.ReadWrite.All",
    "TeamsUserConfiguration.Read.All",
    "User.Read",
    "User.Read.All",
    "User.ReadBasic.All",
    "User.ReadWrite.All",
];

/// Those that a person may allow for himself; every other one needs an administrator.
const FOR_ONESELF: [&str; 2] = ["User.Read", "User.ReadBasic.All"];

/// What was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Scopes {
    /// Of `openid`, `profile`, `email`.
    pub(crate) identity: BTreeSet<String>,
    /// `offline_access`: a refresh token.
    pub(crate) offline: bool,
    /// Permissions of Graph, without the resource.
    pub(crate) graph: BTreeSet<String>,
    /// `.default`: whatever the registration names.
    pub(crate) default: bool,
}

impl Scopes {
    /// Reads the parameter `scope`. `host` is this simulator's, which is a name of Graph as well.
    pub(crate) fn parse(text: &str, host: &str) -> Result<Self, LoginError> {
        let mut scopes = Self::default();
        for item in text.split_whitespace() {
            let (resource, name) = match item.rsplit_once('/') {
                Some((resource, name)) => (Some(resource), name),
                None => (None, item),
            };
            if resource.is_some_and(|r| !is_graph(r, host)) {
                let text = format!(
                    "The resource principal named {} was not found in the tenant.",
                    resource.unwrap_or_default()
                );
                return Err(LoginError::new(400, "invalid_resource", 500_011, text));
            }
            match name {
                ".default" => scopes.default = true,
                "openid" | "profile" | "email" => {
                    scopes.identity.insert(name.to_owned());
                }
                "offline_access" => scopes.offline = true,
                _ => {
                    let known = KNOWN.iter().find(|k| k.eq_ignore_ascii_case(name));
                    scopes.graph.insert((*known.ok_or_else(|| unknown(item))?).to_owned());
                }
            }
        }
        Ok(scopes)
    }

    pub(crate) fn openid(&self) -> bool {
        self.identity.contains("openid")
    }

    /// The claim `scp`.
    pub(crate) fn claim(&self) -> String {
        let all: Vec<&str> = self.graph.iter().chain(&self.identity).map(String::as_str).collect();
        all.join(" ")
    }

    /// The member `scope` of the token answer.
    pub(crate) fn answered(&self) -> String {
        let graph = self.graph.iter().map(|name| format!("https://graph.microsoft.com/{name}"));
        self.identity.iter().cloned().chain(graph).collect::<Vec<_>>().join(" ")
    }
}

/// Whether everybody may allow this permission for himself.
pub(crate) fn for_oneself(name: &str) -> bool {
    FOR_ONESELF.contains(&name)
}

fn unknown(item: &str) -> LoginError {
    let text = format!("The application asked for scope '{item}' that doesn't exist on the resource.");
    LoginError::new(400, "invalid_client", 650_053, text)
}
