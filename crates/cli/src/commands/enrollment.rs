//! `muster iot dps enrollment`: entries for one device.

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::attestation_args::{Credentials, Removals, SlotEdits, expect_type};
use super::common::{DpsArgs, Yes, flag, json_object};
use super::entry::{EntryKind, Settings, object_at};
use super::load::Load;
use super::registration;
use crate::Session;
use crate::failure::{Failure, Result};
use crate::output::column;

pub(crate) const INDIVIDUAL: EntryKind = EntryKind {
    path: "/enrollments",
    id: "registrationId",
    noun: "enrollment",
    word: "enrollment",
    columns: &[
        column!("Registration id", "registrationId"),
        column!("Status", "provisioningStatus"),
        column!("Attests by", "attestation"."type"),
        column!("Device id", "deviceId"),
        column!("Allocation", "allocationPolicy"),
        column!("Updated", "lastUpdatedDateTimeUtc"),
    ],
};

/// Entries for one device.
#[derive(Debug, Args)]
pub(crate) struct Enrollment {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Create an entry.
    Create(Create),
    /// List the entries.
    List(List),
    /// Show an entry.
    Show(Show),
    /// Change an entry.
    Update(Update),
    /// Delete an entry: its device may come back through a group.
    Delete(Delete),
    /// Load entries from a file, however many.
    Load(Load),
    /// The registration record of an entry's device.
    Registration(registration::OfEnrollment),
}

/// The entry's id.
#[derive(Debug, Args)]
pub(crate) struct EnrollmentId {
    /// Id of the enrollment: the registration id of its device.
    #[arg(long, visible_alias = "eid", value_name = "ID")]
    pub(crate) enrollment_id: String,
}

/// The types of attestation, in `az`'s spelling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "camelCase")]
enum AttestationType {
    /// Keys.
    SymmetricKey,
    /// A TPM.
    Tpm,
    /// Certificates.
    X509,
}

#[derive(Debug, Args)]
struct Create {
    #[command(flatten)]
    id: EnrollmentId,
    /// How the device proves itself.
    #[arg(long, visible_alias = "at", value_enum, ignore_case = true)]
    attestation_type: AttestationType,
    #[command(flatten)]
    more: Individual,
    #[command(flatten)]
    credentials: Credentials,
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    dps: DpsArgs,
}

/// What only an individual enrollment has.
#[derive(Debug, Args)]
struct Individual {
    /// Device id on the hub; the registration id when not given.
    #[arg(long, short = 'd', value_name = "ID")]
    device_id: Option<String>,
    /// TPM endorsement key, base64.
    #[arg(long, visible_alias = "ek", value_name = "KEY")]
    endorsement_key: Option<String>,
    /// What is known of the device, JSON or a file of it.
    #[arg(long, visible_aliases = ["device-info", "info"], value_name = "JSON")]
    device_information: Option<String>,
}

#[derive(Debug, Args)]
struct List {
    /// At most this many.
    #[arg(long, allow_negative_numbers = true)]
    top: Option<i64>,
    #[command(flatten)]
    dps: DpsArgs,
}

#[derive(Debug, Args)]
struct Show {
    #[command(flatten)]
    id: EnrollmentId,
    /// Show the symmetric keys too.
    #[arg(long, visible_alias = "keys", num_args = 0..=1, default_missing_value = "true", value_parser = flag())]
    show_keys: Option<bool>,
    #[command(flatten)]
    dps: DpsArgs,
}

#[derive(Debug, Args)]
struct Update {
    #[command(flatten)]
    id: EnrollmentId,
    /// Only if the entry still has this etag.
    #[arg(long, short = 'e')]
    etag: Option<String>,
    #[command(flatten)]
    more: Individual,
    #[command(flatten)]
    credentials: Credentials,
    #[command(flatten)]
    removals: Removals,
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    dps: DpsArgs,
}

#[derive(Debug, Args)]
struct Delete {
    #[command(flatten)]
    id: EnrollmentId,
    /// Only if the entry still has this etag.
    #[arg(long, short = 'e')]
    etag: Option<String>,
    #[command(flatten)]
    yes: Yes,
    #[command(flatten)]
    dps: DpsArgs,
}

impl Enrollment {
    pub(crate) async fn run(self, session: &mut Session) -> Result {
        match self.verb {
            Verb::Create(args) => args.run(session).await,
            Verb::Update(args) => args.run(session).await,
            Verb::List(args) => {
                let service = args.dps.service(session).await?;
                INDIVIDUAL.list(session, &service, args.top).await
            }
            Verb::Show(args) => {
                let service = args.dps.service(session).await?;
                INDIVIDUAL.show(session, &service, &args.id.enrollment_id, args.show_keys).await
            }
            Verb::Delete(args) => {
                let service = args.dps.service(session).await?;
                INDIVIDUAL.delete(&service, &args.id.enrollment_id, args.etag.as_deref()).await
            }
            Verb::Load(args) => args.run(session).await,
            Verb::Registration(args) => args.run(session).await,
        }
    }
}

impl Create {
    async fn run(self, session: &mut Session) -> Result {
        let id = &self.id.enrollment_id;
        let attestation = self.attestation()?;
        let mut entry = self.settings.new_entry()?;
        entry.insert("registrationId".into(), id.as_str().into());
        if let Some(device_id) = &self.more.device_id {
            entry.insert("deviceId".into(), device_id.as_str().into());
        }
        entry.insert("attestation".into(), attestation);
        let information = self.more.device_information.as_deref();
        let information = information.map(|text| json_object("--device-information", text));
        entry.insert(
            "optionalDeviceInformation".into(),
            information.transpose()?.unwrap_or_default().into(),
        );
        let service = self.dps.service(session).await?;
        INDIVIDUAL.create(session, &service, id, entry).await?;
        self.settings.note_policy(session, &self.dps).await;
        Ok(())
    }

    fn attestation(&self) -> Result<Value> {
        let given = [
            (AttestationType::X509, self.credentials.has_certificates(), "certificates"),
            (AttestationType::SymmetricKey, self.credentials.has_keys(), "symmetric keys"),
            (AttestationType::Tpm, self.more.endorsement_key.is_some(), "an endorsement key"),
        ];
        if let Some((_, _, what)) =
            given.iter().find(|(of, given, _)| *given && *of != self.attestation_type)
        {
            return Err(Failure::usage(format!(
                "{what} do not go with attestation type {:?}",
                self.attestation_type
            )));
        }
        match self.attestation_type {
            AttestationType::SymmetricKey => Ok(self.credentials.symmetric_key()),
            AttestationType::Tpm => match &self.more.endorsement_key {
                Some(key) => Ok(json!({"type": "tpm", "tpm": {"endorsementKey": key}})),
                None => Err(Failure::usage("attestation type tpm wants --endorsement-key")),
            },
            AttestationType::X509 if self.credentials.has_certificates() => {
                Ok(self.credentials.certificates("clientCertificates")?.mechanism())
            }
            AttestationType::X509 => {
                Err(Failure::usage("attestation type x509 wants --certificate-path")
                    .hint("make one to practice with: `muster ca leaf --help`"))
            }
        }
    }
}

impl Update {
    async fn run(self, session: &mut Session) -> Result {
        let certificates = match self.credentials.has_certificates() {
            true => self.credentials.certificates("clientCertificates")?,
            false => SlotEdits::default(),
        };
        let service = self.dps.service(session).await?;
        let (id, etag) = (&self.id.enrollment_id, self.etag.as_deref());
        INDIVIDUAL
            .update(session, &service, id, etag, |entry| {
                if let Some(device_id) = &self.more.device_id {
                    entry.insert("deviceId".into(), device_id.as_str().into());
                }
                if let Some(text) = &self.more.device_information {
                    let information = json_object("--device-information", text)?;
                    entry.insert("optionalDeviceInformation".into(), information.into());
                }
                let attestation = object_at(entry, "attestation");
                if let Some(key) = &self.more.endorsement_key {
                    expect_type(attestation, "tpm", "endorsement key")?;
                    object_at(attestation, "tpm")
                        .insert("endorsementKey".into(), key.as_str().into());
                }
                self.credentials.edit_keys(attestation)?;
                certificates.edit(attestation, &self.removals)?;
                self.settings.edit(entry)
            })
            .await
    }
}
