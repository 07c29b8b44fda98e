//! Accounts, licences, mappings, policy rules, and what people asked for.

use crate::sql::statements;

statements! {
    /// Account by its short name.
    BY_NAME = "select account_id from admin.accounts where name = $1";
}
