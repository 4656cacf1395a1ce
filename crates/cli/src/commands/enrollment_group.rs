//! `muster iot dps enrollment-group`: entries for all devices of a CA or of a group key.

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::attestation_args::{Credentials, Removals, SlotEdits};
use super::common::{DpsArgs, Yes, flag};
use super::compute_key::ComputeDeviceKey;
use super::entry::{EntryKind, Settings, object_at};
use super::orphan::delete_with_group;
use super::records::Records;
use super::registration;
use super::reprovision::{OrderArgs, Whom};
use crate::Session;
use crate::failure::{Failure, Result};
use crate::locate::Admin;
use crate::output::column;

pub(crate) const GROUP: EntryKind = EntryKind {
    path: "/enrollmentGroups",
    id: "enrollmentGroupId",
    noun: "enrollment group",
    word: "enrollment-group",
    columns: &[
        column!("Group id", "enrollmentGroupId"),
        column!("Status", "provisioningStatus"),
        column!("Attests by", "attestation"."type"),
        column!("Allocation", "allocationPolicy"),
        column!("Hubs", "iotHubs"),
        column!("Updated", "lastUpdatedDateTimeUtc"),
    ],
};

/// Entries for all devices of a CA or of a group key.
#[derive(Debug, Args)]
pub(crate) struct EnrollmentGroup {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Create a group; by symmetric key unless a certificate or CA is given.
    Create(Box<Create>),
    /// List the groups.
    List(List),
    /// Show a group.
    Show(Show),
    /// Change a group.
    Update(Box<Update>),
    /// Delete a group; its devices' records stay, unless they are to go with it.
    Delete(Delete),
    /// Derive a device's key from the group's.
    ComputeDeviceKey(ComputeDeviceKey),
    /// Have the devices that a group has by now provisioned anew, each at its next registration, once.
    Reprovision {
        #[command(flatten)]
        id: GroupId,
        #[command(flatten)]
        order: OrderArgs,
    },
    /// The registration records of a group's devices.
    Registration(registration::OfGroup),
}

/// The group's id.
#[derive(Debug, Args)]
pub(crate) struct GroupId {
    /// Id of the enrollment group.
    #[arg(long, visible_aliases = ["gid", "enrollment-group-id", "enrollment-id", "eid"], value_name = "ID")]
    pub(crate) group_id: String,
}

/// CA certificates of the provisioning service, by name.
#[derive(Debug, Args)]
struct CaNames {
    /// Name of the primary CA certificate, uploaded before.
    #[arg(long, visible_aliases = ["cn", "root-ca-name"], value_name = "NAME")]
    ca_name: Option<String>,
    /// Name of the secondary CA certificate.
    #[arg(long, visible_aliases = ["scn", "secondary-root-ca-name"], value_name = "NAME")]
    secondary_ca_name: Option<String>,
}

#[derive(Debug, Args)]
struct Create {
    #[command(flatten)]
    id: GroupId,
    #[command(flatten)]
    credentials: Credentials,
    #[command(flatten)]
    authorities: CaNames,
    /// What certificates below the CAs are for: the devices' own keys, or, with CAs of TPM makers,
    /// the endorsement keys of TPMs. It can not be changed.
    #[arg(long, value_enum, ignore_case = true)]
    certifies: Option<Certified>,
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    dps: DpsArgs,
}

/// What a CA's certificates are for, in the service's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "camelCase")]
enum Certified {
    /// Keys that devices show in TLS.
    DeviceKey,
    /// Endorsement keys of TPMs.
    EndorsementKey,
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
    id: GroupId,
    /// Show the symmetric keys too.
    #[arg(long, visible_alias = "keys", num_args = 0..=1, default_missing_value = "true", value_parser = flag())]
    show_keys: Option<bool>,
    #[command(flatten)]
    dps: DpsArgs,
}

#[derive(Debug, Args)]
struct Update {
    #[command(flatten)]
    id: GroupId,
    /// Only if the group still has this etag.
    #[arg(long, short = 'e')]
    etag: Option<String>,
    #[command(flatten)]
    credentials: Credentials,
    #[command(flatten)]
    authorities: CaNames,
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
    id: GroupId,
    /// Only if the group still has this etag.
    #[arg(long, short = 'e')]
    etag: Option<String>,
    /// Delete its registration records too. A command that was cut off goes on when it is repeated.
    #[arg(long, conflicts_with = "login")]
    with_registrations: bool,
    #[command(flatten)]
    yes: Yes,
    #[command(flatten)]
    dps: DpsArgs,
}

impl EnrollmentGroup {
    pub(crate) async fn run(self, session: &mut Session) -> Result {
        match self.verb {
            Verb::Create(args) => args.run(session).await,
            Verb::Update(args) => args.run(session).await,
            Verb::List(args) => {
                let service = args.dps.service(session).await?;
                GROUP.list(session, &service, args.top).await
            }
            Verb::Show(args) => {
                let service = args.dps.service(session).await?;
                GROUP.show(session, &service, &args.id.group_id, args.show_keys).await
            }
            Verb::Delete(args) if args.with_registrations => {
                let admin = Admin::find(session, None)?;
                let records = Records::find(admin, args.dps.name()).await?;
                let (id, etag) = (&args.id.group_id, args.etag.as_deref());
                delete_with_group(&records, id, etag, args.yes).await
            }
            Verb::Delete(args) => {
                let service = args.dps.service(session).await?;
                GROUP.delete(&service, &args.id.group_id, args.etag.as_deref()).await
            }
            Verb::ComputeDeviceKey(args) => args.run(session).await,
            Verb::Reprovision { id, order } => order.run(session, Whom::Group(&id.group_id)).await,
            Verb::Registration(args) => args.run(session).await,
        }
    }
}

impl CaNames {
    const fn given(&self) -> bool {
        self.ca_name.is_some() || self.secondary_ca_name.is_some()
    }
}

/// Certificates of intermediates, or names of uploaded CAs, but not both.
fn slots(credentials: &Credentials, authorities: &CaNames) -> Result<SlotEdits> {
    match (credentials.has_certificates(), authorities.given()) {
        (true, true) => Err(Failure::usage("--certificate-path and --ca-name exclude each other")
            .hint("give the file of an intermediate, or the name of an uploaded CA")),
        (true, false) => credentials.certificates("signingCertificates"),
        (false, true) => Ok(SlotEdits {
            member: "caReferences",
            primary: authorities.ca_name.as_deref().map(Value::from),
            secondary: authorities.secondary_ca_name.as_deref().map(Value::from),
        }),
        (false, false) => Ok(SlotEdits::default()),
    }
}

impl Create {
    async fn run(self, session: &mut Session) -> Result {
        let id = &self.id.group_id;
        let x509 = self.credentials.has_certificates() || self.authorities.given();
        let mut attestation = match x509 {
            true if self.credentials.has_keys() => {
                return Err(Failure::usage("a group attests by certificates or by keys, not both"));
            }
            true => slots(&self.credentials, &self.authorities)?.mechanism(),
            false => self.credentials.symmetric_key(),
        };
        match self.certifies {
            Some(_) if !x509 => {
                return Err(Failure::usage("--certifies wants --certificate-path or --ca-name"));
            }
            Some(Certified::EndorsementKey) => {
                if let Some(x509) = attestation.get_mut("x509").and_then(Value::as_object_mut) {
                    x509.insert("certifies".into(), json!("endorsementKey"));
                }
            }
            // The service takes it to be so, as every other client does.
            Some(Certified::DeviceKey) | None => {}
        }
        let mut entry = self.settings.new_entry()?;
        entry.insert("enrollmentGroupId".into(), json!(id));
        entry.insert("attestation".into(), attestation);
        let service = self.dps.service(session).await?;
        GROUP.create(session, &service, id, entry).await?;
        self.credentials.note_leaves();
        self.settings.note_policy(session, &self.dps).await;
        Ok(())
    }
}

impl Update {
    async fn run(self, session: &mut Session) -> Result {
        let slots = slots(&self.credentials, &self.authorities)?;
        let service = self.dps.service(session).await?;
        let (id, etag) = (&self.id.group_id, self.etag.as_deref());
        GROUP
            .update(session, &service, id, etag, |entry| {
                let attestation = object_at(entry, "attestation");
                self.credentials.edit_keys(attestation)?;
                slots.edit(attestation, &self.removals)?;
                self.settings.edit(entry)
            })
            .await?;
        self.credentials.note_leaves();
        self.settings.note_policy(session, &self.dps).await;
        if self.settings.disables() {
            eprintln!(
                "note: devices under an intermediate CA that has its own enabled group are still \
                 let in by that one; `muster iot dps enrollment-group list` shows the groups"
            );
        }
        Ok(())
    }
}
