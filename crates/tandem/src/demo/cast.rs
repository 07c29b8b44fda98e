//! Who plays: the demo provider's accounts, and the person that the story is about.

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use sqlx::Connection as _;
use tandem_domain::job::JobScope;
use tandem_graph::{Graph, GraphConfig};
use tandem_runtime::Ctx;
use tandem_store::admin::accounts as stored;
use tandem_store::admin::requests::{self, Ask};
use tandem_store::{Store, authorizations, windows};
use time::OffsetDateTime;
use url::Url;

use super::rest::{self, Watched};
use super::screen::Screen;
use super::story::{Story, number_in_teams};
use super::world::{APP, CUSTOMERS, Customer, Person};
use super::{Stage, edit, setup};
use crate::accounts::{self, Context, Options};

/// The person of the story, and the numbers that the edits of several starts alternate between.
const EXTENSION: &str = "1001";
const NUMBERS: [&str; 2] = ["+12125550101", "+12125550171"];
/// Who the demo acts as in records.
const PERSON: &str = "demo";

/// What the story needs to know.
pub(super) struct Cast {
    store: Store,
    accounts: Vec<Watched>,
    began: OffsetDateTime,
    /// The data folder had accounts before this start.
    again: bool,
}

impl Cast {
    /// Applies the accounts file, the same way `tandem accounts apply` does.
    pub(super) async fn gather(stage: &Stage, ctx: &Ctx, screen: &Screen) -> Result<Self> {
        let began = ctx.clock.now();
        let context = Context::new(ctx.clone(), &stage.config)?;
        let again = find(&context.store, &CUSTOMERS[0]).await?.is_some();
        let file = setup::accounts_file(&stage.private.dir);
        let text = std::fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
        let options = Options { person: PERSON.to_owned(), ..Options::default() };
        let applying = accounts::apply_text(&context, &text, &options);
        screen.during("applying the accounts", applying).await?;
        let mut watched = Vec::new();
        for customer in &CUSTOMERS {
            let found = find(&context.store, customer).await?;
            let account =
                found.with_context(|| format!("{} has no account {}", file.display(), customer.name))?;
            let auto_sync = account.settings.auto_sync;
            let licences = account.settings.licences;
            let users = account.mappings.len();
            let sync = if auto_sync { "on" } else { "off" };
            screen.item(&format!(
                "{}: {}, {users} mapped users, {licences} licences, Auto Sync {sync}",
                account.name, customer.domain
            ));
            // the simulator keeps nothing on disk, so whatever stood in a tenant has to be put there again
            let mut tx = context.store.begin("demo.standing").await?;
            let stands = stored::standing(&mut tx, account.account).await? > 0;
            let job = auto_sync || stands;
            // whoever bound a tenant by command was there without the customer; in the demo its administrator is known
            let (oid, upn) = customer.global_admin();
            authorizations::link_admin(&mut tx, account.account, oid, &upn).await?;
            tx.commit().await?;
            watched.push(Watched { name: customer.name, account: account.account, auto_sync, job });
        }
        Ok(Self { store: context.store.clone(), accounts: watched, began, again })
    }

    /// Waits until every account is at rest, so that the story is about one edit alone.
    pub(super) async fn first_sync(&self, ctx: &Ctx, screen: &Screen) -> Result<()> {
        if self.again {
            screen.item("the simulator keeps nothing on disk, so the tenants are empty again: a Manual job fills them");
            for watched in self.accounts.iter().filter(|watched| watched.job) {
                let mut tx = self.store.begin("demo.ask").await?;
                let (request, reason) = (ctx.ids.v7(&ctx.clock), "the simulator was started anew");
                let ask = Ask::Sync(JobScope::All);
                requests::ask(&mut tx, request, watched.account, ask, PERSON, Some(reason)).await?;
                tx.commit().await?;
            }
        } else {
            screen.item(
                "mappings are changes, too: they open a window and an Auto job brings the tenants in line",
            );
        }
        rest::wait(&self.store, screen, &self.accounts, self.began).await
    }

    /// Makes the edit and tells what becomes of it.
    pub(super) async fn story(&self, stage: &Stage, ctx: &Ctx, screen: &Screen) -> Result<()> {
        let customer = &CUSTOMERS[0];
        let person = customer.person(EXTENSION).context("the person of the story is gone")?;
        let account = self.accounts.first().context("the account of the story is gone")?;
        ensure!(account.auto_sync, "the story needs Auto Sync of {}; it is off", account.name);
        let tenant = microsoft(stage, ctx)?.tenant(customer.tenant);
        let in_teams = number_in_teams(&tenant, &person).await?;
        let mut tx = self.store.begin("demo.before").await?;
        let window = windows::open(&mut tx, account.account).await?;
        tx.commit().await?;
        let before = window.map(|window| window.generation).unwrap_or_default();
        let (number, saved) = save(stage, customer, &person, screen).await?;
        let story = Story {
            screen,
            store: &self.store,
            tenant: &tenant,
            clock: ctx.clock.clone(),
            account: account.account,
            person: &person,
            before,
            number,
            saved,
        };
        story.tell().await?;
        story.compare(in_teams.as_deref()).await
    }
}

async fn find(store: &Store, customer: &Customer) -> Result<Option<stored::Account>> {
    let mut tx = store.begin("demo.account").await?;
    Ok(stored::find(&mut tx, customer.name, false).await?)
}

/// Saves the person's other number in the PBX.
async fn save(
    stage: &Stage,
    customer: &Customer,
    person: &Person,
    screen: &Screen,
) -> Result<(&'static str, OffsetDateTime)> {
    let mut connection = edit::connect(&stage.private.dir).await?;
    let old = edit::current(&mut connection, customer, person.extension).await?;
    let number = if old.as_deref() == Some(NUMBERS[0]) { NUMBERS[1] } else { NUMBERS[0] };
    let saved = edit::set_number(&mut connection, customer, person.extension, number).await?;
    connection.close().await.context("leave the demo PBX")?;
    let old = old.unwrap_or_else(|| "none".to_owned());
    let details = format!("{}, extension {}: number {old} -> {number}", person.name, person.extension);
    screen.story(0.0, "saved", &details);
    Ok((number, saved))
}

/// A client of its own that reads what Microsoft shows.
fn microsoft(stage: &Stage, ctx: &Ctx) -> Result<Graph> {
    let url = Url::parse(stage.sim.base_url()).context("read the simulator's address")?;
    let credential = setup::credential(&stage.private.dir)?;
    let config = GraphConfig::new(url.clone(), url, APP.to_string(), credential);
    let clock = ctx.clock.clone();
    Graph::new(config, Arc::new(move || clock.now())).context("set up the reader of the simulator")
}
