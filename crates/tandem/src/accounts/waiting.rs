//! Users of an account that wait, and users that a person decided about.

use tandem_domain::AccountId;
use tandem_domain::ladder::{DeferReason, expected_within};
use tandem_store::{Tx, decisions, users};

use crate::screen::{self, Table};

/// Prints both, where there are any.
pub(super) async fn print(tx: &mut Tx, account: AccountId) -> anyhow::Result<()> {
    let waiting = users::waiting(tx, account).await?;
    if !waiting.is_empty() {
        let mut table = Table::new(["PBX USER", "WAITS FOR", "SINCE", "NEXT LOOK", "EXPECTED BY", "WHY"]);
        for user in waiting {
            let within = DeferReason::parse(&user.reason).and_then(expected_within);
            table.row([
                user.user.to_string(),
                user.reason,
                screen::time(Some(user.since)),
                screen::time(Some(user.next_look)),
                screen::time(within.map(|within| user.since + within)),
                user.detail,
            ]);
        }
        screen::line(&format!("\nWaiting, by themselves:\n{}", table.text()));
    }
    let decided = decisions::list(tx, account).await?;
    if !decided.is_empty() {
        let mut table = Table::new(["PBX USER", "DECIDED", "BY", "AT", "WHY"]);
        for decision in decided {
            table.row([
                decision.user.to_string(),
                decision.kind,
                decision.person,
                screen::time(Some(decision.at)),
                decision.reason.unwrap_or_else(|| "-".to_owned()),
            ]);
        }
        screen::line(&format!("\nDecided by people, until the next change of the user:\n{}", table.text()));
    }
    Ok(())
}
