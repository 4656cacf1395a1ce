//! CA certificates of a provisioning service.

use attestation::x509::Certificate;
use model::{CertificateName, IfMatch, ServiceName, VerificationCode, limits};
use provisioning::dependents::{Dependent, dependents};
use provisioning::instance::CaCertificate;
use provisioning::possession::{self, Rewrite, Vouched};
use provisioning::view::Versioned;
use store::{Commit, Condition, Write};

use crate::instances::demanded;
use crate::{ApiError, Call, Fault, Service, environment};

/// What an operator uploads.
#[derive(Clone, Debug)]
pub struct CertificateRequest {
    /// The certificate.
    pub certificate: Certificate,
    /// What the operator says of it (C-03).
    pub vouched: Vouched,
}

impl Service {
    /// The CA certificates of a provisioning service, oldest first.
    ///
    /// # Errors
    /// [`ApiError::NotFound`] for the service.
    pub async fn certificates(&self, dps: &ServiceName) -> Result<Vec<CaCertificate>, ApiError> {
        let view = self.store.instance(dps).await?.ok_or(ApiError::NotFound)?;
        Ok(view.ca_certificates.iter().map(|row| row.value.clone()).collect())
    }

    /// One CA certificate.
    ///
    /// # Errors
    /// [`ApiError::NotFound`].
    pub async fn certificate(
        &self,
        dps: &ServiceName,
        name: &CertificateName,
    ) -> Result<CaCertificate, ApiError> {
        let all = self.certificates(dps).await?;
        all.into_iter().find(|found| found.name == *name).ok_or(ApiError::NotFound)
    }

    /// What would rest on nothing, were a CA certificate deleted (D-07).
    ///
    /// # Errors
    /// [`ApiError::NotFound`].
    pub async fn certificate_dependents(
        &self,
        dps: &ServiceName,
        name: &CertificateName,
    ) -> Result<Vec<Dependent>, ApiError> {
        let view = self.store.instance(dps).await?.ok_or(ApiError::NotFound)?;
        match view.ca_certificates.iter().any(|row| row.value.name == *name) {
            true => Ok(dependents(&view, name, self.now())),
            false => Err(ApiError::NotFound),
        }
    }

    /// Uploads a CA certificate, or replaces it (C-03, C-06).
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn put_certificate(
        &self,
        call: &Call,
        dps: &ServiceName,
        name: &CertificateName,
        request: &CertificateRequest,
        if_match: &IfMatch,
    ) -> Result<CaCertificate, ApiError> {
        if !request.certificate.is_ca() {
            return Err(ApiError::Invalid(
                "certificate: is not a CA certificate (basicConstraints CA:TRUE is missing); \
                 upload the root or intermediate that signs the devices' certificates"
                    .to_owned(),
            ));
        }
        for _ in 0..=limits::COMMIT_RETRIES_MAX {
            let view = self.store.instance(dps).await?.ok_or(ApiError::NotFound)?;
            let rows = &view.ca_certificates;
            let present = rows.iter().find(|row| row.value.name == *name);
            let now = self.now();
            let rewrite = Rewrite { etag: environment::etag(self.entropy.as_ref()), now };
            let fresh = match present {
                None => CaCertificate {
                    name: name.clone(),
                    certificate: request.certificate.clone(),
                    verified: request.vouched == Vouched::Yes,
                    code: None,
                    etag: rewrite.etag,
                    created: now,
                    updated: now,
                },
                Some(Versioned { value: present, .. }) => {
                    let (certificate, vouched) = (&request.certificate, request.vouched);
                    let fresh = possession::replaced(present, certificate, vouched, rewrite);
                    // Without a demand, an upload under a taken name is refused only if it would
                    // change something: az repeats itself freely.
                    let same = fresh.certificate.thumbprint() == present.certificate.thumbprint()
                        && fresh.verified == present.verified;
                    match if_match {
                        IfMatch::Absent if same => return Ok(present.clone()),
                        IfMatch::Absent => return Err(ApiError::AlreadyExists),
                        IfMatch::Any | IfMatch::Etag(_) => demanded(if_match, Some(&present.etag))?,
                    }
                    fresh
                }
            };
            let max = view.dps.quota.ca_certificates;
            if present.is_none() && u64::try_from(rows.len()).unwrap_or(u64::MAX) >= max {
                return Err(ApiError::QuotaReached { what: "CA certificates", max });
            }
            let commit = Commit {
                conditions: vec![Condition::Instance {
                    dps: dps.clone(),
                    generation: Some(view.generation),
                }],
                writes: vec![Write::CaCertificate(dps.clone(), Box::new(fresh.clone()))],
                changes: Vec::new(),
                audit: vec![self.audit(call, "certificate.put", &format!("{dps}/{name}"))],
            };
            if self.apply(commit).await? {
                return Ok(fresh);
            }
        }
        Err(ApiError::Fault(Fault::Contended))
    }

    /// Makes a code that a proof of possession has to name; an older one ends (C-01, C-04).
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn generate_verification_code(
        &self,
        call: &Call,
        dps: &ServiceName,
        name: &CertificateName,
        if_match: &IfMatch,
    ) -> Result<CaCertificate, ApiError> {
        let action = "certificate.code";
        self.change_certificate(call, dps, name, (action, if_match), |present, rewrite| {
            let mut bytes = [0; VerificationCode::DIGITS / 2];
            self.entropy.fill(&mut bytes);
            Ok(possession::challenged(present, VerificationCode::from_random(bytes), rewrite))
        })
        .await
    }

    /// Takes a proof of possession: devices attest by the CA from then on (C-01, C-02).
    ///
    /// # Errors
    /// [`ApiError`]; `Invalid` for a certificate that proves nothing.
    pub async fn verify_certificate(
        &self,
        call: &Call,
        dps: &ServiceName,
        name: &CertificateName,
        proof: &Certificate,
        if_match: &IfMatch,
    ) -> Result<CaCertificate, ApiError> {
        let action = "certificate.verify";
        self.change_certificate(call, dps, name, (action, if_match), |present, rewrite| {
            possession::proven(present, proof, rewrite)
                .map_err(|because| ApiError::Invalid(format!("certificate: {because}")))
        })
        .await
    }

    async fn change_certificate(
        &self,
        call: &Call,
        dps: &ServiceName,
        name: &CertificateName,
        (action, if_match): (&str, &IfMatch),
        change: impl Fn(&CaCertificate, Rewrite) -> Result<CaCertificate, ApiError>,
    ) -> Result<CaCertificate, ApiError> {
        for _ in 0..=limits::COMMIT_RETRIES_MAX {
            let view = self.store.instance(dps).await?.ok_or(ApiError::NotFound)?;
            let present = view.ca_certificates.iter().find(|row| row.value.name == *name);
            let present = present.ok_or(ApiError::NotFound)?;
            demanded(if_match, Some(&present.value.etag))?;
            let etag = environment::etag(self.entropy.as_ref());
            let fresh = change(&present.value, Rewrite { etag, now: self.now() })?;
            let commit = Commit {
                conditions: vec![Condition::CaCertificate {
                    dps: dps.clone(),
                    name: name.clone(),
                    at: Some(present.revision),
                }],
                writes: vec![Write::CaCertificate(dps.clone(), Box::new(fresh.clone()))],
                changes: Vec::new(),
                audit: vec![self.audit(call, action, &format!("{dps}/{name}"))],
            };
            if self.apply(commit).await? {
                return Ok(fresh);
            }
        }
        Err(ApiError::Fault(Fault::Contended))
    }

    /// Deletes a CA certificate, even one that groups refer to (D-07).
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn delete_certificate(
        &self,
        call: &Call,
        dps: &ServiceName,
        name: &CertificateName,
        if_match: &IfMatch,
    ) -> Result<(), ApiError> {
        for _ in 0..=limits::COMMIT_RETRIES_MAX {
            let view = self.store.instance(dps).await?.ok_or(ApiError::NotFound)?;
            let present = view.ca_certificates.iter().find(|row| row.value.name == *name);
            let present = present.ok_or(ApiError::NotFound)?;
            demanded(if_match, Some(&present.value.etag))?;
            let commit = Commit {
                conditions: vec![Condition::CaCertificate {
                    dps: dps.clone(),
                    name: name.clone(),
                    at: Some(present.revision),
                }],
                writes: vec![Write::DeleteCaCertificate(dps.clone(), name.clone())],
                changes: Vec::new(),
                audit: vec![self.audit(call, "certificate.delete", &format!("{dps}/{name}"))],
            };
            if self.apply(commit).await? {
                return Ok(());
            }
        }
        Err(ApiError::Fault(Fault::Contended))
    }
}
