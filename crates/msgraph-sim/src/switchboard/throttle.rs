//! Budgets, and who calls again too early.

use std::collections::HashMap;
use std::time::Duration;

use time::OffsetDateTime;
use tokio::time::Instant;
use uuid::Uuid;

use crate::clock::{Now, ms};
use crate::settings::{Budget, Throttling};

/// Whose budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Scope {
    AppTenant(Uuid, Uuid),
    App(Uuid),
    Login(Uuid),
}

#[derive(Clone, Copy, Debug)]
struct Window {
    from: Instant,
    used: u32,
}

#[derive(Clone, Copy, Debug)]
struct Parked {
    told: Instant,
    until: Instant,
    /// Refuse until then; a fault only watches.
    refuse: bool,
}

/// A refusal for want of budget.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) retry_after_seconds: u64,
    pub(crate) scope: String,
}

/// The result of a look at the budgets.
#[derive(Clone, Debug, Default)]
pub(crate) struct Verdict {
    /// Came before the `Retry-After` of an earlier refusal had passed.
    pub(crate) early: bool,
    pub(crate) refusal: Option<Refusal>,
    /// Used part of the fullest budget.
    pub(crate) used: f64,
}

/// State of all budgets.
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    windows: HashMap<Scope, Window>,
    parked: HashMap<Scope, Parked>,
}

impl Throttle {
    /// Looks at a request to the token endpoint of a tenant.
    pub(crate) fn login(&mut self, tenant: Uuid, now: Instant, limits: &Throttling) -> Verdict {
        let parked = self.parked.get(&Scope::Login(tenant)).filter(|parked| now < parked.until);
        let early = parked.is_some_and(|parked| now.duration_since(parked.told) > ms(limits.early_grace_ms));
        Verdict { early, ..Verdict::default() }
    }

    /// A fault told who asks for a token of a tenant to wait.
    pub(crate) fn told_login(&mut self, tenant: Uuid, retry_after: &str, now: Now) {
        let Some(wait) = wait_of(retry_after, now.wall) else { return };
        let parked = Parked { told: now.mono, until: now.mono + wait, refuse: false };
        self.parked.insert(Scope::Login(tenant), parked);
    }

    /// Counts a request of an application in a tenant.
    pub(crate) fn count(&mut self, app: Uuid, tenant: Uuid, now: Instant, limits: &Throttling) -> Verdict {
        let mut verdict = Verdict::default();
        let scopes = [
            (Scope::AppTenant(app, tenant), limits.per_app_tenant, "Tenant_Application"),
            (Scope::App(app), limits.per_app, "Application"),
        ];
        for (scope, budget, name) in scopes {
            let label = match scope {
                Scope::AppTenant(app, tenant) => format!("{name}/ReadWrite/{app}/{tenant}"),
                Scope::App(app) | Scope::Login(app) => format!("{name}/ReadWrite/{app}"),
            };
            if let Some(parked) = self.parked.get(&scope).copied() {
                if parked.until <= now {
                    self.parked.remove(&scope);
                } else {
                    let early = now.duration_since(parked.told) > ms(limits.early_grace_ms);
                    verdict.early |= early;
                    if parked.refuse {
                        // calling again too early starts the wait anew
                        let wait = if early { parked.until - parked.told } else { parked.until - now };
                        if early {
                            let until = now + wait;
                            self.parked.insert(scope, Parked { told: now, until, refuse: true });
                        }
                        verdict.refusal = Some(Refusal { retry_after_seconds: ceil(wait), scope: label });
                        continue;
                    }
                }
            }
            let Some(budget) = budget else { continue };
            let (used, left) = self.draw(scope, budget, now);
            verdict.used = verdict.used.max(used);
            if used > 1.0 {
                let wait = budget.retry_after_seconds.unwrap_or(ceil(left));
                let until = now + Duration::from_secs(wait);
                self.parked.insert(scope, Parked { told: now, until, refuse: true });
                verdict.refusal = Some(Refusal { retry_after_seconds: wait, scope: label });
            }
        }
        verdict
    }

    /// Takes one request from a window; gives the used part and the rest of the window.
    fn draw(&mut self, scope: Scope, budget: Budget, now: Instant) -> (f64, Duration) {
        let length = Duration::from_secs_f64(budget.window_seconds.clamp(0.001, 86_400.0));
        let window = self.windows.entry(scope).or_insert(Window { from: now, used: 0 });
        if now.duration_since(window.from) >= length {
            *window = Window { from: now, used: 0 };
        }
        window.used += 1;
        let left = length.saturating_sub(now.duration_since(window.from));
        (f64::from(window.used) / f64::from(budget.requests.max(1)), left)
    }

    /// A fault told the caller to wait, in one tenant or everywhere: who comes earlier is counted, not refused.
    pub(crate) fn told(&mut self, app: Uuid, tenant: Option<Uuid>, retry_after: &str, now: Now) {
        let Some(wait) = wait_of(retry_after, now.wall) else { return };
        let parked = Parked { told: now.mono, until: now.mono + wait, refuse: false };
        let scope = tenant.map_or(Scope::App(app), |tenant| Scope::AppTenant(app, tenant));
        self.parked.insert(scope, parked);
    }

    /// Forgets who has to wait, and all windows.
    pub(crate) fn clear(&mut self) {
        self.windows.clear();
        self.parked.clear();
    }
}

fn ceil(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

/// Seconds, also with a fraction, or an HTTP date; at most a day, since more is never waited for.
fn wait_of(text: &str, now: OffsetDateTime) -> Option<Duration> {
    let day = 86_400.0;
    if let Ok(seconds) = text.trim().parse::<f64>() {
        return (seconds > 0.0).then(|| Duration::from_secs_f64(seconds.min(day)));
    }
    let text = text.trim().strip_suffix("GMT").map(|t| format!("{t}+0000"))?;
    let at = OffsetDateTime::parse(&text, &time::format_description::well_known::Rfc2822).ok()?;
    let seconds = (at - now).as_seconds_f64();
    (seconds > 0.0).then(|| Duration::from_secs_f64(seconds.min(day)))
}
