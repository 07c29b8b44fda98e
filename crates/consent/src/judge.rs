//! Who may do what on these pages: a pure function of the validated sign-in, the directory's answer and the account.

use tandem_domain::TenantId;
use tandem_graph::Me;
use tandem_store::connect::{Link, Person, Purpose};
use uuid::{Uuid, uuid};

use crate::fault::Fault;
use crate::id_token::Identity;

/// Template of the role Global Administrator.
pub(crate) const GLOBAL_ADMINISTRATOR: Uuid = uuid!("62e90394-69f5-4237-9190-012177145e10");
/// The tenant of all personal Microsoft accounts.
const PERSONAL: TenantId = TenantId(uuid!("9188040d-6c67-4c5b-b112-36a304b66dad"));

/// What the sign-in alone shows, before the directory is asked: the right kind of account of the right organisation,
/// with a token that names the role.
pub(crate) fn by_token(identity: &Identity, link: &Link) -> Result<(), Fault> {
    if identity.tenant == PERSONAL {
        return Err(Fault::PersonalAccount);
    }
    if identity.guest {
        return Err(Fault::Guest);
    }
    let got = identity.tenant;
    if let Some(bound) = &link.bound
        && bound.tenant != got
    {
        return Err(Fault::OtherTenantBound { bound: bound.tenant, got });
    }
    // a domain was part of the address signed in at, whose issuer is one tenant's
    if let Some(expected) = &link.expected_tenant
        && let Ok(tenant) = Uuid::try_parse(expected)
        && TenantId(tenant) != got
    {
        return Err(Fault::OtherTenantExpected { expected: expected.clone(), got });
    }
    if link.purpose != Purpose::Connect {
        linked(identity, link)?;
    }
    let roles = identity.roles.as_ref().filter(|roles| !roles.is_empty()).ok_or(Fault::RoleUnproved)?;
    if roles.iter().any(|role| Uuid::try_parse(role).is_ok_and(|role| role == GLOBAL_ADMINISTRATOR)) {
        Ok(())
    } else {
        Err(Fault::NotGlobalAdmin)
    }
}

/// A sync is asked for by the linked person alone; tenant and object id count, names do not.
fn linked(identity: &Identity, link: &Link) -> Result<(), Fault> {
    let bound = link.bound.as_ref().ok_or(Fault::NotConnected)?;
    let (admin, _) = bound.admin.as_ref().ok_or(Fault::NobodyLinked)?;
    if *admin == identity.oid { Ok(()) } else { Err(Fault::NotTheLinkedAdmin) }
}

/// What the directory says now about the same person.
pub(crate) fn by_directory(identity: &Identity, me: &Me, roles: &[Uuid]) -> Result<Person, Fault> {
    if me.id != identity.oid.0 {
        return Err(Fault::IdToken("id_token_kind"));
    }
    if me.user_type.as_deref().is_some_and(|kind| kind.eq_ignore_ascii_case("guest")) {
        return Err(Fault::Guest);
    }
    if !roles.contains(&GLOBAL_ADMINISTRATOR) {
        return Err(Fault::RoleNotConfirmed);
    }
    let name = if me.user_principal_name.is_empty() { &identity.name } else { &me.user_principal_name };
    Ok(Person { tenant: identity.tenant, oid: identity.oid, name: name.clone() })
}

#[cfg(test)]
mod tests {
    use tandem_domain::ObjectId;
    use tandem_domain::job::JobScope;
    use tandem_store::connect::Bound;

    use super::*;

    const HOME: TenantId = TenantId(Uuid::from_u128(0xaaaa));
    const OTHER: TenantId = TenantId(Uuid::from_u128(0xbbbb));
    const ANA: ObjectId = ObjectId(Uuid::from_u128(1));

    fn identity() -> Identity {
        Identity {
            tenant: HOME,
            oid: ANA,
            name: "ana@customer.example".to_owned(),
            guest: false,
            roles: Some(vec![GLOBAL_ADMINISTRATOR.to_string()]),
        }
    }

    fn link(purpose: Purpose, expected: Option<&str>, bound: Option<Bound>) -> Link {
        let text = |text: &str| text.to_owned();
        Link {
            purpose,
            expected_tenant: expected.map(text),
            made_by: text("operator"),
            expired: false,
            spent: false,
            name: text("alpha"),
            label: text("Alpha"),
            bound,
            own_app: false,
        }
    }

    fn bound(tenant: TenantId, admin: Option<ObjectId>) -> Option<Bound> {
        Some(Bound { tenant, admin: admin.map(|oid| (oid, "ana@customer.example".to_owned())) })
    }

    fn sync() -> Purpose {
        Purpose::Sync { scope: JobScope::Changed, reason: "test".to_owned() }
    }

    fn code(identity: &Identity, link: &Link) -> String {
        by_token(identity, link).err().map_or_else(|| "may".to_owned(), |fault| fault.code().to_owned())
    }

    #[test]
    fn b64_only_the_role_itself_in_a_list_of_texts_counts() {
        let open = link(Purpose::Connect, None, None);
        assert_eq!(code(&identity(), &open), "may");
        let with = |roles: Option<Vec<&str>>| Identity {
            roles: roles.map(|roles| roles.into_iter().map(str::to_owned).collect()),
            ..identity()
        };
        assert_eq!(code(&with(None), &open), "role_unproved");
        assert_eq!(code(&with(Some(vec![])), &open), "role_unproved");
        let reader = "f2ef992c-3afb-46b9-b7cf-a126ee74c451";
        let everybody = "b79fbf4d-3ef9-4689-8143-76b194e85509";
        assert_eq!(code(&with(Some(vec![reader, everybody])), &open), "not_global_admin");
        assert_eq!(code(&with(Some(vec!["global administrator"])), &open), "not_global_admin");
        assert_eq!(code(&Identity { guest: true, ..identity() }, &open), "guest_account");
    }

    #[test]
    fn b65_personal_accounts_are_refused() {
        let personal = Identity { tenant: PERSONAL, ..identity() };
        assert_eq!(code(&personal, &link(Purpose::Connect, None, None)), "personal_account");
    }

    #[test]
    fn b67_b70_only_the_organisation_asked_for() {
        let home = HOME.to_string();
        assert_eq!(code(&identity(), &link(Purpose::Connect, Some(&home), None)), "may");
        assert_eq!(code(&identity(), &link(Purpose::Connect, Some(&home), bound(HOME, None))), "may");
        let other = OTHER.to_string();
        let expected = link(Purpose::Connect, Some(&other), None);
        assert_eq!(code(&identity(), &expected), "other_tenant_expected");
        let elsewhere = link(Purpose::Connect, None, bound(OTHER, Some(ANA)));
        assert_eq!(code(&identity(), &elsewhere), "other_tenant_bound");
    }

    #[test]
    fn a22_only_the_linked_person_asks_for_a_sync() {
        assert_eq!(code(&identity(), &link(sync(), None, bound(HOME, Some(ANA)))), "may");
        let other = ObjectId(Uuid::from_u128(2));
        // the same name under another object id is another person
        assert_eq!(code(&identity(), &link(sync(), None, bound(HOME, Some(other)))), "not_the_linked_admin");
        assert_eq!(code(&identity(), &link(sync(), None, bound(HOME, None))), "nobody_linked");
        assert_eq!(code(&identity(), &link(sync(), None, None)), "not_connected");
        let reader = Identity { roles: Some(vec![Uuid::from_u128(3).to_string()]), ..identity() };
        assert_eq!(code(&reader, &link(sync(), None, bound(HOME, Some(ANA)))), "not_global_admin");
    }

    #[test]
    fn the_directory_has_the_last_word() {
        let me = |id: u128, kind: &str| Me {
            id: Uuid::from_u128(id),
            user_principal_name: "ana.new@customer.example".to_owned(),
            user_type: Some(kind.to_owned()),
        };
        let person = by_directory(&identity(), &me(1, "Member"), &[GLOBAL_ADMINISTRATOR]).unwrap();
        assert_eq!((person.tenant, person.oid), (HOME, ANA));
        assert_eq!(person.name, "ana.new@customer.example");
        for (me, roles, expected) in [
            (me(1, "Member"), vec![], "role_not_confirmed"),
            (me(1, "Guest"), vec![GLOBAL_ADMINISTRATOR], "guest_account"),
            (me(2, "Member"), vec![GLOBAL_ADMINISTRATOR], "id_token_kind"),
        ] {
            assert_eq!(by_directory(&identity(), &me, &roles).unwrap_err().code(), expected);
        }
    }
}
