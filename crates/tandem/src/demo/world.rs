//! The demo provider: three customers, their PBX users and their Microsoft tenants, and one who is to be connected yet.

use std::fmt::Write as _;

use msgraph_sim::{
    AppSpec, ConsentSpec, MembershipClaims, PolicySpec, ProviderPerson, ProviderSpec, Settings, Span,
    TenantSpec, UserSpec, World,
};
use tandem_domain::{ObjectId, PbxUserId};
use uuid::{Uuid, uuid};

/// The provider's own application in every tenant.
pub(super) const APP: Uuid = uuid!("a11ce000-0000-4000-8000-00000000a001");
/// The application that people sign in to.
pub(super) const SIGN_IN_APP: Uuid = uuid!("a11ce000-0000-4000-8000-00000000a002");
/// The account that is not connected yet, with the domain of its tenant.
pub(super) const NEWCOMER: (&str, &str) = ("delta", "delta.example.com");
const NEWCOMERS_TENANT: Uuid = uuid!("7e4a0000-0000-4000-8000-0000000000d1");
/// Name of the PBX among the detector's sources.
pub(super) const SOURCE: &str = "demo-pbx";
/// Directory that the guests come from; not simulated.
const GUESTS_HOME: Uuid = uuid!("7e4a0000-0000-4000-8000-0000000000ff");
/// From the acceptance of a number order to its effect, in milliseconds.
const OPERATION_MS: [u64; 2] = [700, 900];

const VOICE_ROUTING: (&str, &str) = ("OnlineVoiceRoutingPolicy", "Provider-US");
const DIAL_PLAN: (&str, &str) = ("TenantDialPlan", "Provider-US");
const VOICEMAIL: (&str, &str) = ("TeamsCallingPolicy", "Tandem-PBX-Voicemail");

/// A customer of the demo provider.
#[derive(Debug)]
pub(super) struct Customer {
    /// Account name.
    pub(super) name: &'static str,
    /// Domain in the PBX and in Microsoft 365.
    pub(super) domain: &'static str,
    /// Directory of the customer.
    pub(super) tenant: Uuid,
    /// Whether Auto Sync is on.
    pub(super) auto_sync: bool,
    /// Shared by users without a direct number.
    shared_number: Option<&'static str>,
    /// First hexadecimal digit of the ids in the PBX.
    letter: char,
    people: &'static [(&'static str, &'static str, &'static str)],
}

/// A person with an extension and a Microsoft user.
#[derive(Clone, Debug)]
pub(super) struct Person {
    /// Extension in the PBX.
    pub(super) extension: &'static str,
    /// Name in the directory.
    pub(super) name: &'static str,
    /// Key in the PBX.
    pub(super) pbx_user: PbxUserId,
    /// Object id in the directory.
    pub(super) oid: Uuid,
    upn: String,
}

/// The customers; the story is told of the first.
pub(super) const CUSTOMERS: [Customer; 3] = [
    Customer {
        name: "alpha",
        domain: "alpha.example.com",
        tenant: uuid!("7e4a0000-0000-4000-8000-0000000000a1"),
        auto_sync: true,
        shared_number: Some("+12125550100"),
        letter: 'a',
        people: &[
            ("1001", "ana", "Ana Costa"),
            ("1003", "chloe", "Chloé Moreau"),
            ("1004", "dara", "Dara O'Shea"),
            ("1006", "farah", "Farah Aziz"),
            ("1007", "gil", "Gil Tal"),
            ("1008", "hana", "Hana Suzuki"),
            ("1010", "jun", "Jun Park"),
            ("1012", "lena", "Lena Vogt"),
        ],
    },
    Customer {
        name: "bravo",
        domain: "bravo.example.net",
        tenant: uuid!("7e4a0000-0000-4000-8000-0000000000b1"),
        auto_sync: true,
        shared_number: None,
        letter: 'b',
        people: &[
            ("1001", "ruth", "Ruth Adler"),
            ("1003", "tess", "Tess Ward"),
            ("1004", "uma", "Uma Iyer"),
            ("1006", "will", "Will Frost"),
        ],
    },
    Customer {
        name: "charlie",
        domain: "charlie.example.org",
        tenant: uuid!("7e4a0000-0000-4000-8000-0000000000c1"),
        auto_sync: false,
        shared_number: None,
        letter: 'c',
        people: &[
            ("1001", "finn", "Finn Gale"),
            ("1003", "hugo", "Hugo Blanc"),
            ("1004", "iris", "Iris Kelly"),
        ],
    },
];

impl Customer {
    /// The customer's people.
    pub(super) fn people(&self) -> impl Iterator<Item = Person> {
        self.people.iter().map(|(extension, local, name)| {
            let upn = format!("{local}@{}", self.domain);
            Person {
                extension,
                name,
                pbx_user: PbxUserId(format!("{}2000000-0000-4000-8000-00000000{extension}", self.letter)),
                oid: Uuid::new_v5(&self.tenant, upn.as_bytes()),
                upn,
            }
        })
    }

    /// The Global Administrator of its tenant: object id and sign-in name.
    pub(super) fn global_admin(&self) -> (ObjectId, String) {
        let upn = format!("gale@{}", self.domain);
        (ObjectId(Uuid::new_v5(&self.tenant, upn.as_bytes())), upn)
    }

    /// The customer of this account name.
    pub(super) fn named(name: &str) -> Option<&'static Self> {
        CUSTOMERS.iter().find(|customer| customer.name == name)
    }

    /// The person with an extension.
    pub(super) fn person(&self, extension: &str) -> Option<Person> {
        self.people().find(|person| person.extension == extension)
    }

    fn label(&self) -> String {
        format!("{} (demo)", self.domain)
    }

    fn tenant(&self) -> TenantSpec {
        let policy = |(kind, name): (&str, &str)| PolicySpec {
            kind: kind.to_owned(),
            name: name.to_owned(),
            id: None,
        };
        TenantSpec {
            tid: Some(self.tenant),
            display_name: Some(self.label()),
            domains: vec![self.domain.to_owned()],
            country: Some("US".to_owned()),
            policies: [VOICE_ROUTING, DIAL_PLAN, VOICEMAIL].map(policy).to_vec(),
            users: self.people().map(user).chain(staff(self.domain)).collect(),
            consents: vec![ConsentSpec { app_id: APP, ..ConsentSpec::default() }],
            ..TenantSpec::default()
        }
    }
}

fn user(person: Person) -> UserSpec {
    UserSpec {
        id: Some(person.oid),
        user_principal_name: person.upn,
        display_name: Some(person.name.to_owned()),
        phone_plan: Some("Enabled".to_owned()),
        ..UserSpec::default()
    }
}

/// People of a tenant who are in no mapping: to sign in with, as whoever may connect a tenant and as whoever may not.
fn staff(domain: &str) -> impl Iterator<Item = UserSpec> {
    let member = |local: &str, name: &str, role: &str| UserSpec {
        user_principal_name: format!("{local}@{domain}"),
        display_name: Some(name.to_owned()),
        roles: vec![role.to_owned()],
        phone_plan: Some("none".to_owned()),
        known_to_teams: false,
        ..UserSpec::default()
    };
    let guest = UserSpec {
        user_principal_name: format!("vera_fabrikam.example#EXT#@{domain}"),
        display_name: Some("Vera Guest".to_owned()),
        mail: Some("vera@fabrikam.example".to_owned()),
        user_type: "Guest".to_owned(),
        home_tenant: Some(GUESTS_HOME),
        account_type: "guest".to_owned(),
        phone_plan: Some("none".to_owned()),
        known_to_teams: false,
        ..UserSpec::default()
    };
    [
        member("gale", "Gale Admin", "Global Administrator"),
        member("rhea", "Rhea Reader", "Global Reader"),
        member("theo", "Theo Teams", "Teams Administrator"),
        guest,
    ]
    .into_iter()
}

/// What the simulator starts with: each tenant with its licensed users, the policies that the provider prepared, and
/// consent given to the provider's application. No number is assigned yet. The newcomer's tenant has its people only.
pub(super) fn world(certificate_pem: String) -> World {
    let local: Vec<String> = ["http://localhost/*", "http://127.0.0.1/*"].map(str::to_owned).to_vec();
    let newcomer = TenantSpec {
        tid: Some(NEWCOMERS_TENANT),
        display_name: Some(format!("{} (demo)", NEWCOMER.1)),
        domains: vec![NEWCOMER.1.to_owned()],
        country: Some("US".to_owned()),
        users: staff(NEWCOMER.1).collect(),
        ..TenantSpec::default()
    };
    World {
        apps: vec![
            AppSpec {
                app_id: APP,
                display_name: "Demo provider".to_owned(),
                certificates: vec![certificate_pem],
                redirect_uris: local.clone(),
                group_membership_claims: Some(MembershipClaims::DirectoryRole),
                scopes: vec!["User.Read".to_owned()],
                ..AppSpec::default()
            },
            AppSpec {
                app_id: SIGN_IN_APP,
                display_name: "Demo provider's sign-in".to_owned(),
                public_redirect_uris: local,
                group_membership_claims: Some(MembershipClaims::DirectoryRole),
                roles: Some(Vec::new()),
                scopes: vec!["User.Read".to_owned()],
                ..AppSpec::default()
            },
        ],
        tenants: CUSTOMERS.iter().map(Customer::tenant).chain([newcomer]).collect(),
        provider: Some(provider()),
        settings: Some(Settings {
            operation_latency_ms: Span::Range(OPERATION_MS),
            request_latency_ms: Span::Range([10, 40]),
            ..Settings::default()
        }),
    }
}

/// The client id of the portal at the demo provider's issuer.
pub(super) const PORTAL_CLIENT: &str = "demo-portal";
/// People of the demo provider and of its customers, by what their claims make of them.
pub(super) const PROVIDERS_PEOPLE: [(&str, &str, &str, &[&str]); 4] = [
    ("olga", "Olga Operator", "operator", &[]),
    ("mia", "Mia Manager", "account_manager", &["alpha", "bravo"]),
    ("adam", "Adam Admin", "account_admin", &["alpha"]),
    ("cora", "Cora Admin", "account_admin", &["charlie"]),
];

fn provider() -> ProviderSpec {
    let person = |(subject, name, role, accounts): (&str, &str, &str, &[&str])| ProviderPerson {
        subject: subject.to_owned(),
        name: name.to_owned(),
        claims: [("role".to_owned(), role.into()), ("accounts".to_owned(), accounts.into())]
            .into_iter()
            .collect(),
    };
    ProviderSpec {
        client_id: PORTAL_CLIENT.to_owned(),
        client_secret: None,
        redirect_uris: vec!["http://localhost/*".to_owned()],
        people: PROVIDERS_PEOPLE.into_iter().map(person).collect(),
    }
}

/// The accounts of the demo provider, as `tandem accounts apply` takes them.
pub(super) fn accounts() -> String {
    let mut text =
        String::from("# The accounts of the demo provider, as `tandem accounts apply` takes them.\n");
    for customer in &CUSTOMERS {
        // writing into a string does not fail
        let _ = account(&mut text, customer);
    }
    let (name, domain) = NEWCOMER;
    let _ =
        writeln!(text, "\n# not connected yet\n[[account]]\nname = \"{name}\"\nlabel = \"{domain} (demo)\"");
    text
}

fn account(text: &mut String, customer: &Customer) -> std::fmt::Result {
    let key = tandem_pbx::fixture::domain_uuid(customer.domain).unwrap_or_default();
    writeln!(text, "\n[[account]]\nname = \"{}\"\nlabel = \"{}\"", customer.name, customer.label())?;
    writeln!(text, "source = \"{SOURCE}\"\naccount_key = \"{key}\"\ntenant = \"{}\"", customer.tenant)?;
    writeln!(text, "licences = {}\nauto_sync = {}", customer.people.len() + 2, customer.auto_sync)?;
    writeln!(text, "voice_routing_policy = \"{}\"\ndial_plan = \"{}\"", VOICE_ROUTING.1, DIAL_PLAN.1)?;
    if let Some(shared) = customer.shared_number {
        writeln!(text, "shared_number = \"{shared}\"")?;
    }
    writeln!(text, "[[account.policy_rule]]\nwhen = {{ set = {{ field = \"voicemail_enabled\" }} }}")?;
    writeln!(text, "policy_type = \"{}\"\npolicy_name = \"{}\"", VOICEMAIL.0, VOICEMAIL.1)?;
    for person in customer.people() {
        writeln!(text, "[[account.mapping]] # {}, extension {}", person.name, person.extension)?;
        writeln!(text, "pbx_user = \"{}\"\nmicrosoft_user = \"{}\"", person.pbx_user, person.oid)?;
        writeln!(text, "service = \"voice\"")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_person_has_an_extension_in_the_demo_pbx() {
        for customer in &CUSTOMERS {
            for person in customer.people() {
                let row = format!("('{}', '{}',", person.pbx_user, domain_key(customer));
                let row = tandem_pbx::fixture::DEMO.lines().find(|line| line.trim().starts_with(&row));
                assert!(row.is_some_and(|row| row.contains(person.extension)), "{person:?}");
            }
        }
    }

    fn domain_key(customer: &Customer) -> &'static str {
        tandem_pbx::fixture::domain_uuid(customer.domain).unwrap()
    }

    #[test]
    fn the_accounts_file_is_toml_with_every_person_once() {
        let accounts: toml::Table = toml::from_str(&accounts()).unwrap();
        let accounts = accounts["account"].as_array().unwrap();
        let mappings =
            |account: &toml::Value| account.get("mapping").map_or(0, |m| m.as_array().unwrap().len());
        assert_eq!(accounts.iter().map(mappings).collect::<Vec<_>>(), [8, 4, 3, 0]);
    }
}
