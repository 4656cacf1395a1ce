//! Whole commands, from the words to the requests and what is printed.

mod access;
mod admin;
mod apply;
mod credentials;
mod devices;
mod enrollments;
mod events;
mod grammar;
mod load;
mod records;
mod registering;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use clap::Parser;
use model::Timestamp;
use serde_json::{Value, json};

use crate::failure::{Failure, Kind, Result};
use crate::output::tests::Kept;
use crate::output::{Output, Screen};
use crate::transport::{Reply, Request, Target, Transport};
use crate::{Commands, GlobalArgs, Session};

const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const LOGIN: &str = "HostName=dps.localhost;SharedAccessKeyName=provisioningserviceowner;\
     SharedAccessKey=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const HUB_LOGIN: &str = "HostName=hub1.localhost;SharedAccessKeyName=iothubowner;\
     SharedAccessKey=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// What the binary is, without the server's own subcommands.
#[derive(Debug, Parser)]
#[command(name = "muster")]
struct Standalone {
    #[command(flatten)]
    global: GlobalArgs,
    #[command(subcommand)]
    command: Commands,
}

/// Answers in turn, and keeps what was asked.
#[derive(Default)]
struct Fake {
    replies: Mutex<VecDeque<Reply>>,
    asked: Mutex<Vec<(Target, Request)>>,
}

#[async_trait]
impl Transport for Fake {
    async fn send(&self, target: &Target, request: &Request) -> Result<Reply> {
        self.asked.lock().unwrap().push((target.clone(), request.clone()));
        let reply = self.replies.lock().unwrap().pop_front();
        reply.ok_or_else(|| Failure::new("the test has no more answers"))
    }
}

/// What became of a command.
struct Ran {
    out: String,
    done: Result,
    asked: Vec<(Target, Request)>,
}

impl Ran {
    fn ok(self) -> Self {
        if let Err(failure) = &self.done {
            panic!("{failure}");
        }
        self
    }

    fn failure(&self) -> (Kind, String) {
        let failure = self.done.as_ref().unwrap_err();
        (failure.kind(), failure.to_string())
    }

    /// Method and target of every request.
    fn lines(&self) -> Vec<String> {
        let line = |(_, request): &(Target, Request)| {
            format!("{} {}", request.method.as_str(), request.target)
        };
        self.asked.iter().map(line).collect()
    }

    fn request(&self, at: usize) -> &Request {
        &self.asked[at].1
    }

    fn body(&self, at: usize) -> Value {
        serde_json::from_slice(self.request(at).body.as_deref().unwrap()).unwrap()
    }

    fn header(&self, at: usize, name: &str) -> Option<&str> {
        let headers = &self.request(at).headers;
        headers.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }
}

fn reply(status: u16, body: &Value) -> Reply {
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    Reply { status, headers: Vec::new(), body }
}

fn page(items: &Value, continuation: Option<&str>) -> Reply {
    let mut reply = reply(200, items);
    reply.headers.extend(continuation.map(|c| ("x-ms-continuation".to_owned(), c.to_owned())));
    reply
}

fn parse(words: &[&str]) -> std::result::Result<Standalone, clap::Error> {
    Standalone::try_parse_from(std::iter::once("muster").chain(words.iter().copied()))
}

/// Runs a command with `admin.json` of a server on port 8443 in its data directory.
async fn run(words: &[&str], replies: Vec<Reply>) -> Ran {
    run_as(None, words, replies).await
}

/// The same with a bearer token in the environment.
async fn run_as(token: Option<&str>, words: &[&str], replies: Vec<Reply>) -> Ran {
    let dir = tempfile::tempdir().unwrap();
    let admin = json!({
        "url": "https://muster.localhost:8443",
        "ca": "/tmp/ca.pem",
        "connectionString":
            format!("HostName=muster.localhost;SharedAccessKeyName=admin;SharedAccessKey={KEY}"),
    });
    std::fs::write(dir.path().join("admin.json"), admin.to_string()).unwrap();
    run_all(dir, token, words, replies).await
}

async fn run_in(dir: tempfile::TempDir, words: &[&str], replies: Vec<Reply>) -> Ran {
    run_all(dir, None, words, replies).await
}

async fn run_all(
    dir: tempfile::TempDir,
    token: Option<&str>,
    words: &[&str],
    replies: Vec<Reply>,
) -> Ran {
    let parsed = parse(words).unwrap_or_else(|error| panic!("{error}"));
    let (kept, fake) = (Kept::default(), Arc::new(Fake::default()));
    *fake.replies.lock().unwrap() = replies.into();
    let data_dir: PathBuf = dir.path().to_owned();
    let global = GlobalArgs { data_dir: Some(data_dir), ca_file: None, ..parsed.global };
    let mut session = Session {
        output: Output::new(
            global.output,
            global.query.clone(),
            Screen::None,
            Box::new(kept.clone()),
        ),
        global,
        token: token.map(str::to_owned),
        transport: fake.clone(),
        clock: || Timestamp::from_unix_seconds(1_893_455_400),
    };
    let done = parsed.command.run(&mut session).await;
    let asked = fake.asked.lock().unwrap().clone();
    Ran { out: kept.text(), done, asked }
}
