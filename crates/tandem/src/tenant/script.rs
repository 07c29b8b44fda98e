//! The set-up script of a tenant; pure.
//!
//! It makes what an account's settings and rules name and the tenant lacks, and leaves alone what is there. With
//! `-WhatIf` it only tells. Names are written as [`literal`] writes them, so that none can become code.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use tandem_domain::TenantId;
use tandem_domain::policy::{Condition, PolicyRule, PolicyType, bare_policy_name};
use tandem_domain::wanted::AccountSettings;

use super::powershell::{comment, literal};

/// Policy types that the script cannot make, because only the customer knows what should be in them, with the cmdlet
/// that shows whether such a policy is there.
const CHECKED: [(&str, &str); 12] = [
    ("CallingLineIdentity", "Get-CsCallingLineIdentity"),
    ("ExternalAccessPolicy", "Get-CsExternalAccessPolicy"),
    ("TeamsAppPermissionPolicy", "Get-CsTeamsAppPermissionPolicy"),
    ("TeamsAppSetupPolicy", "Get-CsTeamsAppSetupPolicy"),
    ("TeamsCallParkPolicy", "Get-CsTeamsCallParkPolicy"),
    ("TeamsChannelsPolicy", "Get-CsTeamsChannelsPolicy"),
    ("TeamsEmergencyCallRoutingPolicy", "Get-CsTeamsEmergencyCallRoutingPolicy"),
    ("TeamsEmergencyCallingPolicy", "Get-CsTeamsEmergencyCallingPolicy"),
    ("TeamsMeetingPolicy", "Get-CsTeamsMeetingPolicy"),
    ("TeamsMessagingPolicy", "Get-CsTeamsMessagingPolicy"),
    ("TeamsUpdateManagementPolicy", "Get-CsTeamsUpdateManagementPolicy"),
    ("TeamsUpgradePolicy", "Get-CsTeamsUpgradePolicy"),
];
/// Longest name of a gateway (`New-CsOnlinePSTNGateway -Fqdn`).
const LONGEST_HOST_NAME: usize = 63;
const CALLING: &str = "TeamsCallingPolicy";

const HELPERS: &str = r#"Set-StrictMode -Version Latest
$ErrorActionPreference = 'Stop'

function Test-Named($All, [string] $Wanted) {
    foreach ($one in @($All)) {
        if ($null -eq $one) { continue }
        $id = [string] $one.Identity
        if ($id -eq $Wanted -or $id -eq ('Tag:' + $Wanted)) { return $true }
    }
    return $false
}

function Test-Lacks($All, [string] $Wanted, [string] $List, [string] $Value) {
    foreach ($one in @($All)) {
        if (Test-Named $one $Wanted) { return -not (@($one.$List) -contains $Value) }
    }
    return $false
}

function New-Missing {
    [CmdletBinding(SupportsShouldProcess)]
    param([string] $What, [bool] $Exists, [scriptblock] $Make)
    if ($Exists) {
        Write-Output ('exists, left as it is: ' + $What)
    } elseif ($PSCmdlet.ShouldProcess($What, 'create')) {
        & $Make | Out-Null
        Write-Output ('created: ' + $What)
    }
}
"#;

/// Reads the host name of a gateway.
pub(super) fn host_name(text: &str) -> Result<String, String> {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if text.len() <= LONGEST_HOST_NAME && text.contains('.') && text.split('.').all(label) {
        Ok(text.to_ascii_lowercase())
    } else {
        Err("a full host name such as sbc.provider.example".to_owned())
    }
}

/// What an account needs in its tenant.
#[derive(Debug)]
pub(super) struct Setup {
    account: String,
    tenant: Option<TenantId>,
    gateway: Option<String>,
    port: u16,
    /// Name of usage and route; none where no routing policy is named.
    route: Option<String>,
    routing: Vec<String>,
    dial_plans: Vec<String>,
    /// Calling policies and what is to be in them.
    calling: Vec<(String, Vec<&'static str>)>,
    others: Vec<(PolicyType, String)>,
    /// Fewest and most digits of an extension.
    extensions: Option<(usize, usize)>,
}

impl Setup {
    pub(super) fn new(
        account: &str,
        tenant: Option<TenantId>,
        settings: &AccountSettings,
        extensions: &[String],
        gateway: Option<String>,
        port: u16,
        route: Option<String>,
    ) -> Self {
        let named = named(settings);
        let of = |wanted: &str| -> Vec<String> {
            let wanted = PolicyType::from(wanted);
            named.iter().filter(|((kind, _), _)| *kind == wanted).map(|(_, name)| name.clone()).collect()
        };
        let routing = of(PolicyType::VOICE_ROUTING);
        let dial_plans = of(PolicyType::DIAL_PLAN);
        let calling = of(CALLING).into_iter().map(|name| {
            let content = content(&name, &settings.rules);
            (name, content)
        });
        let made = [PolicyType::VOICE_ROUTING, PolicyType::DIAL_PLAN, CALLING].map(PolicyType::from);
        let digits = |text: &String| text.bytes().all(|b| b.is_ascii_digit()).then_some(text.len());
        let lengths: Vec<usize> = extensions.iter().filter_map(digits).filter(|length| *length > 0).collect();
        let first = settings.voice_routing_policy.as_deref().map(bare_policy_name).map(str::to_owned);
        Self {
            account: account.to_owned(),
            tenant,
            gateway,
            port,
            route: route.or(first).or_else(|| routing.first().cloned()).filter(|_| !routing.is_empty()),
            calling: calling.collect(),
            others: named
                .iter()
                .filter(|((kind, _), _)| !made.contains(kind))
                .map(|((kind, _), name)| (kind.clone(), name.clone()))
                .collect(),
            routing,
            dial_plans,
            extensions: lengths.iter().min().copied().zip(lengths.iter().max().copied()),
        }
    }

    /// Whether the account names nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.routing.is_empty()
            && self.dial_plans.is_empty()
            && self.calling.is_empty()
            && self.others.is_empty()
    }

    /// The script: printable ASCII and line feeds.
    pub(super) fn script(&self) -> String {
        let mut out = self.head();
        if let Some(route) = &self.route {
            out += &self.routing(route);
        }
        for name in &self.dial_plans {
            out += &self.dial_plan(name);
        }
        for (name, content) in &self.calling {
            let mut make = format!("New-CsTeamsCallingPolicy -Identity {}", literal(name));
            for parameter in content {
                make += " ";
                make += parameter;
            }
            let there = format!("(Test-Named (Get-CsTeamsCallingPolicy) {})", literal(name));
            out += &step("calling policy", name, &there, &make);
        }
        for (kind, name) in &self.others {
            out += &checked(kind, name);
        }
        out + "\nWrite-Output 'Done. Microsoft may take a while until new policies can be assigned.'\n"
    }

    fn head(&self) -> String {
        let mut out = format!(
            "# Made by Tandem for the account {}. It makes what is missing and leaves alone what is there.\n\
             # Run Connect-MicrosoftTeams as a Teams Administrator of the customer's tenant first, then this script\n\
             # with -WhatIf, then without it. It can be run again at any time.\n",
            comment(&self.account)
        );
        if self.route.is_some() {
            out +=
                "# The domain of the gateway must be verified in the tenant, with a licensed user in it.\n";
        }
        out += "#Requires -Modules MicrosoftTeams\n[CmdletBinding(SupportsShouldProcess)]\nparam(";
        if self.route.is_some() {
            match &self.gateway {
                Some(gateway) => {
                    let _ = write!(out, "\n    [string] $GatewayFqdn = {},", literal(gateway));
                }
                None => out += "\n    [Parameter(Mandatory)] [string] $GatewayFqdn,",
            }
            let _ = write!(out, "\n    [int] $SipSignalingPort = {}\n", self.port);
        }
        out += ")\n";
        out += HELPERS;
        if let Some(tenant) = self.tenant {
            let _ = write!(
                out,
                "\nif ([string] (Get-CsTenant).TenantId -ne '{tenant}') {{\n    \
                 throw 'This is another tenant than the one of the account; nothing was changed.'\n}}\n"
            );
        }
        out
    }

    fn routing(&self, route: &str) -> String {
        let usage = literal(route);
        let mut out = "\nNew-Missing -What ('PSTN gateway ' + $GatewayFqdn) \
                       -Exists (Test-Named (Get-CsOnlinePSTNGateway) $GatewayFqdn) -Make {\n    \
                       New-CsOnlinePSTNGateway -Fqdn $GatewayFqdn -SipSignalingPort $SipSignalingPort -Enabled $true\n}\n"
            .to_owned();
        out += &step(
            "PSTN usage",
            route,
            &format!("(@((Get-CsOnlinePstnUsage -Identity Global).Usage) -contains {usage})"),
            &format!("Set-CsOnlinePstnUsage -Identity Global -Usage @{{ Add = {usage} }}"),
        );
        out += &step(
            "voice route",
            route,
            &format!("(Test-Named (Get-CsOnlineVoiceRoute) {usage})"),
            &format!(
                "New-CsOnlineVoiceRoute -Identity {usage} -NumberPattern '.*' \
                 -OnlinePstnGatewayList @{{ Add = $GatewayFqdn }} -OnlinePstnUsages @{{ Add = {usage} }}"
            ),
        );
        out += &lacks(
            "voice route",
            "OnlineVoiceRoute",
            route,
            "OnlinePstnGatewayList",
            "$GatewayFqdn",
            "gateway",
        );
        out += &lacks("voice route", "OnlineVoiceRoute", route, "OnlinePstnUsages", &usage, "PSTN usage");
        for policy in &self.routing {
            let name = literal(policy);
            out += &step(
                "voice routing policy",
                policy,
                &format!("(Test-Named (Get-CsOnlineVoiceRoutingPolicy) {name})"),
                &format!("New-CsOnlineVoiceRoutingPolicy -Identity {name} -OnlinePstnUsages {usage}"),
            );
            let kind = "OnlineVoiceRoutingPolicy";
            out += &lacks("voice routing policy", kind, policy, "OnlinePstnUsages", &usage, "PSTN usage");
        }
        out
    }

    fn dial_plan(&self, plan: &str) -> String {
        let name = literal(plan);
        let mut make = String::new();
        let mut rules = "";
        if let Some((fewest, most)) = self.extensions {
            let _ = write!(
                make,
                "$rule = New-CsVoiceNormalizationRule -Parent Global -Name 'Tandem-Extensions' \
                 -Description 'Extensions of the PBX go there as dialled' -Pattern '^(\\d{{{fewest},{most}}})$' \
                 -Translation '$1' -IsInternalExtension $false -InMemory\n    "
            );
            rules = " -NormalizationRules @{ Add = $rule }";
        }
        let _ = write!(make, "New-CsTenantDialPlan -Identity {name}{rules}");
        step("dial plan", plan, &format!("(Test-Named (Get-CsTenantDialPlan) {name})"), &make)
    }
}

/// Every policy that settings and rules name, by type and by name in lower case, as it was first written.
fn named(settings: &AccountSettings) -> BTreeMap<(PolicyType, String), String> {
    let own = [
        (PolicyType::VOICE_ROUTING, &settings.voice_routing_policy),
        (PolicyType::DIAL_PLAN, &settings.dial_plan),
    ];
    let own = own.into_iter().filter_map(|(kind, name)| Some((PolicyType::from(kind), name.as_deref()?)));
    let ruled = settings.rules.iter().map(|rule| (rule.policy_type.clone(), rule.policy_name.as_str()));
    let mut named = BTreeMap::new();
    for (kind, name) in own.chain(ruled) {
        let bare = bare_policy_name(name);
        // every tenant has these from the beginning
        if !bare.eq_ignore_ascii_case("Global") {
            named.entry((kind, bare.to_lowercase())).or_insert_with(|| bare.to_owned());
        }
    }
    named
}

/// What a calling policy has to say so that Teams does not do what the PBX does already. It follows from the fields
/// under whose presence the rules ask for it.
fn content(name: &str, rules: &[PolicyRule]) -> Vec<&'static str> {
    let calling = PolicyType::from(CALLING);
    let of_policy = rules.iter().filter(|rule| {
        rule.policy_type == calling && bare_policy_name(&rule.policy_name).eq_ignore_ascii_case(name)
    });
    let fields: Vec<&str> = of_policy
        .filter_map(|rule| match &rule.when {
            Condition::Set { field } => Some(field.as_str()),
            Condition::Is { field, value } if *value == serde_json::Value::Bool(true) => Some(field.as_str()),
            Condition::Always | Condition::Is { .. } | Condition::Unset { .. } => None,
        })
        .collect();
    let mut content = Vec::new();
    if fields.iter().any(|field| field.starts_with("voicemail_")) {
        content.push("-AllowVoicemail AlwaysDisabled");
    }
    if fields.iter().any(|field| field.starts_with("forward_") || *field == "follow_me") {
        content.extend(["-AllowCallForwardingToUser $false", "-AllowCallForwardingToPhone $false"]);
    }
    content
}

/// Makes one thing unless it is there. `there` and `make` are PowerShell.
fn step(what: &str, name: &str, there: &str, make: &str) -> String {
    let what = literal(&format!("{what} {name}"));
    format!("\nNew-Missing -What {what} -Exists {there} -Make {{\n    {make}\n}}\n")
}

/// Says when something was there already without what makes calls take the route. `value` is PowerShell.
fn lacks(what: &str, noun: &'static str, name: &str, list: &'static str, value: &str, of: &str) -> String {
    let text = literal(&format!("{what} {name} does not hold this {of}, so calls do not take the route: "));
    format!(
        "if (Test-Lacks (Get-Cs{noun}) {} '{list}' {value}) {{\n    Write-Warning ({text} + {value})\n}}\n",
        literal(name)
    )
}

/// Says when a policy is missing that the script cannot make.
fn checked(kind: &PolicyType, name: &str) -> String {
    let missing = literal(&format!("{kind} {name} is not there; make it by hand, the policy rules name it"));
    match CHECKED.iter().find(|(known, _)| kind.0.eq_ignore_ascii_case(known)) {
        Some((_, get)) => format!(
            "\nif (-not (Test-Named ({get}) {})) {{\n    Write-Warning {missing}\n}}\n",
            literal(name)
        ),
        None => {
            let unknown = literal(&format!("make sure that {kind} {name} is there; this script cannot look"));
            format!("\nWrite-Warning {unknown}\n")
        }
    }
}

#[cfg(test)]
mod tests;
