//! The AADSTS codes of Microsoft's error reference that matter here, with the `error` and the status they come with.

/// Code, `error`, status, text.
type Row = (u32, &'static str, u16, &'static str);

const TABLE: [Row; 38] = [
    (50_011, "invalid_request", 400, "The redirect URI specified in the request does not match."),
    (
        50_020,
        "access_denied",
        400,
        "User account from another identity provider does not exist in this tenant.",
    ),
    (50_033, "temporarily_unavailable", 503, "A transient error has occurred. Please try again."),
    (50_034, "access_denied", 400, "The user account does not exist in this directory."),
    (50_057, "invalid_grant", 400, "The user account is disabled."),
    (50_076, "interaction_required", 400, "Multi-factor authentication is needed."),
    (50_079, "interaction_required", 400, "The user has to enroll in multi-factor authentication."),
    (50_173, "invalid_grant", 400, "The provided grant has expired due to it being revoked."),
    (50_194, "invalid_request", 400, "The application is not configured as a multi-tenant application."),
    (53_003, "access_denied", 400, "Access has been blocked by Conditional Access policies."),
    (54_005, "invalid_grant", 400, "OAuth2 Authorization code was already redeemed."),
    (65_001, "invalid_grant", 400, "The user or administrator has not consented to use the application."),
    (65_004, "access_denied", 400, "User declined to consent to access the app."),
    (70_008, "invalid_grant", 400, "The provided authorization code or refresh token has expired."),
    (70_011, "invalid_scope", 400, "The provided value for the input parameter 'scope' is not valid."),
    (70_021, "invalid_request", 400, "No matching federated identity record found for presented assertion."),
    (
        70_043,
        "invalid_grant",
        400,
        "The refresh token has expired or is invalid due to sign-in frequency checks.",
    ),
    (90_002, "invalid_request", 400, "Tenant not found."),
    (
        90_024,
        "temporarily_unavailable",
        503,
        "The request budget of the tenant is exceeded. Please try again.",
    ),
    (90_033, "temporarily_unavailable", 503, "A transient error has occurred. Please try again."),
    (90_055, "temporarily_unavailable", 503, "The server rejected the request: too many requests."),
    (90_094, "access_denied", 400, "The grant requires admin permission."),
    (
        90_095,
        "access_denied",
        400,
        "Admin consent is required for the permissions requested by this application.",
    ),
    (500_011, "invalid_resource", 400, "The resource principal was not found in the tenant."),
    (501_481, "invalid_grant", 400, "The Code_Verifier does not match the code_challenge."),
    (530_032, "access_denied", 400, "User blocked due to security policy."),
    (650_056, "unauthorized_client", 400, "Misconfigured application."),
    (650_057, "invalid_resource", 400, "The resource is not listed in the permissions of the application."),
    (700_016, "unauthorized_client", 400, "Application was not found in the directory."),
    (700_024, "invalid_client", 401, "Client assertion is not within its valid time range."),
    (
        700_027,
        "invalid_client",
        401,
        "The certificate used to sign the client assertion is expired on application.",
    ),
    (700_030, "invalid_client", 401, "Invalid certificate - subject name in certificate is not authorized."),
    (700_082, "invalid_grant", 400, "The refresh token has expired due to inactivity."),
    (900_144, "invalid_request", 400, "The request body must contain a parameter that is missing."),
    (7_000_112, "unauthorized_client", 400, "Application is disabled."),
    (7_000_215, "invalid_client", 401, "Invalid client secret provided."),
    (7_000_222, "invalid_client", 401, "The provided client secret keys are expired."),
    (7_000_229, "invalid_client", 401, "The client application is missing service principal in the tenant."),
];

/// `error`, status and text of a code; those of a malformed request if it is not in the table.
pub(crate) fn usual(code: u32) -> (&'static str, u16, &'static str) {
    let known = TABLE.iter().find(|(n, ..)| *n == code);
    known.map_or(("invalid_request", 400, ""), |(_, error, status, text)| (error, *status, text))
}
