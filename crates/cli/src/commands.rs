//! The grammar: one module for each noun, one variant for each verb.

mod allocation;
mod apply;
mod attestation_args;
mod ca;
mod certificate;
mod common;
mod compute_key;
mod connection_string;
mod credential;
mod device;
mod device_identity;
mod device_registration;
mod document;
mod dps;
mod enrollment;
mod enrollment_group;
mod entry;
mod event;
mod expiry_exception;
mod explain;
mod hub;
mod linked_hub;
mod load;
mod network;
mod orphan;
mod policy;
mod records;
mod region;
mod registration;
mod reprovision;
mod story;
mod wait_ready;

use clap::Subcommand;

use crate::Session;
use crate::failure::Result;

/// The operator's commands.
#[derive(Debug, Subcommand)]
pub enum Commands {
    /// Manage provisioning services, hubs and devices, in az's grammar.
    Iot(Iot),
    /// Make the enrollments as files say they are to be.
    Apply(apply::Apply),
    /// Say what `apply` would do.
    Plan(apply::PlanCommand),
    /// Make certificates to practice with: roots, intermediates, leaves.
    Ca(ca::Ca),
    /// Play a device: register it, send telemetry.
    Device(device::Device),
    /// Tell why a device was let in or refused.
    Explain(explain::Explain),
    /// Manage who hears of lifecycle events, and what did not reach them.
    Event(event::Event),
    /// Wait until the server answers: for scripts that start one.
    WaitReady(wait_ready::WaitReady),
}

/// `muster iot`.
#[derive(Debug, clap::Args)]
pub struct Iot {
    #[command(subcommand)]
    noun: IotNoun,
}

#[derive(Debug, Subcommand)]
enum IotNoun {
    /// Provisioning services and all that is in them.
    Dps(Box<dps::Dps>),
    /// Hubs and their device identities.
    Hub(Box<hub::Hub>),
    /// What a device does.
    Device(device_registration::IotDevice),
}

impl Commands {
    pub(crate) async fn run(self, session: &mut Session) -> Result {
        match self {
            Self::Iot(Iot { noun: IotNoun::Dps(dps) }) => dps.run(session).await,
            Self::Iot(Iot { noun: IotNoun::Hub(hub) }) => hub.run(session).await,
            Self::Iot(Iot { noun: IotNoun::Device(device) }) => device.run(session).await,
            Self::Apply(apply) => apply.run(session).await,
            Self::Plan(plan) => plan.run(session).await,
            Self::Ca(ca) => ca.run(session),
            Self::Device(device) => device.run(session).await,
            Self::Explain(explain) => explain.run(session).await,
            Self::Event(event) => event.run(session).await,
            Self::WaitReady(wait) => wait.run(session).await,
        }
    }
}
