use serde_json::{Value, json};

use crate::client::{CONFIGURATIONS, NUMBERS, POLICY, Tester};

const NUMBER: &str = "+12125550101";

async fn unassign(t: &Tester, number: &str) -> Value {
    let body = json!({ "telephoneNumber": number, "numberType": "directRouting" });
    let path = format!("{NUMBERS}/numberAssignments/microsoft.graph.teamsAdministration.unassignNumber");
    let reply = t.post(&path, body).await;
    assert_eq!(reply.status, 202);
    t.get(&t.local(reply.header("location"))).await.json
}

#[tokio::test]
async fn a_number_comes_and_goes() {
    let t = Tester::start().await;
    let oid = t.oid("ana@contoso.example").await;
    let reply = t.assign("12125550101", &oid).await;
    assert_eq!((reply.status.as_u16(), reply.text.as_str()), (202, ""));
    let location = t.local(reply.header("location"));
    assert!(location.contains("/operations('"));
    let done = t.get(&location).await.json;
    assert_eq!((&done["status"], &done["numbers"][0]["status"]), (&json!("succeeded"), &json!("succeeded")));
    let short = location.replace("('", "/").replace("')", "");
    assert_eq!(t.get(&short).await.json["id"], done["id"]);

    let shown = t.get(&format!("{CONFIGURATIONS}/{oid}")).await.json;
    assert_eq!(shown["isEnterpriseVoiceEnabled"], true);
    assert_eq!(
        shown["telephoneNumbers"],
        json!([{ "telephoneNumber": NUMBER, "assignmentCategory": "primary" }])
    );
    let list = t.get(&format!("{NUMBERS}/numberAssignments?$filter=numberType eq 'DirectRouting' and assignmentStatus eq 'userAssigned' and capabilities/any(c:c eq 'userAssignment')")).await;
    assert_eq!(list.values()[0]["telephoneNumber"], NUMBER);
    let id = list.values()[0]["id"].as_str().unwrap();
    assert_eq!(
        t.get(&format!("{NUMBERS}/numberAssignments/{id}")).await.json["assignmentTargetId"],
        json!(oid)
    );

    assert_eq!(unassign(&t, NUMBER).await["status"], "succeeded");
    let user = t.user("ana@contoso.example").await;
    assert_eq!((&user["enterpriseVoice"], &user["numbers"]), (&json!(false), &json!([])));
    assert!(t.get(&format!("{NUMBERS}/numberAssignments")).await.values().is_empty());
    assert_eq!(unassign(&t, NUMBER).await["status"], "failed");
}

#[tokio::test]
async fn extensions_make_distinct_numbers() {
    let t = Tester::start().await;
    for (upn, number) in [("ana", "+12125550100;ext=1001"), ("ben", "12125550100;ext=1002")] {
        let oid = t.oid(&format!("{upn}@contoso.example")).await;
        assert_eq!(t.assigned(number, &oid).await["status"], "succeeded");
    }
    let all = t.get(&format!("{NUMBERS}/numberAssignments")).await;
    let numbers: Vec<&str> = all.values().iter().map(|n| n["telephoneNumber"].as_str().unwrap()).collect();
    assert_eq!(numbers, ["+12125550100;ext=1001", "+12125550100;ext=1002"]);
}

#[tokio::test]
async fn assignments_fail_in_their_own_ways() {
    let t = Tester::start().await;
    let [ana, ben, dan] = ["ana", "ben", "dan"].map(|n| format!("{n}@contoso.example"));
    let (ana, ben, dan) = (t.oid(&ana).await, t.oid(&ben).await, t.oid(&dan).await);
    assert_eq!(t.assigned(NUMBER, &ana).await["status"], "succeeded");
    assert_eq!(t.assigned(NUMBER, &ana).await["status"], "succeeded", "the same again");

    let taken = t.assigned(NUMBER, &ben).await;
    assert_eq!(taken["status"], "failed");
    assert!(taken.get("error").is_none());
    let detail = taken["numbers"][0]["statusDetail"].as_str().unwrap();
    assert!(detail.contains("has already been assigned to another user"), "{detail}");

    assert_eq!(t.assigned("+12125550102", &ana).await["status"], "failed", "holds another one");
    t.patch("/_sim/settings", json!({ "replaceExisting": true })).await;
    assert_eq!(t.assigned("+12125550102", &ana).await["status"], "succeeded");
    assert_eq!(t.user("ana@contoso.example").await["numbers"][0]["telephoneNumber"], "+12125550102");

    let unlicensed = t.assign("+12125550103", &dan).await;
    assert_eq!(unlicensed.status, 400);
    assert!(unlicensed.text.contains("lacks appropriate licenses to assign a 'DirectRouting' number"));
    t.patch("/_sim/settings", json!({ "licenceFailure": "operation" })).await;
    assert_eq!(t.assigned("+12125550103", &dan).await["status"], "failed");

    for bad in ["tel:+12125550103", "1001", "+12125550103x1"] {
        let reply = t.assign(bad, &ben).await;
        assert_eq!(reply.status, 400);
        assert!(reply.text.contains("Invalid DirectRoutingTelephoneNumber"));
    }
    t.patch(&t.tenant("users/ben@contoso.example"), json!({ "knownToTeams": false })).await;
    assert_eq!(t.assign("+12125550103", &ben).await.status, 404);
}

#[tokio::test]
async fn foreign_holders_block_a_number() {
    let t = Tester::start().await;
    let oid = t.oid("ana@contoso.example").await;
    let orphan = "00000000-0000-4000-8000-00000000beef";
    let spec = json!({ "assignedTo": orphan, "assignmentStatus": "conferenceAssigned" });
    t.put(&t.tenant(&format!("numbers/{NUMBER}")), spec).await;
    let list = t.get(&format!("{NUMBERS}/numberAssignments?$filter=assignmentTargetId eq '{orphan}'")).await;
    assert_eq!(list.values()[0]["assignmentStatus"], "conferenceAssigned");
    assert_eq!(t.assigned(NUMBER, &oid).await["status"], "failed");
    // a number that was uploaded stays in the inventory without a holder
    assert_eq!(unassign(&t, NUMBER).await["status"], "succeeded");
    let list = t.get(&format!("{NUMBERS}/numberAssignments?$filter=assignmentStatus eq 'unassigned'")).await;
    assert_eq!(list.values().len(), 1);
    assert_eq!(t.assigned(NUMBER, &oid).await["status"], "succeeded");
}

#[tokio::test]
async fn a_location_is_updated_at_once() {
    let t = Tester::start().await;
    let oid = t.oid("ana@contoso.example").await;
    t.assigned(NUMBER, &oid).await;
    let update = async |body: Value| {
        assert_eq!(t.post(&format!("{NUMBERS}/numberAssignments/updateNumber"), body).await.status, 200);
        t.get(&format!("{NUMBERS}/numberAssignments")).await.values()[0].clone()
    };
    let number =
        update(json!({ "telephoneNumber": NUMBER, "locationId": "l1", "networkSiteId": "s1" })).await;
    assert_eq!((&number["locationId"], &number["networkSiteId"]), (&json!("l1"), &json!("s1")));
    let number = update(json!({ "telephoneNumber": NUMBER, "networkSiteId": "" })).await;
    assert_eq!((&number["locationId"], &number["networkSiteId"]), (&json!("l1"), &Value::Null));
}

#[tokio::test]
async fn effects_land_later_on_each_read_path() {
    let t = Tester::start().await;
    let oid = t.oid("ana@contoso.example").await;
    let hour = 3_600_000;
    t.patch("/_sim/settings", json!({ "operationLatencyMs": hour })).await;
    let waiting = t.assigned(NUMBER, &oid).await;
    assert_eq!(waiting["status"], "notStarted");
    assert_eq!(t.user("ana@contoso.example").await["numbers"], json!([]), "no effect yet");
    let finish = t.tenant(&format!("operations/{}/finish", waiting["id"].as_str().unwrap()));
    t.patch("/_sim/settings", json!({ "landing": { "inventoryMs": hour } })).await;
    assert_eq!(t.post(&finish, json!({ "status": "succeeded" })).await.json["status"], "succeeded");
    let shown = t.get(&format!("{CONFIGURATIONS}/{oid}")).await.json;
    assert_eq!(shown["telephoneNumbers"][0]["telephoneNumber"], NUMBER);
    assert!(t.get(&format!("{NUMBERS}/numberAssignments")).await.values().is_empty(), "still to land");
}

#[tokio::test]
async fn policies_are_looked_up_assigned_and_taken() {
    let t = Tester::start().await;
    let oid = t.oid("ana@contoso.example").await;
    let kind = "OnlineVoiceRoutingPolicy";
    let found =
        t.get(&format!("{POLICY}/getPolicyId(type='onlinevoiceroutingpolicy',name='Provider-US')")).await;
    assert_eq!(found.values()[0]["name"], "Tag:Provider-US");
    let id = found.values()[0]["policyId"].as_str().unwrap().to_owned();
    let other =
        format!("{POLICY}/microsoft.graph.teamsAdministration.getPolicyId(type='{kind}',name='Nothing')");
    assert!(t.get(&other).await.values().is_empty());
    t.patch("/_sim/settings", json!({ "unknownPolicy": "notFound" })).await;
    assert_eq!(t.get(&other).await.status, 404);

    let body = json!({ "value": [{ "userId": oid, "policyType": kind, "policyId": id }] });
    assert_eq!(t.post(&format!("{POLICY}/userAssignments/assign"), body).await.status, 204);
    let shown = t.get(&format!("{CONFIGURATIONS}/{oid}")).await.json;
    let effective = &shown["effectivePolicyAssignments"][0];
    assert_eq!(
        (&effective["policyType"], &effective["policyAssignment"]["policyId"]),
        (&json!(kind), &json!(id))
    );
    assert_eq!(effective["policyAssignment"]["assignmentType"], "direct");

    let wrong = json!({ "value": [{ "userId": oid, "policyType": kind, "policyId": "x" }] });
    assert_eq!(t.post(&format!("{POLICY}/userAssignments/assign"), wrong).await.status, 400);

    // without the direct assignment the one through a group shows
    let group = json!([{ "policyType": kind, "name": "Provider-US", "groupId": "00000000-0000-4000-8000-0000000000aa" }]);
    t.patch(&t.tenant("users/ana@contoso.example"), json!({ "groupPolicies": group })).await;
    let body = json!({ "value": [{ "userId": oid, "policyType": kind }] });
    let path = format!("{POLICY}/userAssignments/microsoft.graph.teamsAdministration.unassign");
    assert_eq!(t.post(&path, body).await.status, 204);
    let user = t.user("ana@contoso.example").await;
    assert_eq!(user["shown"]["effectivePolicyAssignments"][0]["policyAssignment"]["assignmentType"], "group");
}
