//! The demo PBX: a database shaped like FusionPBX beside Tandem's own, in the same private PostgreSQL.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use secrecy::{ExposeSecret, SecretString};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tandem_pbx::fixture;
use tandem_runtime::Ids;

use crate::private::{Private, write_once, write_secret};

const DATABASE: &str = "pbx";
/// The login that `tandem demo edit` saves with: it may touch what the PBX's own pages would touch, no more.
const EDITOR: &str = "demo_pbx_editor";
const FOLDER: &str = "pbx";

/// Where the detector finds the address of the demo PBX, password of a reading login included.
pub(super) fn reader_file(data: &Path) -> PathBuf {
    data.join(FOLDER).join("reader.url")
}

/// Where `tandem demo edit` finds the address of the demo PBX, password of an editing login included.
pub(super) fn editor_file(data: &Path) -> PathBuf {
    data.join(FOLDER).join("editor.url")
}

/// Fills the demo PBX unless it is there already, and writes down how to reach it.
///
/// The detector's login reads the columns of the mapping and nothing else, as one would grant it on a real PBX.
pub(super) async fn prepare(private: &Private, ids: &Ids) -> Result<()> {
    private.create_database(DATABASE).await?;
    let url = private.postgres.url(DATABASE);
    let mut connection = connect(&url).await?;
    let filled: bool = sqlx::query_scalar("select to_regclass('public.v_domains') is not null")
        .fetch_one(&mut connection)
        .await
        .context("look into the demo PBX")?;
    if !filled {
        // one transaction: a start that was interrupted leaves nothing half filled
        let mut tx = connection.begin().await.context("begin to fill the demo PBX")?;
        for batch in [fixture::SCHEMA_5_5, fixture::DEMO, fixture::GRANTS, EDITOR_ROLE] {
            sqlx::raw_sql(batch).execute(&mut *tx).await.context("fill the demo PBX")?;
        }
        tx.commit().await.context("fill the demo PBX")?;
    }
    let port = private.postgres.port();
    let logins = [(fixture::READER, reader_file(&private.dir)), (EDITOR, editor_file(&private.dir))];
    for (login, file) in logins {
        let password = password(&private.dir, login, ids)?;
        let statement = format!("alter role {login} login password '{password}'");
        // the driver's error would show the statement, password and all
        sqlx::raw_sql(AssertSqlSafe(statement))
            .execute(&mut connection)
            .await
            .map_err(|_| anyhow::anyhow!("set the password of {login} in the demo PBX"))?;
        write_secret(&file, &format!("postgres://{login}:{password}@127.0.0.1:{port}/{DATABASE}"))?;
    }
    connection.close().await.context("leave the demo PBX")
}

const EDITOR_ROLE: &str = "create role demo_pbx_editor nologin;
    grant select on v_domains, v_extensions to demo_pbx_editor;
    grant select, insert, update on v_destinations, v_voicemails to demo_pbx_editor;";

/// Connects to the demo PBX.
pub(super) async fn connect(url: &SecretString) -> Result<PgConnection> {
    PgConnection::connect(url.expose_secret()).await.context("connect to the demo PBX")
}

/// A password that is made once; letters and digits, so that it needs no quoting.
fn password(data: &Path, login: &str, ids: &Ids) -> Result<String> {
    let file = data.join(FOLDER).join(login);
    let made: String = ids.bytes::<16>().iter().map(|byte| format!("{byte:02x}")).collect();
    write_once(&file, &made)?;
    Ok(std::fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?.trim().to_owned())
}
