//! Deaths of the detector, on a source shaped like FusionPBX.

use anyhow::{Context, Result};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tandem_pbx::fixture;
use tandem_testkit::Db;
use tandem_tests::Account;

use crate::fleet::{Fleet, Options};

const SOURCE: &str = "fusionpbx";
/// Extension 1001 of the fixture and its number.
const EXTENSION: &str = "a2000000-0000-4000-8000-000000001001";
const BEFORE: &str = "+12125550101";
const AFTER: &str = "+12125550177";

/// A PBX, and an account bound to one of its domains.
struct Pbx {
    fleet: Fleet,
    account: Account,
    connection: PgConnection,
}

impl Pbx {
    async fn start() -> Result<Self> {
        let options = Options {
            sources: format!(
                "[[detector.sources]]\nname = \"{SOURCE}\"\nurl_file = \"pbx.url\"\nmapping = \"fusionpbx\""
            ),
            ..Options::default()
        };
        let mut fleet = Fleet::with(options).await?;
        let database: Db = fleet.tester.pg.fresh_db().await?;
        let mut connection = PgConnection::connect(&database.url).await?;
        for batch in [fixture::SCHEMA_5_5, fixture::DEMO, fixture::GRANTS] {
            sqlx::raw_sql(batch).execute(&mut connection).await.context("fill the PBX")?;
        }
        let login = format!("alter role {} login password 'loopback-only'", fixture::READER);
        sqlx::raw_sql(AssertSqlSafe(login)).execute(&mut connection).await?;
        let url = fleet.tester.pg.url_for(fixture::READER, "loopback-only", &database.name);
        fleet.secret("pbx.url", &url)?;
        let account = fleet.tester.account(1).await?;
        let (_, key) = fixture::DOMAINS[0];
        for (sql, values) in [
            ("delete from pbx.profiles where $1 = $1 and $2 = $2", [SOURCE, key]),
            ("update admin.mappings set pbx_user_id = $1 where $2 = $2", [EXTENSION, key]),
            (
                "insert into pbx.bindings (source, account_key, account_id) select $1, $2, account_id from admin.accounts",
                [SOURCE, key],
            ),
        ] {
            sqlx::query(sql).bind(values[0]).bind(values[1]).execute(&fleet.tester.admin).await?;
        }
        Ok(Self { fleet, account, connection })
    }

    /// Everything but the detector runs.
    async fn others(&mut self) -> Result<()> {
        let ids: Vec<_> = ["debouncer", "teams-sync", "sync-log"]
            .into_iter()
            .map(|role| self.fleet.spawn(role, &[]))
            .collect::<Result<_>>()?;
        self.fleet.ready(&ids).await
    }

    /// The first reading has been carried into the tenant.
    async fn first_reading(&self) -> Result<()> {
        tandem_testkit::eventually(std::time::Duration::from_secs(30), async || {
            let read = self.fleet.tester.count("select count(*) from change.log").await.ok()?;
            (read > 0).then_some(())
        })
        .await;
        self.fleet.expect(&self.account, &[Some(BEFORE)], 1).await
    }

    async fn save(&mut self) -> Result<()> {
        let edit = "update v_destinations set destination_number = '2125550177' where destination_number = '2125550101'";
        sqlx::raw_sql(edit).execute(&mut self.connection).await?;
        Ok(())
    }

    async fn arrives(&self, most_writes: usize) -> Result<()> {
        tandem_testkit::eventually(std::time::Duration::from_secs(40), async || {
            let user = self.fleet.tester.teams(&self.account, 1).await.ok()?;
            (user.number.as_deref() == Some(AFTER)).then_some(())
        })
        .await;
        self.fleet.expect(&self.account, &[Some(AFTER)], most_writes).await?;
        let changes =
            "select count(*) from change.log where pbx_user_id = 'a2000000-0000-4000-8000-000000001001'";
        assert_eq!(
            self.fleet.tester.count(changes).await?,
            2,
            "the user came and changed, each recorded once"
        );
        Ok(())
    }
}

/// The detector dies at `point` at its first reading already; what it did is found or done again.
async fn dies_at_the_first_reading(point: &str) -> Result<()> {
    let mut pbx = Pbx::start().await?;
    // alone: any role may publish what is in the outbox, and it might be quicker
    let dying = pbx.fleet.spawn("detector", &["--failpoint", point])?;
    pbx.fleet.reborn(dying).await?;
    pbx.others().await?;
    pbx.first_reading().await?;
    pbx.save().await?;
    pbx.arrives(3).await?;
    pbx.fleet.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn f1_dies_after_reading_the_source() -> Result<()> {
    dies_at_the_first_reading("det.after_read").await
}

#[tokio::test(flavor = "multi_thread")]
async fn f2_dies_before_the_announcement_is_published() -> Result<()> {
    dies_at_the_first_reading("det.after_commit_before_publish").await
}

#[tokio::test(flavor = "multi_thread")]
async fn f3_dies_before_the_announcement_is_forgotten() -> Result<()> {
    dies_at_the_first_reading("det.after_publish_before_ack").await
}

#[tokio::test(flavor = "multi_thread")]
async fn f4_two_detectors_record_each_change_once() -> Result<()> {
    let mut pbx = Pbx::start().await?;
    pbx.others().await?;
    let both = [pbx.fleet.spawn("detector", &[])?, pbx.fleet.spawn("detector", &[])?];
    pbx.fleet.ready(&both).await?;
    pbx.first_reading().await?;
    pbx.save().await?;
    pbx.arrives(3).await?;
    pbx.fleet.finish().await
}
