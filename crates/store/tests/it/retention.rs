//! What is let go of, and what stays.

use tandem_store::{Login, retention};

use crate::database;

#[tokio::test]
async fn bulk_acts_go_with_their_jobs_once_they_are_over_for_long() {
    let (pg, mut owner) = database::seeded(
        "insert into admin.accounts (account_id, name, label) values ('00000000-0000-0000-0000-00000000acc0', 'alpha', 'Alpha');
         insert into admin.people (person_id, issuer, subject, name, created_at)
         values ('00000000-0000-0000-0000-000000000001', 'provider', 'olga', 'Olga', now());
         insert into admin.bulk_acts (bulk_id, name, reason, person_id, person, key, digest, jobs, created_at, finished_at)
         select ('00000000-0000-0000-0000-00000000000' || i)::uuid, 'act', 'reason', '00000000-0000-0000-0000-000000000001', 'Olga',
                'key' || i, decode(repeat('00', 32), 'hex'), array['00000000-0000-0000-0000-0000000000b1'::uuid], now(), finished_at
           from (values (1, now() - interval '91 days'), (2, now() - interval '89 days'), (3, null)) as acts (i, finished_at);
         insert into admin.bulk_items (bulk_id, job_id, account_id)
         select bulk_id, jobs[1], '00000000-0000-0000-0000-00000000acc0' from admin.bulk_acts",
    )
    .await
    .unwrap();
    let gone = retention::prune(&database::store(&pg, Login::TeamsSync), 90).await.unwrap();
    assert_eq!(gone, 1);
    for table in ["admin.bulk_acts", "admin.bulk_items"] {
        let left = format!("select array_agg(right(bulk_id::text, 1) order by bulk_id) from {table}");
        let left: Vec<String> =
            sqlx::query_scalar(sqlx::AssertSqlSafe(left)).fetch_one(&mut owner).await.unwrap();
        assert_eq!(left, ["2", "3"], "{table}");
    }
}
