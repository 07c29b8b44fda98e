//! A small model of a tenant: what it shows, and what it does when a plan is carried out.

use std::collections::{BTreeMap, BTreeSet};

use tandem_domain::guard::RemovalGuard;
use tandem_domain::plan::{
    AccountKind, Action, Decisions, HolderKind, Licence, Lock, Observed, ObservedLine, ObservedNumber,
    ObservedPolicy, ObservedUser, Plan, PlanInput, PolicyIds, Progress, Run, Scope, Step, StepResult,
    Verdict, plan,
};
use tandem_domain::policy::{PolicyType, Service, same_policy_name};
use tandem_domain::wanted::{Standing, WantedNumber, WantedUser, leaving_user};
use tandem_domain::{Number, ObjectId, PbxUserId};

pub(crate) const CALLING: &str = "TeamsCallingPolicy";

pub(crate) fn oid(n: u8) -> ObjectId {
    ObjectId(format!("00000000-0000-4000-8000-0000000000{n:02}").parse().unwrap())
}

pub(crate) fn user(n: u8) -> PbxUserId {
    PbxUserId(format!("10{n:02}"))
}

pub(crate) fn number(n: u8) -> Number {
    Number::parse(&format!("+121255501{n:02}")).unwrap()
}

/// Who has a number in the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) holder: HolderKind,
    pub(crate) target: Option<ObjectId>,
    pub(crate) primary: bool,
    pub(crate) direct_routing: bool,
    pub(crate) pending: bool,
    pub(crate) failed: bool,
    /// Whether the inventory lists it; else only the record of its holder shows it.
    pub(crate) listed: bool,
}

/// The tenant and the account's wishes.
#[derive(Clone, Debug)]
pub(crate) struct Tenant {
    pub(crate) users: BTreeMap<ObjectId, ObservedUser>,
    pub(crate) lines: BTreeMap<Number, Line>,
    pub(crate) wanted: Vec<WantedUser>,
    pub(crate) standing: BTreeMap<ObjectId, Standing>,
    pub(crate) locks: Vec<Lock>,
    pub(crate) policy_ids: PolicyIds,
    pub(crate) guard: RemovalGuard,
    pub(crate) hold_all_removals: bool,
    pub(crate) decisions: Decisions,
    pub(crate) deleted: BTreeMap<ObjectId, String>,
}

/// What a plan is made of, to be altered.
pub(crate) struct Input {
    pub(crate) wanted: Vec<WantedUser>,
    pub(crate) standing: BTreeMap<ObjectId, Standing>,
    pub(crate) observed: Observed,
    scope: Scope,
    locks: Vec<Lock>,
    policy_ids: PolicyIds,
    guard: RemovalGuard,
    mapped_users: usize,
    hold_all_removals: bool,
    pub(crate) decisions: Decisions,
}

impl Input {
    pub(crate) fn plan(&self) -> Plan {
        plan(&PlanInput {
            wanted: &self.wanted,
            standing: &self.standing,
            observed: &self.observed,
            scope: &self.scope,
            locks: &self.locks,
            policy_ids: &self.policy_ids,
            guard: self.guard,
            mapped_users: self.mapped_users,
            hold_all_removals: self.hold_all_removals,
            decisions: &self.decisions,
        })
    }
}

impl Tenant {
    pub(crate) fn new() -> Self {
        let names = ["alpha", "beta"].map(|name| (name.to_owned(), Some(format!("id-{name}"))));
        Self {
            users: BTreeMap::new(),
            lines: BTreeMap::new(),
            wanted: vec![],
            standing: BTreeMap::new(),
            locks: vec![],
            policy_ids: [(CALLING.into(), BTreeMap::from(names))].into(),
            guard: RemovalGuard { floor: 99, percent: 100 },
            hold_all_removals: false,
            decisions: Decisions::new(),
            deleted: BTreeMap::new(),
        }
    }

    /// A licensed person, not managed yet.
    pub(crate) fn person(&mut self, n: u8) -> &mut ObservedUser {
        self.users.entry(oid(n)).or_insert_with(|| ObservedUser {
            upn: format!("user{n}@customer.example"),
            licensed: Licence::Active,
            account_enabled: true,
            kind: AccountKind::User,
            in_teams: true,
            ..ObservedUser::default()
        })
    }

    pub(crate) fn line(&mut self, n: u8, holder: Option<u8>) -> &mut Line {
        let line = Line {
            holder: if holder.is_some() { HolderKind::User } else { HolderKind::Unassigned },
            target: holder.map(oid),
            primary: true,
            direct_routing: true,
            pending: false,
            failed: false,
            listed: true,
        };
        self.lines.entry(number(n)).or_insert(line)
    }

    /// PBX user `n`, mapped to Microsoft user `n`, who has number `has` from us and should have `wants`.
    pub(crate) fn mapped(&mut self, n: u8, has: Option<u8>, wants: Option<u8>) -> &mut WantedUser {
        self.person(n);
        if let Some(has) = has {
            self.line(has, Some(n));
        }
        self.stands(n, n, has);
        self.wanted.push(WantedUser {
            user: user(n),
            oid: oid(n),
            service: Service::Voice,
            number: wants.map_or(WantedNumber::None, |wants| WantedNumber::Number(number(wants))),
            policies: BTreeMap::new(),
            location_id: None,
        });
        self.wanted.last_mut().unwrap()
    }

    /// PBX user `n` whose former Microsoft user `former` still has number `has` from us.
    pub(crate) fn leaving(&mut self, n: u8, former: u8, has: Option<u8>) {
        self.person(former);
        if let Some(has) = has {
            self.line(has, Some(former));
        }
        self.stands(n, former, has);
        self.wanted.push(leaving_user(&user(n), oid(former)));
    }

    fn stands(&mut self, n: u8, on: u8, has: Option<u8>) {
        let standing = Standing { user: user(n), number: has.map(number), policies: BTreeMap::new() };
        self.standing.insert(oid(on), standing);
    }

    pub(crate) fn observed(&self) -> Observed {
        let mut observed =
            Observed { users: self.users.clone(), deleted: self.deleted.clone(), ..Observed::default() };
        for (number, line) in &self.lines {
            if line.listed {
                let entry = ObservedNumber {
                    number: number.clone(),
                    status: line.holder,
                    target: line.target,
                    direct_routing: line.direct_routing,
                    primary: line.primary,
                    pending: line.pending,
                    failed: line.failed,
                };
                observed.numbers.insert(number.clone(), entry);
            }
            if let Some(user) = line.target.and_then(|oid| observed.users.get_mut(&oid)) {
                user.numbers.push(ObservedLine { number: number.clone(), primary: line.primary });
            }
        }
        observed
    }

    pub(crate) fn input(&self, scope: Scope) -> Input {
        Input {
            wanted: self.wanted.clone(),
            standing: self.standing.clone(),
            observed: self.observed(),
            scope,
            locks: self.locks.clone(),
            policy_ids: self.policy_ids.clone(),
            guard: self.guard,
            mapped_users: self.wanted.iter().filter(|entry| !entry.wants_nothing()).count(),
            hold_all_removals: self.hold_all_removals,
            decisions: self.decisions.clone(),
        }
    }

    pub(crate) fn plan(&self) -> Plan {
        self.input(Scope::All).plan()
    }

    /// The primary number of a Microsoft user.
    pub(crate) fn primary(&self, oid: ObjectId) -> Option<&Number> {
        let mut mine = self.lines.iter().filter(|(_, line)| line.target == Some(oid) && line.primary);
        mine.next().map(|(number, _)| number)
    }

    /// Carries out a plan. `pick` chooses among the steps that could come next, `fails` lets a write fail.
    pub(crate) fn carry_out(
        &mut self,
        plan: &Plan,
        mut pick: impl FnMut(usize) -> usize,
        mut fails: impl FnMut(&Step) -> bool,
    ) {
        let mut done: BTreeSet<u32> = BTreeSet::new();
        let mut open: Vec<&Step> = plan.steps.iter().collect();
        loop {
            let ready: Vec<usize> = (0..open.len())
                .filter(|at| open[*at].depends_on.iter().all(|no| done.contains(no)))
                .collect();
            if ready.is_empty() {
                break;
            }
            let step = open.remove(ready[pick(ready.len())]);
            if !fails(step) {
                self.apply(step);
                done.insert(step.no);
            }
        }
    }

    /// Runs a plan as the executor does, up to `width` steps at once; `ends` says how each step ends.
    pub(crate) fn run(
        &mut self,
        plan: &Plan,
        width: usize,
        mut pick: impl FnMut(usize) -> usize,
        mut ends: impl FnMut(&Step) -> StepResult,
    ) -> Run {
        let mut progress = Progress::new(plan);
        let mut running: Vec<usize> = vec![];
        loop {
            let may_start = running.len() < width && (running.is_empty() || pick(2) == 0);
            if may_start && let Some(index) = progress.next(false) {
                running.push(index);
                continue;
            }
            if running.is_empty() {
                return progress.finish();
            }
            let index = running.remove(pick(running.len()));
            let result = ends(progress.step(index));
            if result == StepResult::Done {
                let step = progress.step(index).clone();
                self.apply(&step);
            }
            progress.ended(index, result);
        }
    }

    /// Does what Microsoft would do, and panics where it would refuse.
    fn apply(&mut self, step: &Step) {
        let standing = self.standing.entry(step.oid).or_insert_with(|| Standing {
            user: step.user.clone(),
            number: None,
            policies: BTreeMap::new(),
        });
        standing.user = step.user.clone();
        match &step.action {
            Action::UnassignNumber { number } => {
                let line = self.lines.get_mut(number).expect("a number that somebody has");
                assert_eq!(line.target, Some(step.oid), "{number} taken from somebody else");
                assert!(line.direct_routing, "{number} is not ours to take");
                (line.holder, line.target, line.listed) = (HolderKind::Unassigned, None, true);
                if standing.number.as_ref() == Some(number) {
                    standing.number = None;
                }
            }
            Action::AssignNumber { number, .. } => {
                standing.number = Some(number.clone());
                assert_eq!(self.primary(step.oid), None, "{} already has a number", step.user);
                let line = self.lines.entry(number.clone()).or_insert(Line {
                    holder: HolderKind::Unassigned,
                    target: None,
                    primary: true,
                    direct_routing: true,
                    pending: false,
                    failed: false,
                    listed: true,
                });
                assert_eq!(line.holder, HolderKind::Unassigned, "{number} has already been assigned");
                (line.holder, line.target, line.primary) = (HolderKind::User, Some(step.oid), true);
            }
            Action::AssignPolicy { policy_type, name, policy_id } => {
                let policy =
                    ObservedPolicy { name: format!("Tag:{name}"), id: Some(policy_id.clone()), direct: true };
                standing.policies.insert(policy_type.clone(), name.clone());
                self.users.get_mut(&step.oid).unwrap().policies.insert(policy_type.clone(), policy);
            }
            Action::UnassignPolicy { policy_type, name } => {
                standing.policies.remove(policy_type);
                let gone = self.users.get_mut(&step.oid).unwrap().policies.remove(policy_type);
                let gone = gone.expect("a policy to take off");
                assert!(gone.direct && same_policy_name(&gone.name, name), "{gone:?} is not ours");
            }
        }
    }

    /// Gives Microsoft user `n` a policy that we put there.
    pub(crate) fn has_policy(&mut self, n: u8, name: &str, direct: bool, ours: bool) {
        let policy_type = PolicyType::from(CALLING);
        let policy = ObservedPolicy { name: format!("Tag:{name}"), id: None, direct };
        self.person(n).policies.insert(policy_type.clone(), policy);
        if ours && let Some(standing) = self.standing.get_mut(&oid(n)) {
            standing.policies.insert(policy_type, name.to_owned());
        }
    }
}

/// A plan as a person would read it.
pub(crate) fn told(plan: &Plan) -> String {
    let step = |step: &Step| {
        let (before, after) = (step.before.as_deref().unwrap_or("-"), step.after.as_deref().unwrap_or("-"));
        let waits =
            if step.depends_on.is_empty() { String::new() } else { format!(" after {:?}", step.depends_on) };
        let group = step.group.map(|group| format!(" [{group}]")).unwrap_or_default();
        format!(
            "{}. {} {} {before} -> {after}{waits}{group}: {}",
            step.no,
            step.user,
            step.action.kind(),
            step.reason
        )
    };
    let verdict = |verdict: &Verdict| match verdict {
        Verdict::Steps => "steps".to_owned(),
        Verdict::Unchanged => "unchanged".to_owned(),
        Verdict::Conflict { code, text, holder } => {
            format!("conflict {code}: {text} <{}>", holder.as_deref().unwrap_or("-"))
        }
        Verdict::Deferred { reason, text } => format!("deferred {}: {text}", reason.as_str()),
        Verdict::Held { text } => format!("held: {text}"),
        Verdict::Kept { code, text } => format!("kept {code}: {text}"),
        Verdict::Failed { code, text } => format!("failed {code}: {text}"),
    };
    let mut lines: Vec<String> = plan.steps.iter().map(step).collect();
    lines.extend(plan.held.iter().map(|held| format!("held {}", step(held))));
    for user in &plan.users {
        lines.push(format!("{}: {}", user.user, verdict(&user.verdict)));
        let warned = user.warning.as_ref();
        lines.extend(warned.map(|warning| format!("  warning {}: {}", warning.code, warning.text)));
    }
    lines.join("\n")
}
