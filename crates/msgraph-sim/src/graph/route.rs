//! Which endpoint an address means, in all its legal spellings.

use axum::http::Method;

/// An endpoint with its keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum GraphRoute {
    Organization,
    OrganizationItem(String),
    Users,
    UsersCount,
    UsersDelta,
    User(String),
    LicenseDetails(String),
    SubscribedSkus,
    /// The person behind the token.
    Me,
    /// That person's directory roles; cast to the type or not.
    MyRoles {
        cast: bool,
    },
    DeletedUsers,
    DeletedUser(String),
    Configurations,
    Configuration(String),
    ConfigurationUser(String),
    Numbers,
    Number(String),
    AssignNumber,
    UnassignNumber,
    UpdateNumber,
    Operation(String),
    PolicyId {
        kind: String,
        name: String,
    },
    AssignPolicy,
    UnassignPolicy,
    /// A path level that exists in the metadata and has no route behind it.
    NoBackend,
    Unknown,
}

use GraphRoute as R;

const USERS_READ: &[&str] =
    &["User.Read.All", "User.ReadWrite.All", "Directory.Read.All", "Directory.ReadWrite.All"];
const ME: &[&str] = &["User.Read", "User.ReadWrite", "User.Read.All", "User.ReadWrite.All"];
const ORGANIZATION_READ: &[&str] =
    &["Organization.Read.All", "Organization.ReadWrite.All", "Directory.Read.All", "Directory.ReadWrite.All"];
const LICENCES_READ: &[&str] = &[
    "LicenseAssignment.Read.All",
    "LicenseAssignment.ReadWrite.All",
    "Organization.Read.All",
    "Directory.Read.All",
    "Directory.ReadWrite.All",
];
const DETAILS_READ: &[&str] = &[
    "LicenseAssignment.Read.All",
    "LicenseAssignment.ReadWrite.All",
    "Directory.Read.All",
    "Directory.ReadWrite.All",
];
const NUMBERS_READ: &[&str] = &["TeamsTelephoneNumber.Read.All", "TeamsTelephoneNumber.ReadWrite.All"];
const NUMBERS_WRITE: &[&str] = &["TeamsTelephoneNumber.ReadWrite.All"];
const CONFIGURATIONS_READ: &[&str] = &["TeamsUserConfiguration.Read.All"];
const POLICIES_WRITE: &[&str] = &["TeamsPolicyUserAssign.ReadWrite.All"];

impl GraphRoute {
    /// Reads method and decoded path segments (those after `/v1.0`).
    pub(crate) fn parse(method: &Method, segments: &[String]) -> Self {
        let parts: Vec<Part> = segments.iter().flat_map(|s| split(s)).collect();
        let names: Vec<&str> = parts.iter().map(|p| p.text.as_str()).collect();
        let key = |i: usize| names[i].to_owned();
        if method == Method::GET {
            match names.as_slice() {
                ["organization"] => R::Organization,
                ["organization", _] => R::OrganizationItem(key(1)),
                ["subscribedSkus"] => R::SubscribedSkus,
                ["users"] => R::Users,
                ["users", "$count"] => R::UsersCount,
                ["users", "delta"] => R::UsersDelta,
                ["users", _] => R::User(key(1)),
                ["users", _, "licenseDetails"] => R::LicenseDetails(key(1)),
                ["me"] => R::Me,
                ["me", "memberOf" | "transitiveMemberOf"] => R::MyRoles { cast: false },
                ["me", "memberOf" | "transitiveMemberOf", "directoryRole"] => R::MyRoles { cast: true },
                ["directory", "deletedItems", "user"] => R::DeletedUsers,
                ["directory", "deletedItems", _] => R::DeletedUser(key(2)),
                ["admin", "teams", rest @ ..] => match rest {
                    [] | ["policy" | "telephoneNumberManagement"] => R::NoBackend,
                    ["userConfigurations"] => R::Configurations,
                    ["userConfigurations", _] => R::Configuration(key(3)),
                    ["userConfigurations", _, "user"] => R::ConfigurationUser(key(3)),
                    ["telephoneNumberManagement", "numberAssignments"] => R::Numbers,
                    ["telephoneNumberManagement", "numberAssignments", _] => R::Number(key(4)),
                    ["telephoneNumberManagement", "operations", _] => R::Operation(key(4)),
                    ["policy", "getPolicyId"] => policy_id(&parts[3].arguments),
                    _ => R::Unknown,
                },
                _ => R::Unknown,
            }
        } else if method == Method::POST {
            match names.as_slice() {
                ["admin", "teams", "telephoneNumberManagement", "numberAssignments", action] => match *action
                {
                    "assignNumber" => R::AssignNumber,
                    "unassignNumber" => R::UnassignNumber,
                    "updateNumber" => R::UpdateNumber,
                    _ => R::Unknown,
                },
                ["admin", "teams", "policy", "userAssignments", "assign"] => R::AssignPolicy,
                ["admin", "teams", "policy", "userAssignments", "unassign"] => R::UnassignPolicy,
                _ => R::Unknown,
            }
        } else {
            R::Unknown
        }
    }

    /// Short name for log and statistics.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            R::Organization | R::OrganizationItem(_) => "organization",
            R::Users => "users.list",
            R::UsersCount => "users.count",
            R::UsersDelta => "users.delta",
            R::User(_) => "users.get",
            R::LicenseDetails(_) => "licenseDetails",
            R::SubscribedSkus => "subscribedSkus",
            R::Me => "me",
            R::MyRoles { .. } => "me.memberOf",
            R::DeletedUsers => "deletedItems.list",
            R::DeletedUser(_) => "deletedItems.get",
            R::Configurations => "userConfigurations.list",
            R::Configuration(_) => "userConfigurations.get",
            R::ConfigurationUser(_) => "userConfigurations.user",
            R::Numbers => "numberAssignments.list",
            R::Number(_) => "numberAssignments.get",
            R::AssignNumber => "assignNumber",
            R::UnassignNumber => "unassignNumber",
            R::UpdateNumber => "updateNumber",
            R::Operation(_) => "operation",
            R::PolicyId { .. } => "getPolicyId",
            R::AssignPolicy => "policy.assign",
            R::UnassignPolicy => "policy.unassign",
            R::NoBackend | R::Unknown => "unknown",
        }
    }

    /// Whether it changes something.
    pub(crate) fn mutating(&self) -> bool {
        matches!(
            self,
            R::AssignNumber | R::UnassignNumber | R::UpdateNumber | R::AssignPolicy | R::UnassignPolicy
        )
    }

    /// Whether it belongs to the Teams administration family, whose errors look different.
    pub(crate) fn teams(&self) -> bool {
        self.mutating()
            || matches!(
                self,
                R::Configurations
                    | R::Configuration(_)
                    | R::ConfigurationUser(_)
                    | R::Numbers
                    | R::Number(_)
                    | R::Operation(_)
                    | R::PolicyId { .. }
                    | R::NoBackend
            )
    }

    /// Whether it is about the person behind the token.
    pub(crate) fn personal(&self) -> bool {
        matches!(self, R::Me | R::MyRoles { .. })
    }

    /// Permissions, application ones or delegated ones alike, of which any one suffices; empty if none is needed.
    pub(crate) fn permissions(&self) -> &'static [&'static str] {
        match self {
            R::Organization | R::OrganizationItem(_) => ORGANIZATION_READ,
            R::Users | R::UsersCount | R::UsersDelta | R::User(_) | R::DeletedUsers | R::DeletedUser(_) => {
                USERS_READ
            }
            R::Me => ME,
            R::LicenseDetails(_) => DETAILS_READ,
            R::SubscribedSkus => LICENCES_READ,
            R::Configurations | R::Configuration(_) | R::ConfigurationUser(_) => CONFIGURATIONS_READ,
            R::Numbers | R::Number(_) | R::Operation(_) => NUMBERS_READ,
            R::AssignNumber | R::UnassignNumber | R::UpdateNumber => NUMBERS_WRITE,
            R::PolicyId { .. } | R::AssignPolicy | R::UnassignPolicy => POLICIES_WRITE,
            // which scopes will do for one's own roles is a setting
            R::MyRoles { .. } | R::NoBackend | R::Unknown => &[],
        }
    }

    /// Cost of the request in resource units, before `$select`, `$expand` and `$top`.
    pub(crate) fn resource_units(&self) -> u32 {
        match self {
            R::Users | R::User(_) | R::Me | R::LicenseDetails(_) => 2,
            R::SubscribedSkus => 3,
            _ => 1,
        }
    }
}

struct Part {
    text: String,
    arguments: Vec<(String, String)>,
}

/// `name`, `name('key')`, `name()` or `name(a='b',c='d')`; namespaces of actions and functions fall away.
fn split(segment: &str) -> Vec<Part> {
    let plain = |text: &str| Part { text: text.to_owned(), arguments: Vec::new() };
    let Some((name, inner)) =
        segment.strip_suffix(')').and_then(|s| s.split_once('(')).filter(|(name, _)| !name.is_empty())
    else {
        return vec![plain(bare(segment))];
    };
    let name = bare(name);
    if inner.is_empty() {
        return vec![plain(name)];
    }
    if let Some(key) = quoted(inner) {
        return vec![plain(name), plain(&key)];
    }
    let arguments = pairs(inner);
    vec![Part { text: name.to_owned(), arguments }]
}

fn bare(name: &str) -> &str {
    // generated clients shorten the namespace of a cast
    if let Some(kind @ ("directoryRole" | "user")) = name.strip_prefix("graph.") {
        return kind;
    }
    let name = name.strip_prefix("microsoft.graph.").unwrap_or(name);
    name.strip_prefix("teamsAdministration.").unwrap_or(name)
}

/// The content of one OData string literal that is the whole text.
fn quoted(text: &str) -> Option<String> {
    let inner = text.strip_prefix('\'')?.strip_suffix('\'')?;
    let content = inner.replace("''", "\u{0}");
    (!content.contains('\'')).then(|| content.replace('\u{0}', "'"))
}

/// Arguments `a='b',c='d'`; commas and doubled quotes inside a literal belong to it.
fn pairs(text: &str) -> Vec<(String, String)> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some((name, after)) = rest.split_once("='") {
        let mut value = String::new();
        let mut chars = after.char_indices().peekable();
        let mut end = after.len();
        while let Some((i, c)) = chars.next() {
            if c != '\'' {
                value.push(c);
            } else if chars.next_if(|(_, next)| *next == '\'').is_some() {
                value.push('\'');
            } else {
                end = i + 1;
                break;
            }
        }
        out.push((name.trim_start_matches([',', ' ']).to_owned(), value));
        rest = &after[end..];
    }
    out
}

fn policy_id(arguments: &[(String, String)]) -> GraphRoute {
    let get = |name: &str| arguments.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone());
    match (get("type"), get("name")) {
        (Some(kind), Some(name)) => R::PolicyId { kind, name },
        _ => R::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Method;

    use super::GraphRoute as R;

    fn parse(method: &Method, path: &str) -> R {
        let segments: Vec<String> = path.split('/').map(str::to_owned).collect();
        R::parse(method, &segments)
    }

    #[test]
    fn both_spellings() {
        let numbers = "admin/teams/telephoneNumberManagement";
        let get = |path: &str| parse(&Method::GET, path);
        let post = |path: &str| parse(&Method::POST, path);
        assert_eq!(post(&format!("{numbers}/numberAssignments/assignNumber")), R::AssignNumber);
        assert_eq!(
            post(&format!("{numbers}/numberAssignments/microsoft.graph.teamsAdministration.unassignNumber")),
            R::UnassignNumber
        );
        assert_eq!(get(&format!("{numbers}/operations/x1")), R::Operation("x1".to_owned()));
        assert_eq!(get(&format!("{numbers}/operations('x1')")), R::Operation("x1".to_owned()));
        let policy = R::PolicyId { kind: "A".to_owned(), name: "B, 'c'".to_owned() };
        assert_eq!(get("admin/teams/policy/getPolicyId(type='A',name='B, ''c''')"), policy);
        assert_eq!(
            get(
                "admin/teams/policy/microsoft.graph.teamsAdministration.getPolicyId(type='A', name='B, ''c''')"
            ),
            policy
        );
        assert_eq!(get("users/microsoft.graph.delta()"), R::UsersDelta);
        assert_eq!(get("users('ana@contoso.example')"), R::User("ana@contoso.example".to_owned()));
        assert_eq!(get("admin/teams/policy"), R::NoBackend);
        for cast in ["microsoft.graph.directoryRole", "graph.directoryRole"] {
            assert_eq!(get(&format!("me/transitiveMemberOf/{cast}")), R::MyRoles { cast: true });
        }
        assert_eq!(get("directory/deletedItems/microsoft.graph.user"), R::DeletedUsers);
        assert_eq!(get("users/graph.user@contoso.example"), R::User("graph.user@contoso.example".to_owned()));
    }
}
