//! Making links and seeing what became of them, for whoever sends them out.

use tandem_domain::{AccountId, JobId};
use tandem_store::connect::{self, Purpose, Step};
use tandem_store::{Store, StoreError, Tx};
use time::Duration;
use uuid::Uuid;

use crate::fault::{Fault, Told, Who};
use crate::secret::{LinkCode, NoRandom};

/// A link to be made.
#[derive(Clone, Debug)]
pub struct NewLink<'a> {
    /// For whom.
    pub account: AccountId,
    /// What for.
    pub purpose: &'a Purpose,
    /// The only tenant it is good for: an id or a verified domain.
    pub expected_tenant: Option<&'a str>,
    /// Who makes it.
    pub made_by: &'a str,
    /// How long it is good.
    pub life: Duration,
}

/// Why there is no link.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// No random bits.
    #[error("make a secret")]
    Random(#[from] NoRandom),
    /// The database.
    #[error("keep the link")]
    Store(#[from] StoreError),
}

/// Makes a link and keeps its hash.
///
/// # Errors
/// [`LinkError`]
pub async fn make_link(store: &Store, new: &NewLink<'_>) -> Result<LinkCode, LinkError> {
    let mut tx = store.begin_for("connect.make_link", new.account).await?;
    let link = make_link_in(&mut tx, new).await?;
    tx.commit().await?;
    Ok(link)
}

/// The same in a transaction of the caller's.
///
/// # Errors
/// [`LinkError`]
pub async fn make_link_in(tx: &mut Tx, new: &NewLink<'_>) -> Result<LinkCode, LinkError> {
    let link = LinkCode::new(new.account)?;
    let row = connect::NewLink {
        hash: link.hash(),
        account: new.account,
        purpose: new.purpose,
        expected_tenant: new.expected_tenant,
        made_by: new.made_by,
        life: new.life,
    };
    connect::put_link(tx, &row).await?;
    Ok(link)
}

/// Nobody can begin with the link any more; who has begun may finish.
///
/// # Errors
/// [`StoreError`]
pub async fn close_link(store: &Store, link: &LinkCode) -> Result<(), StoreError> {
    let mut tx = store.begin_for("connect.close_link", link.account()).await?;
    connect::close_link(&mut tx, link.account(), &link.hash()).await?;
    tx.commit().await
}

/// What has become of one browser that came by a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// On its way.
    Under,
    /// Somebody has consented; the proof is being made.
    Proving {
        /// Who consented.
        by: String,
    },
    /// The tenant is connected; what is missing, if anything.
    Connected {
        /// Who consented.
        by: String,
        /// Missing permissions.
        missing: Option<String>,
    },
    /// A sync was asked for.
    Asked {
        /// By whom.
        by: String,
        /// The request.
        request: Uuid,
        /// Its job, once there is one.
        job: Option<JobId>,
    },
    /// It ended without effect.
    Refused {
        /// Stable code.
        code: String,
        /// What happened and what to do, in a line.
        text: String,
        /// The proof failed: consent was given.
        proof: bool,
    },
}

/// What has become of every browser that came by a link, in their order.
///
/// # Errors
/// [`StoreError`]
pub async fn progress(store: &Store, link: &LinkCode) -> Result<Vec<(Uuid, Progress)>, StoreError> {
    let mut tx = store.begin_for("connect.progress", link.account()).await?;
    let attempts = connect::attempts(&mut tx, link.account(), &link.hash()).await?;
    Ok(attempts.into_iter().map(|attempt| (attempt.id, of(attempt))).collect())
}

fn of(attempt: connect::Attempt) -> Progress {
    let by = attempt.person.map(|(_, _, name)| name).unwrap_or_default();
    match (attempt.step, attempt.proof, attempt.request, attempt.refusal) {
        (Step::Proving, None, ..) => Progress::Proving { by },
        (Step::Proving, Some(proof), ..) if proof.outcome == "refused" => {
            let (code, detail) = (proof.code.unwrap_or_default(), proof.detail.unwrap_or_default());
            refused(&Fault::Proof { code, detail }.told(Who::default()), true)
        }
        (Step::Proving, Some(proof), ..) => Progress::Connected { by, missing: proof.detail },
        (Step::Asked, _, Some((request, job)), _) => Progress::Asked { by, request, job },
        (Step::Refused, _, _, Some(refusal)) => refused(&Told::read(&refusal), false),
        _ => Progress::Under,
    }
}

fn refused(told: &Told, proof: bool) -> Progress {
    let name = |what: &str, who: &Option<String>| who.as_ref().map(|who| format!(" {what}: {who}."));
    let who = [name("Signed in", &told.who.signed_in), name("Linked", &told.who.linked)];
    let who: String = who.into_iter().flatten().collect();
    let text = format!("{}{who} {}", told.happened, told.todo);
    Progress::Refused { code: told.code.clone(), text, proof }
}
