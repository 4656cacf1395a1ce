//! The certificate that a registration issues, in one commit with its record and identity.

use hub::identity::{Authentication, IssuedCertificate, Thumbprint};
use provisioning::decide::{HubCredential, Placement};
use provisioning::issuance::{self, Issue};
use provisioning::registration::Registration;
use provisioning::view::RegistrationView;
use store::AuditLine;

use crate::{Call, Fault, Service, environment};

impl Service {
    /// Signs the certificate that was ordered, or takes the one that was given before. The commit
    /// rests on the instance's generation: none is given by a CA that is revoked meanwhile.
    pub(super) fn certified(
        &self,
        view: &RegistrationView,
        issue: &Issue,
        record: &mut Registration,
    ) -> Result<Authentication, Fault> {
        let issued = match issue {
            Issue::Again(issued) => issued.clone(),
            Issue::Fresh(order) => {
                let policy = view.instance.dps.issuance.policy(order.policy.as_str());
                let ca =
                    policy.and_then(|policy| policy.issuer.as_ref()).ok_or(Fault::Contended)?;
                issuance::issued(order, ca, environment::serial(self.entropy.as_ref()))?
            }
        };
        let leaf = issued.leaf().map(|leaf| Thumbprint::Sha256(leaf.thumbprint()));
        record.issued = Some(issued);
        Ok(Authentication::SelfSigned { primary: leaf, secondary: leaf })
    }

    /// The audit trail's line for a certificate that is signed now; none where none is.
    pub(super) fn issue_line(
        &self,
        call: &Call,
        view: &RegistrationView,
        place: &Placement,
        record: &Registration,
    ) -> Option<AuditLine> {
        let HubCredential::Issued(issue) = &place.credential else { return None };
        let (Issue::Fresh(order), Some(leaf)) = (issue.as_ref(), record.issued.as_ref()?.leaf())
        else {
            return None;
        };
        let dps = &view.instance.dps.name;
        let subject = format!(
            "{dps}/{} by {}, serial {}, until {}",
            record.registration_id,
            order.policy,
            leaf.serial_hex(),
            leaf.not_after()
        );
        let mut line = self.audit(call, "certificate.issue", &subject);
        line.actor = format!("device {}", record.registration_id);
        Some(line)
    }
}

/// What the hub notes of the certificate that a record was given.
pub(super) fn issued(view: &RegistrationView, record: &Registration) -> Option<IssuedCertificate> {
    let issued = record.issued.as_ref()?;
    Some(IssuedCertificate {
        thumbprint: issued.leaf()?.thumbprint(),
        dps: view.instance.dps.name.clone(),
        issuer: issued.issuer.clone(),
    })
}
