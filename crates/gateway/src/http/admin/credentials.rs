//! Credential policies, for administrators.

use dialect::rest::admin::{
    CredentialBody, CredentialRoute, IssuerBody, credential_body, credential_json,
    credential_policy_json, issuer_body,
};
use dialect::rest::error::{ApiFault, Missing, WireError};
use model::{IfMatch, ServiceName};
use service::{ApiError, Call, IssuerRequest};

use super::super::{Asked, Reply};
use super::{list, one};
use crate::{Gateway, faults};

pub(super) async fn answer(
    gateway: &Gateway,
    call: &Call,
    dps: &ServiceName,
    route: CredentialRoute,
    asked: &Asked,
) -> Result<Reply, WireError> {
    let own = &gateway.service;
    let if_match = IfMatch::parse(asked.if_match().map_err(wrong)?);
    match route {
        CredentialRoute::Root => {
            let gone = |error| faults::dps_api(&error, Missing::ProvisioningService);
            Ok(one(&credential_json(dps, &own.issuance(dps).await.map_err(gone)?)))
        }
        CredentialRoute::List => {
            let gone = |error| faults::dps_api(&error, Missing::ProvisioningService);
            let issuance = own.issuance(dps).await.map_err(gone)?;
            Ok(list(issuance.policies.iter().map(credential_policy_json).collect::<Vec<_>>()))
        }
        CredentialRoute::Get(name) => {
            let found = own.credential_policy(dps, &name).await.map_err(failed)?;
            Ok(one(&credential_policy_json(&found)))
        }
        CredentialRoute::Put(name) => {
            let CredentialBody { change, issuer } = credential_body(&asked.body).map_err(wrong)?;
            let put = match (&if_match, issuer) {
                (IfMatch::Absent, issuer) => {
                    let issuer = issuer.map_or(IssuerRequest::Own(None), request);
                    own.create_credential_policy(call, dps, &name, &change, &issuer).await
                }
                (IfMatch::Any | IfMatch::Etag(_), None) => {
                    own.update_credential_policy(call, dps, &name, &change, &if_match).await
                }
                (IfMatch::Any | IfMatch::Etag(_), Some(_)) => {
                    return Err(wrong(ApiFault::Invalid(
                        "issuer: is replaced by renewIssuer alone".to_owned(),
                    )));
                }
            };
            Ok(one(&credential_policy_json(&put.map_err(failed)?)))
        }
        CredentialRoute::Delete(name) => {
            let deleted = own.delete_credential_policy(call, dps, &name, &if_match).await;
            deleted.map_err(failed).map(|()| Reply::empty(204))
        }
        CredentialRoute::Renew(name) => {
            let issuer = request(issuer_body(&asked.body).map_err(wrong)?);
            let renewed = own.renew_issuer(call, dps, &name, &issuer, &if_match).await;
            Ok(one(&credential_policy_json(&renewed.map_err(failed)?)))
        }
        CredentialRoute::Revoke(name) => {
            let revoked = own.revoke_issuer(call, dps, &name, &if_match).await;
            Ok(one(&credential_policy_json(&revoked.map_err(failed)?)))
        }
    }
}

fn request(body: IssuerBody) -> IssuerRequest {
    match body {
        IssuerBody::Own(kind) => IssuerRequest::Own(kind),
        IssuerBody::Given(certificates, key) => IssuerRequest::Given { certificates, key },
    }
}

fn wrong(fault: ApiFault) -> WireError {
    faults::dps(&fault)
}

fn failed(error: ApiError) -> WireError {
    faults::dps_api(&error, Missing::CredentialPolicy)
}
