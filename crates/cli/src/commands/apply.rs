//! `muster apply` and `muster plan`: enrollments as code.

mod files;
mod hubs;
mod live;
mod normal;
mod plan;
mod shape;
mod show;
mod yaml;

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use self::files::Wanted;
use self::live::{Place, Pruning};
use self::plan::{Act, Kind, Plan, Step};
use super::common::AdminArgs;
use super::enrollment::INDIVIDUAL;
use super::enrollment_group::GROUP;
use crate::Session;
use crate::failure::{Failure, Kind as FailureKind, Result};
use crate::output::Format;
use crate::service::{Call, segment};

/// How often a plan is made again, when others change what it rests on.
const ROUNDS_MAX: usize = 4;
/// What is deleted at most, if nothing else is said.
const PRUNE_MAX_DEFAULT: usize = 100;

/// What both commands know.
#[derive(Debug, Args)]
struct Files {
    /// A file of what is to be there, YAML; may be given several times.
    #[arg(long = "file", short = 'f', required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Delete what is in no file, of the kinds that the files name; disabled entries stay.
    #[arg(long)]
    prune: bool,
    /// Do not prune what has this id, or begins so: `lab-*`.
    #[arg(long, value_name = "ID", requires = "prune")]
    keep: Vec<String>,
    /// Prune nothing where more than this would be deleted.
    #[arg(long, value_name = "COUNT", requires = "prune", default_value_t = PRUNE_MAX_DEFAULT)]
    prune_max: usize,
    #[command(flatten)]
    admin: AdminArgs,
}

/// Make the server as files say it is to be.
#[derive(Debug, Args)]
pub struct Apply {
    #[command(flatten)]
    files: Files,
    /// Only say what would be done.
    #[arg(long, visible_alias = "plan")]
    dry_run: bool,
    /// Only say what would be done, and exit with 2 if that is anything.
    #[arg(long)]
    check: bool,
    /// Do not ask before something is deleted, or enabled again.
    #[arg(long, short = 'y')]
    yes: bool,
}

/// Say what `apply` would do.
#[derive(Debug, Args)]
pub struct PlanCommand {
    #[command(flatten)]
    files: Files,
    /// Exit with 2 if the server is not as the files say.
    #[arg(long)]
    detailed_exitcode: bool,
}

/// What a command is to do with its plan.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Show,
    /// Show it, and fail if it is not empty.
    Check,
    Do {
        yes: bool,
    },
}

impl PlanCommand {
    pub(crate) async fn run(self, session: &mut Session) -> Result {
        let mode = if self.detailed_exitcode { Mode::Check } else { Mode::Show };
        self.files.run(session, mode).await
    }
}

impl Apply {
    pub(crate) async fn run(self, session: &mut Session) -> Result {
        let mode = match (self.check, self.dry_run) {
            (true, _) => Mode::Check,
            (false, true) => Mode::Show,
            (false, false) => Mode::Do { yes: self.yes },
        };
        self.files.run(session, mode).await
    }
}

impl Files {
    async fn run(self, session: &mut Session, mode: Mode) -> Result {
        let all = files::read(&self.files)?;
        let pruning = self.prune.then(|| Pruning { keep: self.keep.clone(), max: self.prune_max });
        let mut differing = 0;
        for (name, wanted) in &all {
            let place = Place::find(self.admin.find(session)?, name).await?;
            differing += run(session, &place, wanted, pruning.as_ref(), mode).await?;
        }
        match (mode, differing) {
            (Mode::Check, 1..) => Err(Failure::differs(format!(
                "the server is not as the files say: {differing} to create, change or delete"
            ))),
            (Mode::Check | Mode::Show | Mode::Do { .. }, _) => Ok(()),
        }
    }
}

/// Plans for one service, and does it if that is asked for; how much was to be done.
async fn run(
    session: &mut Session,
    place: &Place,
    wanted: &Wanted,
    pruning: Option<&Pruning>,
    mode: Mode,
) -> Result<usize> {
    let mut agreed: Option<Vec<Step>> = None;
    for _ in 0..ROUNDS_MAX {
        let plan = place.plan(wanted, pruning).await?;
        tell(session, &place.name, &plan)?;
        if let [first, ..] = plan.faults.as_slice() {
            let count = plan.faults.len();
            return Err(Failure::new(format!("nothing was done, {count} can not be: {first}")));
        }
        let Mode::Do { yes } = mode else { return Ok(plan.steps.len()) };
        if plan.is_empty() {
            return Ok(0);
        }
        agree(&plan, agreed.as_deref(), yes)?;
        match execute(place, &plan).await? {
            Executed::All => {
                eprintln!("{}: done", place.name);
                return Ok(plan.steps.len());
            }
            Executed::Overtaken(named) => {
                eprintln!("{named} was changed meanwhile: planning again");
                agreed = Some(plan.grave().cloned().collect());
            }
        }
    }
    Err(Failure::new("others kept changing what the plan rests on").hint("repeat the command"))
}

fn tell(session: &mut Session, dps: &str, plan: &Plan) -> Result {
    if session.global.output != Format::Table {
        return session.output.thing(&show::json(dps, plan), &["dps"]);
    }
    for line in show::lines(dps, plan) {
        session.output.line(&line)?;
    }
    session.output.flush()
}

/// Asks before something goes, or before devices are let in again.
///
/// `agreed` is what was agreed to in an earlier round: nothing of the kind may come in by itself.
fn agree(plan: &Plan, agreed: Option<&[Step]>, yes: bool) -> Result {
    let same = |one: &Step, other: &Step| {
        one.kind == other.kind && one.id == other.id && one.deletes() == other.deletes()
    };
    let fresh: Vec<&Step> = plan
        .grave()
        .filter(|step| !agreed.unwrap_or_default().iter().any(|agreed| same(agreed, step)))
        .collect();
    let Some(first) = fresh.first() else { return Ok(()) };
    let count = fresh.len();
    let question = format!(
        "{count} to delete or to enable again, such as {} '{}'",
        first.kind.noun(),
        first.id
    );
    if agreed.is_some() {
        return Err(Failure::new(format!("the server was changed meanwhile: now {question}"))
            .hint("look at the plan, and repeat the command"));
    }
    if yes {
        return Ok(());
    }
    ask(&question)
}

/// Unlike a single deletion, a plan is not carried out where nobody can be asked.
fn ask(question: &str) -> Result {
    use std::io::{BufRead, IsTerminal, Write};
    let nothing = || {
        Failure::new(format!("nothing was done: {question}"))
            .hint("look at the plan, then answer y or give --yes")
    };
    let mut stdin = std::io::stdin().lock();
    if !stdin.is_terminal() {
        return Err(nothing());
    }
    eprint!("{question}. Go on? [y/N] ");
    std::io::stderr().flush()?;
    let mut answer = String::new();
    stdin.read_line(&mut answer)?;
    match answer.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(nothing()),
    }
}

/// How far a plan was carried out.
enum Executed {
    All,
    /// Somebody else changed this one first; what came before it is done.
    Overtaken(String),
}

async fn execute(place: &Place, plan: &Plan) -> Result<Executed> {
    let mut later = Vec::new();
    for step in &plan.steps {
        match execute_step(place, step).await {
            Ok(()) => {}
            Err(failure) if overtaken(&failure, step) => return Ok(Executed::of(step)),
            // The entry that holds the certificate may be one that goes.
            Err(failure) if failure.kind() == FailureKind::CredentialInUse => later.push(step),
            Err(failure) => return Err(failure),
        }
    }
    for step in later {
        match execute_step(place, step).await {
            Ok(()) => {}
            Err(failure) if overtaken(&failure, step) => return Ok(Executed::of(step)),
            Err(failure) => return Err(failure),
        }
    }
    Ok(Executed::All)
}

/// Whether somebody else changed first what a step rests on.
fn overtaken(failure: &Failure, step: &Step) -> bool {
    match failure.kind() {
        FailureKind::Overtaken => true,
        FailureKind::NotFound => !step.creates(),
        FailureKind::Failed
        | FailureKind::Usage
        | FailureKind::Differs
        | FailureKind::CredentialInUse
        | FailureKind::Unread => false,
    }
}

impl Executed {
    fn of(step: &Step) -> Self {
        Self::Overtaken(format!("{} '{}'", step.kind.noun(), step.id))
    }
}

async fn execute_step(place: &Place, step: &Step) -> Result {
    let Step { kind, id, act } = step;
    let named = format!("{} '{id}'", kind.noun());
    let (service, path) = match kind {
        Kind::Enrollment => (&place.service, INDIVIDUAL.at(id)),
        Kind::Group => (&place.service, GROUP.at(id)),
        Kind::Certificate => (&place.admin.service, place.below("certificates", id)),
        Kind::Link => (&place.admin.service, place.below("linked-hubs", id)),
    };
    let wire = |body: &serde_json::Map<String, Value>| match kind {
        Kind::Enrollment | Kind::Group => Value::from(body.clone()),
        Kind::Certificate => json!({"properties": {
            "certificate": body.get("certificate"),
            "isVerified": body.get("verified").and_then(Value::as_bool).unwrap_or(true),
        }}),
        Kind::Link => json!({
            "allocationWeight": body.get("allocation_weight").and_then(Value::as_u64).unwrap_or(1),
            "applyAllocationPolicy":
                body.get("apply_allocation_policy").and_then(Value::as_bool).unwrap_or(true),
            // None where the file says nothing of them: those of the link stay.
            "latencies": body.get("latencies"),
        }),
    };
    let call = match act {
        Act::Create { body } => Call::put(path, wire(body), format!("create {named}")),
        // A link of a server that tells no etags of links.
        Act::Change { body, etag: None, .. } => {
            Call::put(path, wire(body), format!("change {named}"))
        }
        Act::Change { body, etag, .. } => {
            Call::put(path, wire(body), format!("change {named}")).if_match(etag.as_deref())
        }
        Act::Delete { etag } => {
            Call::delete(path, format!("delete {named}")).if_match(etag.as_deref())
        }
    };
    service.call(call).await.map(drop)
}

impl Place {
    fn below(&self, collection: &str, id: &str) -> String {
        format!("/muster/v1/dps/{}/{collection}/{}", segment(&self.name), segment(id))
    }
}

impl Step {
    const fn deletes(&self) -> bool {
        matches!(self.act, Act::Delete { .. })
    }

    const fn creates(&self) -> bool {
        matches!(self.act, Act::Create { .. })
    }
}
