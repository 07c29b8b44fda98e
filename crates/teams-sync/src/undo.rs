//! Undoing a job: the inverse of what it wrote, planned like any other job.

use tandem_domain::plan::{
    Decisions, Observed, Plan, Scope, Since, Touched, UserPlan, refused, targets, touched,
};
use tandem_domain::{AccountId, Gen, JobId, ObjectId, PbxUserId};
use tandem_store::wanted::Snapshot;
use tandem_store::{Tx, undo};

use crate::job_error::JobError;

/// A job on its way back.
#[derive(Debug)]
pub(crate) struct Undoing {
    job: JobId,
    touched: Vec<Touched>,
    since: Since,
}

impl Undoing {
    /// What a job did, and what has happened since.
    pub(crate) async fn load(
        tx: &mut Tx,
        account: AccountId,
        job: JobId,
        covered: Gen,
    ) -> Result<Self, JobError> {
        let whole = |code, text: String| JobError::Refused { code, text, difference: Default::default() };
        let record = undo::record(tx, account, job).await?;
        let record = record
            .ok_or_else(|| whole("undo_unknown_job", format!("the account has no job {job} any more")))?;
        if !record.over {
            return Err(whole("undo_not_over", format!("job {job} is not over yet; wait until it is")));
        }
        if record.open > 0 {
            let text =
                format!("{} writes of job {job} have no known outcome yet; wait for them", record.open);
            return Err(whole("undo_not_over", text));
        }
        let touched = touched(&record.writes);
        if touched.is_empty() {
            return Err(whole("undo_nothing", format!("job {job} changed nothing that could be undone")));
        }
        let users: Vec<(PbxUserId, ObjectId)> =
            touched.iter().map(|user| (user.user.clone(), user.oid)).collect();
        let since = undo::since(tx, account, job, record.to, covered, &users).await?;
        Ok(Self { job, touched, since })
    }

    /// Makes the snapshot want what was there before, of the users of the job and nobody else.
    pub(crate) fn prepare(&self, snapshot: &mut Snapshot) -> Scope {
        let (wanted, standing) = targets(&self.touched, &snapshot.wanted, &snapshot.standing);
        (snapshot.wanted, snapshot.standing) = (wanted, standing);
        let types = self.touched.iter().flat_map(|user| user.policies.keys());
        snapshot.policy_types.extend(types.cloned());
        snapshot.decisions = Decisions::new();
        snapshot.deferred_due.clear();
        Scope::Users(self.touched.iter().map(|user| user.user.clone()).collect())
    }

    /// Users that cannot go back; they are not planned.
    pub(crate) fn refused(&self, observed: &Observed, snapshot: &mut Snapshot) -> Vec<UserPlan> {
        let refused = refused(&self.touched, observed, &self.since);
        snapshot.wanted.retain(|entry| refused.iter().all(|user| user.oid != entry.oid));
        refused
    }

    /// Says of a plan what it is for, and puts users that cannot go back beside the others.
    pub(crate) fn told(&self, plan: &mut Plan, refused: Vec<UserPlan>) {
        for step in plan.steps.iter_mut().chain(&mut plan.held) {
            step.reason = format!("as it was before job {}", self.job).into();
        }
        plan.users.extend(refused);
        plan.users.sort_by(|a, b| (&a.user, a.oid).cmp(&(&b.user, b.oid)));
    }
}
