//! Mappings that suggest themselves.

use std::collections::HashMap;

use futures_util::TryStreamExt as _;
use serde::Deserialize;
use tandem_domain::proposal::{Person, propose};
use tandem_domain::{AccountId, ObjectId, PbxUserId};
use uuid::Uuid;

use crate::sql::statements;
use crate::{StoreError, Tx};

statements! {
    /// Microsoft users that can be mapped and that nobody has.
    FREE = "select t.microsoft_user, t.upn from sync.microsoft_users t
             where t.account_id = $1 and t.not_eligible is null and t.gone_at is null
               and not exists (select from admin.mappings m where m.account_id = $1 and m.microsoft_user = t.microsoft_user)";
    /// All users that the PBX has. Their profiles are read outside: the database takes three times as long for it.
    PEOPLE = "select p.pbx_user_id, p.profile::text as profile, m.pbx_user_id is not null as mapped
                from pbx.profiles p
                left join admin.mappings m on m.account_id = $1 and m.pbx_user_id = p.pbx_user_id
               where p.account_id = $1 and p.deleted_at is null";
}

/// What is read of every profile.
#[derive(Deserialize)]
struct Card {
    email: Option<String>,
    display_name: Option<String>,
    extension: Option<String>,
}

/// A PBX user and what people call it.
struct Called {
    user: PbxUserId,
    name: Option<String>,
    extension: Option<String>,
}

/// A mapping that suggests itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// The PBX user.
    pub user: PbxUserId,
    /// Its name.
    pub name: Option<String>,
    /// Its extension.
    pub extension: Option<String>,
    /// The Microsoft user whose sign-in name is the user's address.
    pub microsoft_user: ObjectId,
    /// The sign-in name.
    pub upn: String,
}

/// Mappings that suggest themselves, by key of the PBX user.
///
/// # Errors
/// [`StoreError`].
pub async fn proposals(tx: &mut Tx, account: AccountId) -> Result<Vec<Proposal>, StoreError> {
    let (failed, work) = (tx.failed(), tx.work());
    let odd = |_| StoreError::Inconsistent { work, column: "pbx.profiles.profile" };
    let mut free: HashMap<String, (ObjectId, String)> = HashMap::new();
    let mut rows = sqlx::query_as::<_, (Uuid, String)>(FREE).bind(account.0).fetch(&mut **tx);
    while let Some((id, upn)) = rows.try_next().await.map_err(&failed)? {
        free.insert(upn.to_lowercase(), (ObjectId(id), upn));
    }
    drop(rows);
    if free.is_empty() {
        return Ok(Vec::new());
    }
    let mut people = Vec::new();
    // one is read while the database looks for the next
    let mut rows = sqlx::query_as::<_, (String, String, bool)>(PEOPLE).bind(account.0).fetch(&mut **tx);
    while let Some((user, profile, mapped)) = rows.try_next().await.map_err(&failed)? {
        let card: Card = serde_json::from_str(&profile).map_err(odd)?;
        let who = Called { user: PbxUserId(user), name: card.display_name, extension: card.extension };
        people.push(Person { email: card.email, mapped, who });
    }
    let one = |(called, (id, upn)): (Called, &(ObjectId, String))| Proposal {
        user: called.user,
        name: called.name,
        extension: called.extension,
        microsoft_user: *id,
        upn: upn.clone(),
    };
    let mut proposals: Vec<Proposal> = propose(people, &free).into_iter().map(one).collect();
    proposals.sort_by(|one, other| one.user.cmp(&other.user));
    Ok(proposals)
}
