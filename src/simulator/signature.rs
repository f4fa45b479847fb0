//! A check of the form of the `Authorization` header (Signature Version 4).
//!
//! The signature itself is not checked, because the simulator has no secrets. The check finds the
//! mistakes that happen in practice: no credentials, the signing name of another service, another
//! region.

use super::api_error::ApiError;

/// The signing name in the service's model.
const SERVICE: &str = "chime";

/// Checks the header. If `region` is set, calls for other regions are refused.
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
    // The scope is read from the end, because the access key may contain slashes.
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
    fn signature_of_the_right_scope_passes() {
        let signed = header("20261101/us-east-1/chime/aws4_request");
        assert_eq!(shape(Some(&signed), None), None);
        assert_eq!(shape(Some(&signed), Some("us-east-1")), None);
        assert_eq!(shape(Some(&signed), Some("eu-central-1")).as_deref(), Some("InvalidSignatureException"));
    }

    #[test]
    fn malformed_or_foreign_signature_is_refused() {
        assert_eq!(shape(None, None).as_deref(), Some("MissingAuthenticationTokenException"));
        let other_service = header("20261101/us-east-1/s3/aws4_request");
        assert_eq!(shape(Some(&other_service), None).as_deref(), Some("InvalidSignatureException"));
        for bad in ["", "Bearer x", "AWS4-HMAC-SHA256 ", &header("x"), &header("a/b/chime/aws4_request")] {
            assert_eq!(shape(Some(bad), None).as_deref(), Some("IncompleteSignatureException"), "{bad}");
        }
    }
}
