//! `muster iot dps certificate`: the CA certificates that a provisioning service believes.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use model::Timestamp;
use serde_json::{Map, Value, json};

use super::common::{DpsOfAdmin, Yes, certificate, confirm, flag};
use crate::Session;
use crate::failure::{Failure, Result};
use crate::locate::{Admin, values};
use crate::output::{Column, at, cell, column};
use crate::service::{Call, segment};

const COLUMNS: &[Column] = &[
    column!("Name", "name"),
    column!("Verified", "properties"."isVerified"),
    column!("Subject", "properties"."subject"),
    column!("Expires", "properties"."expiry"),
    column!("Thumbprint", "properties"."thumbprint"),
];

const DEPENDENTS: &[Column] = &[
    column!("Enrollment group", "enrollmentGroupId"),
    column!("Status", "provisioningStatus"),
    column!("Rests on it by", "by"),
    column!("Other slot holds", "otherSlotHolds"),
];

const FIRST: [&str; 4] =
    ["name", "properties.verificationCode", "properties.subject", "properties.isVerified"];

/// How long before its end a certificate is noted, where certificates are listed.
const EXPIRY_NOTED: Duration = Duration::from_secs(30 * 24 * 3600);

/// The CA certificates of a provisioning service.
#[derive(Debug, Args)]
pub(crate) struct Certificate {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Upload a CA certificate; devices attest by it once it is verified.
    Create(Upload),
    /// List the certificates.
    List {
        #[command(flatten)]
        dps: DpsOfAdmin,
    },
    /// Show a certificate.
    Show {
        #[command(flatten)]
        name: Name,
        #[command(flatten)]
        dps: DpsOfAdmin,
    },
    /// Replace a certificate, or mark it verified; a new one has to be verified anew.
    Update(Update),
    /// Make a code to verify a certificate by; an older code ends.
    GenerateVerificationCode {
        #[command(flatten)]
        name: Name,
        #[command(flatten)]
        etag: Etag,
        #[command(flatten)]
        dps: DpsOfAdmin,
    },
    /// Verify a certificate: show one that its key signed and whose common name is the code.
    Verify {
        #[command(flatten)]
        name: Name,
        /// File of the certificate with the code, PEM or DER.
        #[arg(long, short = 'p', value_name = "FILE")]
        path: PathBuf,
        #[command(flatten)]
        etag: Etag,
        #[command(flatten)]
        dps: DpsOfAdmin,
    },
    /// List the enrollment groups that rest on a certificate: what its deletion would touch.
    Dependents {
        #[command(flatten)]
        name: Name,
        #[command(flatten)]
        dps: DpsOfAdmin,
    },
    /// Delete a certificate: whoever attested by it is refused from then on.
    Delete {
        #[command(flatten)]
        name: Name,
        #[command(flatten)]
        etag: Etag,
        #[command(flatten)]
        yes: Yes,
        #[command(flatten)]
        dps: DpsOfAdmin,
    },
}

#[derive(Debug, Args)]
struct Name {
    /// Name of the certificate.
    #[arg(long = "certificate-name", visible_alias = "name", short = 'n', value_name = "NAME")]
    name: String,
}

#[derive(Debug, Args)]
struct Etag {
    /// Only if the certificate still has this etag.
    #[arg(long, short = 'e')]
    etag: Option<String>,
}

#[derive(Debug, Args)]
struct Upload {
    #[command(flatten)]
    name: Name,
    /// File of the certificate, PEM or DER.
    #[arg(long, short = 'p', value_name = "FILE")]
    path: PathBuf,
    #[command(flatten)]
    verified: Verified,
    #[command(flatten)]
    dps: DpsOfAdmin,
}

#[derive(Debug, Args)]
struct Update {
    #[command(flatten)]
    name: Name,
    /// File of the new certificate, PEM or DER; the present one stays when not given.
    #[arg(long, short = 'p', value_name = "FILE")]
    path: Option<PathBuf>,
    #[command(flatten)]
    verified: Verified,
    #[command(flatten)]
    etag: Etag,
    #[command(flatten)]
    dps: DpsOfAdmin,
}

#[derive(Debug, Args)]
struct Verified {
    /// The operator vouches for the certificate: no proof of possession is asked.
    #[arg(long, short = 'v', num_args = 0..=1, default_missing_value = "true", value_parser = flag())]
    verified: Option<bool>,
}

impl Certificate {
    pub(crate) async fn run(self, session: &mut Session) -> Result {
        match self.verb {
            Verb::Create(args) => args.run(session).await,
            Verb::Update(args) => args.run(session).await,
            Verb::List { dps } => {
                let (admin, dps) = dps.find(session).await?;
                let call = Call::get(collection(&dps), format!("list the certificates of '{dps}'"));
                let list = values(admin.service.call(call).await?);
                session.output.list(COLUMNS, &list)?;
                if session.output.tells() {
                    for note in expiry_notes(&list, (session.clock)()) {
                        eprintln!("{note}");
                    }
                }
                Ok(())
            }
            Verb::Show { name, dps } => {
                let (admin, dps) = dps.find(session).await?;
                let doing = format!("read certificate '{}'", name.name);
                let call = Call::get(one(&dps, &name.name), doing);
                let found = admin.service.call(call).await.map_err(missing)?;
                session.output.thing(&found, &FIRST)
            }
            Verb::GenerateVerificationCode { name, etag, dps } => {
                let (admin, dps) = dps.find(session).await?;
                let name = name.name;
                let doing = format!("make a verification code for certificate '{name}'");
                let path = format!("{}/generateVerificationCode", one(&dps, &name));
                let call = Call::post(path, doing).if_match(etag.etag.as_deref());
                let waiting = admin.service.call(call).await.map_err(missing)?;
                session.output.thing(&waiting, &FIRST)?;
                let code = cell(at(&waiting, &["properties", "verificationCode"]));
                eprintln!(
                    "note: have the CA sign a certificate with this code as its common name (`muster \
                     ca proof --issuer CA --code {code} --out proof` for a CA that it made), then \
                     `muster iot dps certificate verify --dps-name {dps} --name {name} --path \
                     proof.pem`"
                );
                Ok(())
            }
            Verb::Verify { name, path, etag, dps } => {
                let proof = json!({"certificate": certificate(&path)?});
                let (admin, dps) = dps.find(session).await?;
                let doing = format!("verify certificate '{}'", name.name);
                let call = Call::post(format!("{}/verify", one(&dps, &name.name)), doing);
                let call = call.body(proof).if_match(etag.etag.as_deref());
                let verified = admin.service.call(call).await.map_err(missing)?;
                session.output.thing(&verified, &FIRST)
            }
            Verb::Dependents { name, dps } => {
                let (admin, dps) = dps.find(session).await?;
                let list = dependents(&admin, &dps, &name.name).await?;
                session.output.list(DEPENDENTS, &list)
            }
            Verb::Delete { name, etag, yes, dps } => {
                let (admin, dps) = dps.find(session).await?;
                let doing = format!("delete certificate '{}'", name.name);
                // The answer to a compromised root waits for no preview (D-07).
                for dependent in dependents(&admin, &dps, &name.name).await.unwrap_or_default() {
                    eprintln!("{}", touched(&dependent));
                }
                let question = format!("Delete certificate '{}' of '{dps}'?", name.name);
                confirm(&question, yes)?;
                let call =
                    Call::delete(one(&dps, &name.name), doing).if_match(etag.etag.as_deref());
                admin.service.call(call).await.map_err(missing).map(drop)
            }
        }
    }
}

impl Upload {
    async fn run(self, session: &mut Session) -> Result {
        let properties = self.verified.beside(certificate(&self.path)?.into());
        let (admin, dps) = self.dps.find(session).await?;
        let name = &self.name.name;
        let doing = format!("create certificate '{name}'");
        let call = Call::put(one(&dps, name), json!({"properties": properties}), doing);
        let made = admin.service.call(call).await?;
        if at(&made, &["properties", "isVerified"]) == false {
            eprintln!(
                "note: '{name}' is not verified yet, no device attests by it; prove that its key \
                 is at hand with `muster iot dps certificate generate-verification-code --dps-name \
                 {dps} --name {name}`, or vouch for it with `… certificate update … --verified`"
            );
        }
        session.output.thing(&made, &FIRST)
    }
}

impl Update {
    async fn run(self, session: &mut Session) -> Result {
        if self.path.is_none() && self.verified.verified.is_none() {
            return Err(Failure::usage("nothing to update").hint("give --path or --verified"));
        }
        let name = &self.name.name;
        let given = self.path.as_deref().map(certificate).transpose()?;
        let (admin, dps) = self.dps.find(session).await?;
        let doing = format!("update certificate '{name}'");
        let present = Call::get(one(&dps, name), doing.clone());
        let present = admin.service.call(present).await.map_err(missing)?;
        let certificate =
            given.map_or_else(|| at(&present, &["properties", "certificate"]).clone(), Value::from);
        let properties = self.verified.beside(certificate);
        let etag = self.etag.etag.as_deref().or_else(|| at(&present, &["etag"]).as_str());
        let call = Call::put(one(&dps, name), json!({"properties": properties}), doing);
        let written = admin.service.call(call.if_match(etag)).await?;
        session.output.thing(&written, &FIRST)
    }
}

impl Verified {
    /// What is uploaded: where nothing is said of trust, the service keeps to what was proven.
    fn beside(&self, certificate: Value) -> Map<String, Value> {
        let mut properties = Map::from_iter([("certificate".to_owned(), certificate)]);
        properties.extend(self.verified.map(|yes| ("isVerified".to_owned(), yes.into())));
        properties
    }
}

/// A line for each certificate that has expired or soon will.
fn expiry_notes(list: &[Value], now: Timestamp) -> Vec<String> {
    let note = |certificate: &Value| {
        let expiry = cell(at(certificate, &["properties", "expiry"]));
        let expires = Timestamp::parse(&expiry).ok()?;
        let name = cell(at(certificate, &["name"]));
        if expires < now {
            Some(format!("warning: '{name}' has expired ({expiry}): no device attests by it"))
        } else if expires.since(now) < EXPIRY_NOTED {
            let days = expires.since(now).as_secs() / (24 * 3600);
            Some(format!("warning: '{name}' expires in {days} days ({expiry})"))
        } else {
            None
        }
    };
    list.iter().filter_map(note).collect()
}

/// The groups that rest on a certificate; it may go all the same (D-07).
async fn dependents(admin: &Admin, dps: &str, name: &str) -> Result<Vec<Value>> {
    let doing = format!("read what rests on certificate '{name}'");
    let call = Call::get(format!("{}/dependents", one(dps, name)), doing);
    Ok(values(admin.service.call(call).await.map_err(missing)?))
}

/// A line of what the deletion of a certificate does to a group.
fn touched(dependent: &Value) -> String {
    let group = cell(at(dependent, &["enrollmentGroupId"]));
    let how = match at(dependent, &["by"]).as_str() {
        Some("reference") => "refers to it",
        _ => "has a signing certificate whose chain ends there",
    };
    let then = match at(dependent, &["otherSlotHolds"]).as_bool() {
        Some(true) => "admits devices by its other slot alone from then on",
        _ => "admits nobody from then on; give it another with `enrollment-group update`",
    };
    format!("warning: enrollment group '{group}' {how}, and {then}")
}

fn collection(dps: &str) -> String {
    format!("/muster/v1/dps/{}/certificates", segment(dps))
}

fn one(dps: &str, name: &str) -> String {
    format!("{}/{}", collection(dps), segment(name))
}

fn missing(failure: Failure) -> Failure {
    failure.hint_not_found("`muster iot dps certificate list` shows what there is")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c_07_the_preview_says_who_is_left() {
        let dependent = |by, holds| {
            touched(&json!({"enrollmentGroupId": "g", "by": by, "otherSlotHolds": holds}))
        };
        assert_eq!(
            dependent("reference", false),
            "warning: enrollment group 'g' refers to it, and admits nobody from then on; give it \
             another with `enrollment-group update`"
        );
        assert_eq!(
            dependent("chain", true),
            "warning: enrollment group 'g' has a signing certificate whose chain ends there, and \
             admits devices by its other slot alone from then on"
        );
    }

    #[test]
    fn what_expires_within_thirty_days_is_noted() {
        let now = Timestamp::parse("2030-01-01T00:00:00Z").unwrap();
        let list = [
            json!({"name": "old", "properties": {"expiry": "2029-12-31T23:59:59.0000000Z"}}),
            json!({"name": "soon", "properties": {"expiry": "2030-01-30T12:00:00Z"}}),
            json!({"name": "later", "properties": {"expiry": "2030-01-31T00:00:00Z"}}),
            json!({"name": "odd", "properties": {}}),
        ];
        assert_eq!(
            expiry_notes(&list, now),
            [
                "warning: 'old' has expired (2029-12-31T23:59:59.0000000Z): no device attests by it",
                "warning: 'soon' expires in 29 days (2030-01-30T12:00:00Z)",
            ]
        );
    }
}
