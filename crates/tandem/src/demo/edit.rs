//! Edits in the demo PBX, saved the way its own pages would save them.

use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use sqlx::{Connection as _, PgConnection, Row};
use tandem_domain::Number;
use time::OffsetDateTime;
use uuid::Uuid;

use super::pbx;
use super::screen::Screen;
use super::world::{CUSTOMERS, Customer};

/// Numbers that lead to an extension, lowest first.
const NUMBERS: &str = "
    select d.destination_uuid, coalesce(d.destination_prefix, '') as prefix, d.destination_number as number
      from v_destinations d join v_domains m using (domain_uuid)
     where m.domain_name = $1 and d.destination_type = 'inbound' and d.destination_enabled
       and (d.destination_data like $2 || ' XML %' or exists (
             select from json_array_elements(
               case when json_typeof(d.destination_actions) = 'array' then d.destination_actions else '[]' end) action
              where action ->> 'destination_data' like $2 || ' XML %'))
     order by d.destination_number";

/// Whom a number leads to already.
const HOLDER: &str = "
    select m.domain_name, coalesce(d.destination_data, d.destination_actions -> 0 ->> 'destination_data', 'nobody') as target
      from v_destinations d join v_domains m using (domain_uuid)
     where d.destination_type = 'inbound' and d.destination_enabled
       and regexp_replace(coalesce(d.destination_prefix, '') || d.destination_number, '\\D', '', 'g') = $1
     limit 1";

const CHANGE: &str = "
    update v_destinations set destination_prefix = nullif($2, ''), destination_number = $3, update_date = now()
     where destination_uuid = $1 returning clock_timestamp()";

const ADD: &str = "
    insert into v_destinations (destination_uuid, domain_uuid, destination_type, destination_number,
      destination_context, destination_actions, destination_enabled, destination_description, insert_date)
    select gen_random_uuid(), x.domain_uuid, 'inbound', $3, 'public', json_build_array(json_build_object(
        'destination_app', 'transfer', 'destination_data', $2 || ' XML ' || m.domain_name)), true, '', now()
      from v_extensions x join v_domains m using (domain_uuid)
     where m.domain_name = $1 and x.extension = $2
    returning clock_timestamp()";

const VOICEMAIL: &str = "
    update v_voicemails v set voicemail_enabled = $3, update_date = now()
      from v_domains m where m.domain_uuid = v.domain_uuid and m.domain_name = $1 and v.voicemail_id = $2
    returning clock_timestamp()";

/// Changes a user in the PBX of a demo that runs.
#[derive(Debug, clap::Args)]
pub(crate) struct EditArgs {
    /// Account of the demo provider: alpha, bravo or charlie.
    #[arg(long, default_value = "alpha")]
    account: String,
    /// Extension of the user, e.g. 1007.
    #[arg(long, value_name = "EXTENSION")]
    user: String,
    /// The user's new direct number, e.g. +12125550177.
    #[arg(long, value_name = "E164", required_unless_present = "voicemail")]
    number: Option<String>,
    /// Switches the user's mailbox, and with it a calling policy in Teams.
    #[arg(long, value_name = "on|off", value_parser = ["on", "off"])]
    voicemail: Option<String>,
}

/// Carries out `tandem demo edit`.
pub(super) async fn run(data: &Path, args: &EditArgs, screen: &Screen) -> Result<()> {
    let Some(customer) = Customer::named(&args.account) else {
        let names: Vec<_> = CUSTOMERS.iter().map(|customer| customer.name).collect();
        bail!("the demo has no account {}; it has {}", args.account, names.join(", "));
    };
    let mut connection = connect(data).await?;
    if let Some(number) = &args.number {
        let number = Number::parse(number).with_context(|| format!("read the number {number}"))?;
        ensure!(number.base() == number.as_str(), "a direct number has no extension");
        let before = current(&mut connection, customer, &args.user).await?;
        set_number(&mut connection, customer, &args.user, number.as_str()).await?;
        let before = before.unwrap_or_else(|| "none".to_owned());
        screen
            .line(&format!("saved in the PBX: {} {}: number {before} -> {number}", customer.name, args.user));
    }
    if let Some(voicemail) = &args.voicemail {
        set_voicemail(&mut connection, customer, &args.user, voicemail == "on").await?;
        screen.line(&format!("saved in the PBX: {} {}: voicemail {voicemail}", customer.name, args.user));
    }
    if !customer.auto_sync {
        screen.line(&format!("Auto Sync of {} is off, so the change stays queued", customer.name));
    }
    connection.close().await.context("leave the demo PBX")
}

/// Connects as the login that edits.
pub(super) async fn connect(data: &Path) -> Result<PgConnection> {
    let file = pbx::editor_file(data);
    ensure!(file.is_file(), "there is no demo in {}: start one with `tandem demo`", data.display());
    let url =
        tandem_runtime::config::secret_file(&file).with_context(|| format!("read {}", file.display()))?;
    pbx::connect(&url).await.context("the demo does not run: start it with `tandem demo`")
}

struct Entry {
    id: Uuid,
    prefix: String,
    number: String,
}

async fn entry(connection: &mut PgConnection, customer: &Customer, extension: &str) -> Result<Option<Entry>> {
    let plain = !extension.is_empty() && extension.chars().all(|c| c.is_ascii_alphanumeric());
    ensure!(plain, "an extension has letters and digits only");
    let row = sqlx::query(NUMBERS)
        .bind(customer.domain)
        .bind(extension)
        .fetch_optional(connection)
        .await
        .context("look up the numbers of an extension")?;
    Ok(row.map(|row| Entry {
        id: row.get("destination_uuid"),
        prefix: row.get("prefix"),
        number: row.get("number"),
    }))
}

/// The direct number of an extension as the PBX has it now.
pub(super) async fn current(
    connection: &mut PgConnection,
    customer: &Customer,
    extension: &str,
) -> Result<Option<String>> {
    let entry = entry(connection, customer, extension).await?;
    Ok(entry.map(|e| if e.prefix.is_empty() { e.number } else { format!("+{}{}", e.prefix, e.number) }))
}

/// Gives an extension this direct number instead of the one it has; returns when it was saved, by the clock of the
/// PBX's database.
pub(super) async fn set_number(
    connection: &mut PgConnection,
    customer: &Customer,
    extension: &str,
    number: &str,
) -> Result<OffsetDateTime> {
    let holder = sqlx::query(HOLDER)
        .bind(number.trim_start_matches('+'))
        .fetch_optional(&mut *connection)
        .await
        .context("look up a number in the demo PBX")?;
    if let Some(holder) = holder {
        let (domain, target): (String, String) = (holder.get("domain_name"), holder.get("target"));
        let target = target.split(' ').next().unwrap_or_default().to_owned();
        // the PBX's own page refuses it as well: "destination already exists"
        bail!("the PBX has {number} already: it leads to {target} of {domain}");
    }
    let saved = match entry(connection, customer, extension).await? {
        Some(entry) => {
            // the prefix stays in its own column where the number still begins with it
            let rest = number.strip_prefix('+').and_then(|rest| rest.strip_prefix(entry.prefix.as_str()));
            let (prefix, number) = match rest.filter(|_| !entry.prefix.is_empty()) {
                Some(rest) => (entry.prefix.as_str(), rest),
                None => ("", number),
            };
            sqlx::query_scalar(CHANGE)
                .bind(entry.id)
                .bind(prefix)
                .bind(number)
                .fetch_optional(connection)
                .await
        }
        None => {
            let insert = sqlx::query_scalar(ADD).bind(customer.domain).bind(extension).bind(number);
            insert.fetch_optional(connection).await
        }
    };
    let saved = saved.context("save the number in the demo PBX")?;
    saved.with_context(|| format!("the PBX has no extension {extension} in {}", customer.domain))
}

async fn set_voicemail(
    connection: &mut PgConnection,
    customer: &Customer,
    extension: &str,
    on: bool,
) -> Result<()> {
    let saved = sqlx::query(VOICEMAIL)
        .bind(customer.domain)
        .bind(extension)
        .bind(on)
        .fetch_optional(connection)
        .await
        .context("save the mailbox in the demo PBX")?;
    ensure!(saved.is_some(), "extension {extension} of {} has no mailbox", customer.domain);
    Ok(())
}
