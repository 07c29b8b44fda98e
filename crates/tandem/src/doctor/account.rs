//! One account: its authorization, the policies it names, its mapped users and their numbers.
//!
//! It changes nothing. Where the account has an app of its own it asks teams-sync, which alone can speak as that app. Of a
//! policy Graph shows its id by type and name and no more, and the findings say so.

use std::collections::{BTreeMap, BTreeSet};

use tandem_domain::ObjectId;
use tandem_domain::eligible::Flag;
use tandem_domain::policy::{PolicyType, Service, bare_policy_name};
use tandem_domain::wanted::{WantedNumber, WantedUser};
use tandem_runtime::Ctx;
use tandem_store::admin::accounts::{self, Account};
use tandem_store::wanted;
use tandem_teams_sync::{Question, REQUIRED_ROLES, Seen};

use super::findings::{Findings, Severity};
use crate::config::Config;
use crate::looks::{self, NoAnswer};
use crate::operator::{Operator, person};

const AREA: &str = "account";
/// Users that a finding names; more are counted.
const NAMED: usize = 20;

pub(super) async fn look(ctx: &Ctx, config: &Config, name: &str, findings: &mut Findings) {
    if let Err(error) = examine(ctx, config, name, findings).await {
        findings.error(AREA, format!("{name}: {error:#}"), "see the other findings first");
    }
}

async fn examine(ctx: &Ctx, config: &Config, name: &str, findings: &mut Findings) -> anyhow::Result<()> {
    let operator = Operator::new(ctx.clone(), config)?;
    let mut tx = operator.store.begin("doctor.account").await?;
    // an account that is not there has been told
    let Some(account) = accounts::find(&mut tx, name, false).await? else { return Ok(()) };
    let seen = accounts::users(&mut tx, account.account).await?.len();
    drop(tx);
    pbx(&account, seen, findings);
    authorization(&account, findings);
    let wanted = wanted::snapshot(&operator.store, account.account, None).await?.wanted;
    let mapped: BTreeSet<ObjectId> =
        account.mappings.values().map(|mapping| mapping.microsoft_user).collect();
    numbers(wanted.iter().filter(|user| mapped.contains(&user.oid)), findings);
    let Some(stored) = &account.authorization else { return Ok(()) };
    let named = named(&account);
    let policies = named.iter().map(|(kind, name)| (kind.0.clone(), name.clone())).collect();
    let question = Question { policies, users: mapped.clone(), ..Question::default() };
    let own_app = looks::own_app(&operator, account.account, stored.tenant).await?;
    let seen = match (own_app.is_some(), operator.graph()?) {
        (true, _) => looks::through_teams_sync(&operator, account.account, &person(None), &question).await?,
        (false, Some(graph)) => looks::here(&graph, stored.tenant, &question).await,
        (false, None) => return Ok(()),
    };
    match seen {
        Ok(seen) => {
            tenant(&seen, own_app.is_some(), findings);
            self::policies(&account, &named, &seen, findings);
            users(&seen, &mapped, findings);
        }
        Err(NoAnswer::Silent) => {
            findings.error(AREA, format!("{name}: {}", NoAnswer::Silent.text()), NoAnswer::Silent.remedy());
        }
        Err(refused) => {
            let remedy = "Microsoft's side of the account could not be looked at; try again";
            findings.error(AREA, format!("{name}: {}", refused.text()), remedy);
        }
    }
    Ok(())
}

/// The PBX comes first: without it there is nothing that Microsoft could be brought in line with.
fn pbx(account: &Account, seen: usize, findings: &mut Findings) {
    match &account.binding {
        Some((source, key)) if seen > 0 => {
            findings.ok(AREA, format!("the PBX side is set up: {seen} users of {source}/{key}"));
        }
        Some((source, key)) => {
            let remedy = "let the source be read, or send a push; then go on with Microsoft's side";
            findings.warning(AREA, format!("no user of {source}/{key} has been seen yet"), remedy);
        }
        None => {
            let remedy = "give the account source and account_key before Microsoft's side is set up";
            findings.error(AREA, "the account is bound to no PBX".to_owned(), remedy);
        }
    }
}

fn authorization(account: &Account, findings: &mut Findings) {
    let consent = "the Global Administrator of the tenant has to consent again";
    let Some(stored) = &account.authorization else {
        return findings.error(
            AREA,
            "no tenant is bound".to_owned(),
            "bind one once its administrator consented",
        );
    };
    let detail = stored.detail.as_ref().map(|detail| format!(" ({detail})")).unwrap_or_default();
    let text = format!("the authorization is {}{detail}", stored.state);
    match stored.state.as_str() {
        "healthy" => findings.ok(AREA, text),
        "own_fault" => findings.error(AREA, text, "our own credential is at fault; renew it"),
        "blocked" => findings.error(AREA, text, "a Conditional Access policy of the tenant blocks the app"),
        "weakened" => findings.warning(AREA, text, consent),
        _ => findings.error(AREA, text, consent),
    }
    let missing: Vec<&str> =
        REQUIRED_ROLES.into_iter().filter(|role| !stored.permissions.iter().any(|has| has == role)).collect();
    if missing.is_empty() {
        findings.ok(AREA, "every permission was there when the tenant was last proved".to_owned());
    } else {
        let text = format!("missing when the tenant was last proved: {}", missing.join(", "));
        findings.warning(AREA, text, consent);
    }
}

/// Whether every mapped user has a number that Microsoft takes.
fn numbers<'a>(wanted: impl Iterator<Item = &'a WantedUser>, findings: &mut Findings) {
    let (mut usable, mut without) = (0_usize, Vec::new());
    let mut holders: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut wrong = Vec::new();
    for user in wanted.filter(|user| user.service == Service::Voice) {
        match &user.number {
            WantedNumber::Number(number) => {
                usable += 1;
                holders.entry(number.as_str()).or_default().push(user.user.as_str());
            }
            WantedNumber::Unusable { text, why } => wrong.push(format!("{} has {text}: {why}", user.user)),
            WantedNumber::None => without.push(user.user.to_string()),
        }
    }
    findings.ok(AREA, format!("{usable} mapped users have a number that Microsoft takes"));
    several(
        findings,
        Severity::Error,
        &wrong,
        "numbers that Microsoft does not take",
        "correct them in the PBX",
    );
    several(
        findings,
        Severity::Warning,
        &without,
        "Voice users without a number",
        "give them one in the PBX, set the account's shared_number, or make them App users",
    );
    let twice: Vec<String> = holders
        .into_iter()
        .filter(|(_, users)| users.len() > 1)
        .map(|(number, users)| format!("{number} ({})", users.join(", ")))
        .collect();
    several(findings, Severity::Error, &twice, "numbers wanted by several users", "give each user its own");
}

fn several(findings: &mut Findings, severity: Severity, list: &[String], what: &str, remedy: &str) {
    if list.is_empty() {
        return;
    }
    let named = list.iter().take(NAMED).cloned().collect::<Vec<_>>().join("; ");
    let more = list.len().saturating_sub(NAMED);
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    findings.add(AREA, severity, format!("{what}: {named}{more}"), Some(remedy.to_owned()));
}

fn tenant(seen: &Seen, own_app: bool, findings: &mut Findings) {
    let label = seen.label.as_deref().unwrap_or("without a name");
    findings.ok(AREA, format!("the tenant is {label} ({}), {}", seen.tenant, seen.domains.join(", ")));
    if own_app {
        let text = format!("teams-sync speaks to it as the account's own app {}", seen.client_id);
        findings.ok(AREA, text);
        let missing = seen.missing();
        if !missing.is_empty() {
            let remedy = "an administrator of the tenant has to grant them to the account's own app";
            findings.error(AREA, format!("that app lacks {}", missing.join(", ")), remedy);
        }
    }
}

/// Every policy that settings and rules name, by type and bare name.
fn named(account: &Account) -> BTreeSet<(PolicyType, String)> {
    let settings = &account.settings;
    let own = [
        (PolicyType::VOICE_ROUTING, &settings.voice_routing_policy),
        (PolicyType::DIAL_PLAN, &settings.dial_plan),
    ];
    let own = own.into_iter().filter_map(|(kind, name)| Some((PolicyType::from(kind), name.as_deref()?)));
    let ruled = account.rules.iter().map(|rule| (rule.policy_type.clone(), rule.policy_name.as_str()));
    own.chain(ruled).map(|(kind, name)| (kind, bare_policy_name(name).to_owned())).collect()
}

fn policies(account: &Account, named: &BTreeSet<(PolicyType, String)>, seen: &Seen, findings: &mut Findings) {
    if account.settings.voice_routing_policy.is_none() {
        let remedy = "set voice_routing_policy, unless the tenant's default routes calls to you";
        findings.note(AREA, "the account names no voice routing policy".to_owned(), remedy);
    }
    for ((kind, name), there) in named.iter().zip(&seen.policies) {
        if *there {
            findings.ok(AREA, format!("{kind} {name} is there"));
        } else {
            let remedy = format!(
                "make it once, see `tandem tenant setup-script {}`, or correct the name",
                account.name
            );
            findings.error(AREA, format!("{kind} {name} is not in the tenant"), &remedy);
        }
    }
    if !named.is_empty() {
        let text = "Graph shows that policies of these names are there and no more";
        let remedy = "what is in them, and gateway, usage and route behind them, can be seen in the Teams admin \
                      center and with PowerShell only";
        findings.note(AREA, text.to_owned(), remedy);
    }
}

fn users(seen: &Seen, mapped: &BTreeSet<ObjectId>, findings: &mut Findings) {
    if mapped.is_empty() {
        findings.note(AREA, "no user is mapped".to_owned(), "map users in the accounts file");
        return;
    }
    let (mut eligible, mut gone, mut refused, mut flagged) = (0_usize, Vec::new(), Vec::new(), Vec::new());
    for oid in mapped {
        let Some(user) = seen.users.get(oid) else {
            gone.push(oid.to_string());
            continue;
        };
        match &user.why_not {
            Some(why) => refused.push(format!("{} {why}", user.upn)),
            None => eligible += 1,
        }
        let words: Vec<&str> =
            user.flags.iter().filter_map(|flag| Flag::parse(flag).map(flag_text)).collect();
        if !words.is_empty() {
            flagged.push(format!("{} ({})", user.upn, words.join(", ")));
        }
    }
    findings.ok(AREA, format!("{eligible} of {} mapped users are eligible", mapped.len()));
    several(
        findings,
        Severity::Error,
        &gone,
        "mapped, but not in the tenant",
        "map other users, or restore them",
    );
    several(
        findings,
        Severity::Error,
        &refused,
        "mapped, but not eligible",
        "correct licence or account at Microsoft, or take the mapping away",
    );
    several(
        findings,
        Severity::Warning,
        &flagged,
        "mapped users to keep an eye on",
        "see the licences at Microsoft",
    );
}

fn flag_text(flag: Flag) -> &'static str {
    match flag {
        Flag::PlanInGrace => "the Phone System plan is in its grace period",
        Flag::NotInTeamsYet => "Teams does not know the user yet",
        Flag::PlanNotEffective => "the Phone System plan is not effective yet",
    }
}
