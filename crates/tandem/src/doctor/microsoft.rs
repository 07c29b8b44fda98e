//! Microsoft: whether the app's credential works in a tenant that has consented.

use tandem_graph::{ErrorClass, Graph, OperationRef, TenantClient, TokenErrorKind};
use tandem_runtime::{Ctx, chain};
use tandem_store::{admin::accounts, authorizations, vault};
use tandem_teams_sync::{CERTIFICATE_WARNING_DAYS, REQUIRED_ROLES};
use tandem_vault::Kind;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use super::findings::Findings;
use crate::config::Config;
use crate::operator::Operator;

const AREA: &str = "microsoft";
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);
/// An operation that nobody began.
const NO_OPERATION: &str =
    "/v1.0/admin/teams/telephoneNumberManagement/operations/00000000-0000-0000-0000-000000000000";

pub(super) async fn look(ctx: &Ctx, config: &Config, account: Option<&str>, findings: &mut Findings) {
    if config.microsoft.is_none() {
        let text = "the configuration has no section [microsoft]".to_owned();
        return findings.note(AREA, text, "teams-sync and `accounts apply` need it");
    }
    let looked = async {
        let operator = Operator::new(ctx.clone(), config)?;
        let graph = operator.graph()?;
        let bound = bound(&operator, account).await?;
        anyhow::Ok((graph, bound))
    };
    own_fault(ctx, config, findings).await;
    match looked.await {
        Ok((Some(graph), Some((name, tenant)))) => {
            certificates(ctx, &graph, findings);
            try_account(ctx, &graph, &name, tenant, findings).await;
        }
        Ok((graph, None)) => {
            if let Some(graph) = graph {
                certificates(ctx, &graph, findings);
            }
            if account.is_some() {
                return;
            }
            let text = "no account has a tenant, so nothing could be tried".to_owned();
            findings.note(AREA, text, "bind one with `tandem accounts apply`");
        }
        Ok((None, _)) => {}
        Err(error) => findings.error(AREA, format!("{error:#}"), "see the other findings first"),
    }
}

/// Whether the roles found our own credential refused, and when.
async fn own_fault(ctx: &Ctx, config: &Config, findings: &mut Findings) {
    let Ok(operator) = Operator::new(ctx.clone(), config) else { return };
    match authorizations::fault(&operator.store, None).await {
        Ok(None) => {}
        Ok(Some(fault)) => {
            let text = format!(
                "Microsoft refuses our own credential (app {}) since {}: the jobs of all tenants wait; {}",
                fault.client_id,
                crate::screen::time(Some(fault.since)),
                fault.detail.as_deref().unwrap_or("no reason given")
            );
            let remedy = "renew the certificate, federation or secret of the app registration; the jobs then go on by \
                          themselves within five minutes";
            findings.error(AREA, text, remedy);
        }
        Err(error) => findings.error(AREA, chain(&error), "run `tandem migrate`"),
    }
}

/// Until when the certificates of the provider's app are good.
fn certificates(ctx: &Ctx, graph: &Graph, findings: &mut Findings) {
    let now = ctx.clock.now();
    let all = graph.certificates();
    let Some(newest) = all.iter().max_by_key(|certificate| certificate.not_after) else { return };
    let remedy = "register a new certificate with the app and add it to [[microsoft.certificates]]";
    let days = (newest.not_after - now).whole_days();
    if !all.iter().any(|certificate| certificate.is_good(now)) {
        findings.error(AREA, "no certificate of the app is good now".to_owned(), remedy);
    } else if days < i64::from(CERTIFICATE_WARNING_DAYS) {
        findings.warning(AREA, format!("the app's certificate ends in {days} days"), remedy);
    } else {
        findings.ok(AREA, format!("the app's certificate is good for {days} days"));
    }
}

/// The account asked for, or the first whose authorization looks well.
async fn bound(operator: &Operator, account: Option<&str>) -> anyhow::Result<Option<(String, uuid::Uuid)>> {
    let mut tx = operator.store.begin("doctor.bound").await?;
    let names = match account {
        Some(name) => vec![name.to_owned()],
        None => accounts::names(&mut tx).await?.into_iter().map(|(_, name, _)| name).collect(),
    };
    for name in names {
        let found = accounts::find(&mut tx, &name, false).await?;
        anyhow::ensure!(found.is_some() || account.is_none(), "there is no account {name}");
        let Some(found) = found else { continue };
        // only teams-sync can open the credential of an account's own app; `--account` has it look
        let own_app = vault::secret(&mut tx, found.account, Kind::AppCredential.as_str()).await?.is_some();
        if let Some(authorization) = found.authorization.filter(|_| !own_app)
            && (account.is_some() || matches!(authorization.state.as_str(), "healthy" | "weakened"))
        {
            return Ok(Some((name, authorization.tenant.0)));
        }
    }
    Ok(None)
}

async fn try_account(ctx: &Ctx, graph: &Graph, name: &str, tenant: uuid::Uuid, findings: &mut Findings) {
    let client = graph.tenant(tenant).with_max_wait(PATIENCE);
    match client.probe().await {
        Ok(probe) => {
            findings.ok(AREA, format!("a token for the tenant of {name} works"));
            let missing = probe.token.missing(&REQUIRED_ROLES);
            if missing.is_empty() {
                findings.ok(AREA, format!("{name} has granted every permission"));
            } else {
                let text = format!("{name} has not granted {}", missing.join(", "));
                findings.error(AREA, text, "the Global Administrator of the tenant has to consent again");
            }
            clock(ctx, &client, findings).await;
        }
        Err(error) => {
            let remedy = match error.class() {
                ErrorClass::Token(TokenErrorKind::Grant) => {
                    "the Global Administrator of the tenant has to consent again"
                }
                ErrorClass::Token(TokenErrorKind::OwnCredential) => {
                    "the certificate, secret or clock of this side is wrong; no customer is to blame"
                }
                ErrorClass::Token(TokenErrorKind::Policy) => {
                    "a Conditional Access policy of the tenant blocks the app"
                }
                _ => "check the way to login.microsoftonline.com and graph.microsoft.com",
            };
            findings.error(AREA, format!("{name}: {}", chain(&error)), remedy);
        }
    }
}

/// Microsoft's clock, from the `Date` of an answer. Only refusals carry it through to here, so one is asked for.
async fn clock(ctx: &Ctx, client: &TenantClient, findings: &mut Findings) {
    let answer = client.operation(&OperationRef::new(NO_OPERATION)).await;
    let now = ctx.clock.now();
    let date = answer.err().and_then(|error| error.ids()?.date.clone());
    if let Some(theirs) = date.and_then(|date| OffsetDateTime::parse(&date, &Rfc2822).ok()) {
        findings.clocks("clock", "Microsoft", theirs - now);
    }
}
