//! Everything Tandem writes into a tenant. Each write takes the `client-request-id` it shall carry, so
//! that the caller can have it on record before anything is sent.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::call::{Call, Reply, Write};
use crate::client::TenantClient;
use crate::error::{GraphError, RequestIds, Unusable};
use crate::model::PolicyId;
use crate::reads::NUMBERS;

/// Where an accepted operation can be followed: the whole link as Microsoft gave it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OperationRef(String);

impl OperationRef {
    /// A reference from storage.
    #[must_use]
    pub fn new(link: impl Into<String>) -> Self {
        Self(link.into())
    }

    /// The link, for storage.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A Direct Routing number for a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssignNumber {
    /// `+E164` or `+E164;ext=N`.
    pub number: String,
    /// Object id of the user.
    pub target: Uuid,
    /// Emergency location.
    pub location_id: Option<String>,
}

/// Microsoft took the order; the operation tells the outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// Where to follow it.
    pub operation: OperationRef,
    /// Marks of the request.
    pub ids: RequestIds,
}

/// Microsoft did it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// Marks of the request.
    pub ids: RequestIds,
}

impl TenantClient {
    /// Orders a number for a user, as the main line.
    ///
    /// # Errors
    /// As any request; [`GraphError::effect`] tells whether the order may have been taken.
    pub async fn assign_number(
        &self,
        order: &AssignNumber,
        client_request_id: Uuid,
    ) -> Result<Accepted, GraphError> {
        let mut body = json!({
            "telephoneNumber": order.number,
            "assignmentTargetId": order.target,
            "numberType": "directRouting",
            "assignmentCategory": "primary",
        });
        if let Some(location) = &order.location_id {
            body["locationId"] = json!(location);
        }
        let path = format!("{NUMBERS}/assignNumber");
        let call = self.write("assign_number", &path, body, client_request_id);
        self.send(&call, |reply| self.accepted(reply)).await
    }

    /// Orders a Direct Routing number to be taken off whoever holds it: the request names no holder.
    ///
    /// # Errors
    /// As [`TenantClient::assign_number`].
    pub async fn unassign_number(
        &self,
        number: &str,
        client_request_id: Uuid,
    ) -> Result<Accepted, GraphError> {
        let body = json!({ "telephoneNumber": number, "numberType": "directRouting" });
        let path = format!("{NUMBERS}/unassignNumber");
        let call = self.write("unassign_number", &path, body, client_request_id);
        self.send(&call, |reply| self.accepted(reply)).await
    }

    /// Sets the emergency location of a number, or clears it with `None`.
    ///
    /// # Errors
    /// As [`TenantClient::assign_number`].
    pub async fn update_location(
        &self,
        number: &str,
        location_id: Option<&str>,
        client_request_id: Uuid,
    ) -> Result<Done, GraphError> {
        // Graph "updateNumber": an empty text clears, leaving it out keeps
        let location = location_id.unwrap_or_default();
        let body = json!({ "telephoneNumber": number, "locationId": location });
        let path = format!("{NUMBERS}/updateNumber");
        let call = self.write("update_number", &path, body, client_request_id);
        self.send(&call, done).await
    }

    /// Assigns a policy directly to a user.
    ///
    /// # Errors
    /// As [`TenantClient::assign_number`].
    pub async fn assign_policy(
        &self,
        oid: Uuid,
        policy_type: &str,
        policy: &PolicyId,
        client_request_id: Uuid,
    ) -> Result<Done, GraphError> {
        let mut item = policy_item(oid, policy_type);
        item["policyId"] = json!(policy.0);
        let path = "admin/teams/policy/userAssignments/assign";
        let body = json!({ "value": [item] });
        let call = self.write("assign_policy", path, body, client_request_id);
        self.send(&call, done).await
    }

    /// Takes a direct policy off a user, who then follows a group's or the organisation's.
    ///
    /// # Errors
    /// As [`TenantClient::assign_number`].
    pub async fn unassign_policy(
        &self,
        oid: Uuid,
        policy_type: &str,
        client_request_id: Uuid,
    ) -> Result<Done, GraphError> {
        let path = "admin/teams/policy/userAssignments/unassign";
        let body = json!({ "value": [policy_item(oid, policy_type)] });
        let call = self.write("unassign_policy", path, body, client_request_id);
        self.send(&call, done).await
    }

    fn write(&self, kind: &'static str, path: &str, body: Value, client_request_id: Uuid) -> Call {
        Call {
            kind,
            url: self.url(path, &[]),
            write: Some(Write { body, client_request_id }),
            eventual: false,
        }
    }

    fn accepted(&self, reply: &Reply) -> Result<Accepted, Unusable> {
        if reply.status != 202 {
            return Err(Unusable::Status(reply.status));
        }
        let location = reply.location.as_deref().ok_or(Unusable::NoLocation)?;
        let link = self.graph.own_link(location)?;
        Ok(Accepted { operation: OperationRef(link.into()), ids: reply.ids.clone() })
    }
}

fn policy_item(oid: Uuid, policy_type: &str) -> Value {
    json!({
        "@odata.type": "#microsoft.graph.teamsAdministration.teamsPolicyUserAssignment",
        "userId": oid,
        "policyType": policy_type,
    })
}

/// A synchronous success: nothing in the body, or JSON. A page of HTML is somebody else's success.
fn done(reply: &Reply) -> Result<Done, Unusable> {
    if !matches!(reply.status, 200 | 204) {
        return Err(Unusable::Status(reply.status));
    }
    if !reply.body.is_empty() {
        serde_json::from_slice::<Value>(&reply.body).map_err(Unusable::NotJson)?;
    }
    Ok(Done { ids: reply.ids.clone() })
}
