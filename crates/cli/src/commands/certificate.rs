//! `muster iot dps certificate`: the CA certificates that a provisioning service believes.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::common::{DpsOfAdmin, Yes, certificate, confirm, flag};
use super::enrollment_group::GROUP;
use crate::Session;
use crate::failure::{Failure, Result};
use crate::locate::{Admin, Kind, values};
use crate::output::{Column, at, cell, column};
use crate::service::{Call, segment};

const COLUMNS: &[Column] = &[
    column!("Name", "name"),
    column!("Verified", "properties"."isVerified"),
    column!("Subject", "properties"."subject"),
    column!("Expires", "properties"."expiry"),
    column!("Thumbprint", "properties"."thumbprint"),
];

const FIRST: [&str; 3] = ["name", "properties.subject", "properties.isVerified"];

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
    /// Replace a certificate, or mark it verified.
    Update(Update),
    /// Delete a certificate: whoever attested by it is refused from then on.
    Delete {
        #[command(flatten)]
        name: Name,
        /// Only if the certificate still has this etag.
        #[arg(long, short = 'e')]
        etag: Option<String>,
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
    /// Only if the certificate still has this etag.
    #[arg(long, short = 'e')]
    etag: Option<String>,
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
                session.output.list(COLUMNS, &list)
            }
            Verb::Show { name, dps } => {
                let (admin, dps) = dps.find(session).await?;
                let doing = format!("read certificate '{}'", name.name);
                let call = Call::get(one(&dps, &name.name), doing);
                let found = admin.service.call(call).await.map_err(missing)?;
                session.output.thing(&found, &FIRST)
            }
            Verb::Delete { name, etag, yes, dps } => {
                let (admin, dps) = dps.find(session).await?;
                let doing = format!("delete certificate '{}'", name.name);
                let question = format!("Delete certificate '{}' of '{dps}'?", name.name);
                confirm(&question, yes)?;
                let call = Call::delete(one(&dps, &name.name), doing).if_match(etag.as_deref());
                admin.service.call(call).await.map_err(missing)?;
                for group in referring(&admin, &dps, &name.name).await.unwrap_or_default() {
                    eprintln!(
                        "warning: enrollment group '{group}' refers to it and admits nobody by it \
                         any more; give it another with `enrollment-group update --ca-name`"
                    );
                }
                Ok(())
            }
        }
    }
}

impl Upload {
    async fn run(self, session: &mut Session) -> Result {
        let verified = self.verified.verified.unwrap_or(false);
        let properties = json!({"certificate": certificate(&self.path)?, "isVerified": verified});
        let (admin, dps) = self.dps.find(session).await?;
        let name = &self.name.name;
        let doing = format!("create certificate '{name}'");
        let call = Call::put(one(&dps, name), json!({"properties": properties}), doing);
        let made = admin.service.call(call).await?;
        if !verified {
            eprintln!(
                "note: '{name}' is not verified yet, no device attests by it; vouch for it with \
                 `muster iot dps certificate update --dps-name {dps} --name {name} --verified`"
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
        let mut properties = Map::new();
        let certificate =
            given.map_or_else(|| at(&present, &["properties", "certificate"]).clone(), Value::from);
        properties.insert("certificate".into(), certificate);
        let verified = self
            .verified
            .verified
            .map_or_else(|| at(&present, &["properties", "isVerified"]).clone(), Value::from);
        properties.insert("isVerified".into(), verified);
        let etag = self.etag.as_deref().or_else(|| at(&present, &["etag"]).as_str());
        let call = Call::put(one(&dps, name), json!({"properties": properties}), doing);
        let written = admin.service.call(call.if_match(etag)).await?;
        session.output.thing(&written, &FIRST)
    }
}

/// The groups that name a certificate; it may go all the same (D-07).
async fn referring(admin: &Admin, dps: &str, name: &str) -> Result<Vec<String>> {
    let resource = admin.resource(Kind::Dps, Some(dps)).await?;
    let service = admin.open(Kind::Dps, &resource).await?;
    let refers = |group: &&Value| {
        let slots = at(group, &["attestation", "x509", "caReferences"]);
        [at(slots, &["primary"]), at(slots, &["secondary"])]
            .iter()
            .any(|slot| slot.as_str().is_some_and(|named| named.eq_ignore_ascii_case(name)))
    };
    let mut found = Vec::new();
    GROUP
        .pages(&service, None, |page| {
            let ids = page.iter().filter(refers).map(|group| cell(at(group, &[GROUP.id])));
            found.extend(ids);
            Ok(())
        })
        .await?;
    Ok(found)
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
