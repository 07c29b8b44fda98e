//! The main job: a saved change travels into the tenant.

use anyhow::Result;
use tandem_tests::Tester;

#[tokio::test(flavor = "multi_thread")]
async fn one_change_is_one_job_and_one_assign() -> Result<()> {
    let mut tester = Tester::start().await?;
    let account = tester.account(5).await?;
    tester.all_roles().await?;
    tester.save(&account, &[(1, Some("+12125550101"))]).await?;
    tester.at_rest().await;
    assert_eq!(tester.jobs(&account).await?, ["succeeded"]);
    assert_eq!(tester.teams(&account, 1).await?.number.as_deref(), Some("+12125550101"));
    assert!(tester.teams(&account, 1).await?.voice);
    assert_eq!(tester.requests("assignNumber").await?.len(), 1);
    tester.finish().await
}
