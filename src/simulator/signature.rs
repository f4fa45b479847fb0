//! Does the `Authorization` header look like Signature Version 4 for this service?
//!
//! The signature itself is not checked: the simulator has no secrets. What goes wrong in practice does show: no
//! credentials, another service's signing name, another region.

use super::api_error::ApiError;

/// The signing name in the service's model.
const SERVICE: &str = "chime";

/// Checks the header; `region` is the only one that is served, if any.
pub fn check_signature(authorization: Option<&str>, region: Option<&str>) -> Result<(), ApiError> {
    let Some(header) = authorization else {
        let message = "Missing Authentication Token";
        return Err(ApiError::unmodelled(403, "MissingAuthenticationTokenException", message));
    };
    let incomplete =
        |what: &str| ApiError::unmodelled(403, "IncompleteSignatureException", format!("Authorization header {what}"));
    let rest =
        header.strip_prefix("AWS4-HMAC-SHA256 ").ok_or_else(|| incomplete("does not begin with AWS4-HMAC-SHA256"))?;
    let field = |name: &str| {
        rest.split(',')
            .find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='))
            .ok_or_else(|| incomplete(&format!("requires '{name}' parameter")))
    };
    let (credential, signed, signature) = (field("Credential")?, field("SignedHeaders")?, field("Signature")?);
    if signature.len() != 64 || !signature.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(incomplete("has a Signature that is not 64 hexadecimal digits"));
    }
    if !signed.split(';').any(|header| header == "host") {
        return Err(incomplete("does not sign the host"));
    }
    // The access key may hold slashes, the scope may not: read it from the end.
    let mut scope = credential.rsplit('/');
    let (terminator, service, scoped_region) = (scope.next(), scope.next(), scope.next());
    let (date, key) = (scope.next(), scope.next());
    if terminator != Some("aws4_request") || date.is_none_or(|date| date.len() != 8) || key.is_none_or(str::is_empty) {
        return Err(incomplete("has a Credential that is not <key>/<date>/<region>/<service>/aws4_request"));
    }
    let wrong = |what: String| Err(ApiError::unmodelled(403, "InvalidSignatureException", what));
    if service != Some(SERVICE) {
        return wrong(format!("Credential should be scoped to correct service: '{SERVICE}'."));
    }
    match (region, scoped_region) {
        (Some(region), Some(scoped)) if region != scoped => {
            wrong(format!("Credential should be scoped to a valid region, not '{scoped}'."))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(scope: &str) -> String {
        format!("AWS4-HMAC-SHA256 Credential=AKIA/{scope}, SignedHeaders=host;x-amz-date, Signature={}", "a".repeat(64))
    }

    fn shape(authorization: Option<&str>, region: Option<&str>) -> Option<String> {
        check_signature(authorization, region).err().map(|refusal| refusal.shape.into_owned())
    }

    #[test]
    fn a_signature_of_the_right_scope_passes() {
        let signed = header("20261101/us-east-1/chime/aws4_request");
        assert_eq!(shape(Some(&signed), None), None);
        assert_eq!(shape(Some(&signed), Some("us-east-1")), None);
        assert_eq!(shape(Some(&signed), Some("eu-central-1")).as_deref(), Some("InvalidSignatureException"));
    }

    #[test]
    fn what_is_not_a_signature_for_this_service_is_refused() {
        assert_eq!(shape(None, None).as_deref(), Some("MissingAuthenticationTokenException"));
        let other_service = header("20261101/us-east-1/s3/aws4_request");
        assert_eq!(shape(Some(&other_service), None).as_deref(), Some("InvalidSignatureException"));
        for bad in ["", "Bearer x", "AWS4-HMAC-SHA256 ", &header("x"), &header("a/b/chime/aws4_request")] {
            assert_eq!(shape(Some(bad), None).as_deref(), Some("IncompleteSignatureException"), "{bad}");
        }
    }
}
