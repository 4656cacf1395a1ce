//! Loads of a file, chunk by chunk.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{LOGIN, Ran, reply, run};
use crate::failure::Kind;
use crate::transport::Reply;

/// An answer that all lines were created, but for those that are named.
fn answer(lines: usize, refused: &[(usize, &str)]) -> Reply {
    let line = |at: usize| match refused.iter().find(|(line, _)| *line == at) {
        None => json!({"line": at, "registrationId": format!("d{at}"), "result": "created"}),
        Some((_, id)) => json!({"line": at, "registrationId": id, "result": "refused",
            "errorCode": 400_004, "message": "deviceId is not one."}),
    };
    reply(200, &json!({"lines": (1..=lines).map(line).collect::<Vec<_>>()}))
}

fn lines(count: usize) -> String {
    (1..=count).map(|at| format!("{{\"registrationId\":\"d{at}\"}}\n")).collect()
}

struct File {
    dir: tempfile::TempDir,
    path: PathBuf,
}

impl File {
    fn new(name: &str, content: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        Self { dir, path }
    }

    fn beside(&self, suffix: &str) -> PathBuf {
        let mut name = self.path.as_os_str().to_owned();
        name.push(suffix);
        name.into()
    }

    fn report(&self) -> Vec<Value> {
        report(&self.beside(".refused.jsonl"))
    }

    async fn load(&self, more: &[&str], replies: Vec<Reply>) -> Ran {
        let file = self.path.to_str().unwrap();
        let mut words = vec![
            "iot",
            "dps",
            "enrollment",
            "load",
            "--login",
            LOGIN,
            "--file",
            file,
            "-o",
            "json",
        ];
        words.extend(more);
        run(&words, replies).await
    }
}

fn report(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn a_load_sends_lines_and_reports_the_refused_ones() {
    let file =
        File::new("f.jsonl", &format!("{}\n[]\n{}", lines(3), "{\"registrationId\":\"D2\"}"));
    let ran = file.load(&["--on-existing", "skip"], vec![answer(3, &[(2, "d2")])]).await;
    assert_eq!(
        ran.lines(),
        ["POST /muster/v1/enrollments/load?existing=skip&api-version=2021-10-01"]
    );
    assert_eq!(ran.header(0, "content-type"), Some("application/x-ndjson"));
    assert_eq!(ran.request(0).body.as_deref(), Some(lines(3).as_bytes()));
    let (kind, told) = ran.failure();
    assert_eq!(kind, Kind::Failed);
    assert!(told.contains("3 of 5 entries were refused"), "{told}");
    let counted: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((&counted["created"], &counted["refused"]), (&json!(2), &json!(3)));
    assert_eq!(
        file.report(),
        [
            json!({"line": 2, "registrationId": "d2", "errorCode": 400_004,
                "message": "deviceId is not one."}),
            json!({"line": 5, "registrationId": "", "errorCode": 400_000,
                "message": "the line is not a JSON object, at column 2"}),
            json!({"line": 6, "registrationId": "D2", "errorCode": 400_000,
                "message": "registrationId is on an earlier line, too"}),
        ]
    );
    assert!(!file.beside(".load-state.json").exists(), "a load that is done leaves no state");
}

#[tokio::test]
async fn a_stopped_load_goes_on_behind_what_was_acknowledged() {
    let file = File::new("f.jsonl", &lines(2_500));
    // The second chunk is refused for good; what came of the third does not matter.
    let busy = reply(401, &json!({"errorCode": 401_002, "message": "Unauthorized"}));
    let ran = file.load(&[], vec![answer(1_000, &[(7, "d7")]), busy, answer(500, &[])]).await;
    let (_, told) = ran.failure();
    assert!(told.contains("1000 entries are done with; give --resume"), "{told}");
    assert!(file.beside(".load-state.json").exists());
    // As if it had been killed between the report and the state.
    let mut text = std::fs::read(file.beside(".refused.jsonl")).unwrap();
    text.extend(b"{\"line\":1500}\n");
    std::fs::write(file.beside(".refused.jsonl"), text).unwrap();

    let ran =
        file.load(&["--resume"], vec![answer(1_000, &[]), answer(500, &[(3, "d2003")])]).await;
    assert_eq!(ran.asked.len(), 2);
    assert!(ran.request(0).body.as_deref().unwrap().starts_with(b"{\"registrationId\":\"d1001\"}"));
    let counted: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((&counted["entries"], &counted["created"]), (&json!(2_500), &json!(2_498)));
    let refused: Vec<_> = file.report().iter().map(|line| line["line"].clone()).collect();
    assert_eq!(refused, [7, 2003]);
    assert!(!file.beside(".load-state.json").exists());
}

#[tokio::test]
async fn a_load_of_a_changed_file_is_not_resumed() {
    let file = File::new("f.jsonl", &lines(1_500));
    let refused = || reply(403, &json!({"errorCode": 403_001, "message": "no"}));
    let ran = file.load(&[], vec![answer(1_000, &[]), refused()]).await;
    assert!(ran.done.is_err());
    std::fs::write(&file.path, lines(1_500).replace("d999\"", "x999\"")).unwrap();
    let ran = file.load(&["--resume", "--patience", "0"], vec![]).await;
    assert!(ran.failure().1.contains("is not what it was"), "{}", ran.failure().1);
    assert!(ran.asked.is_empty());
}

#[tokio::test]
async fn a_server_that_comes_back_is_waited_for() {
    let file = File::new("f.jsonl", &lines(1_001));
    let gone = || reply(503, &json!({"errorCode": 503_005, "message": "busy"}));
    let replies = vec![answer(1_000, &[]), gone(), gone(), answer(1, &[])];
    let ran = file.load(&["--patience", "60"], replies).await.ok();
    assert_eq!(ran.asked.len(), 4);
    assert_eq!(ran.request(1), ran.request(3));
    // Before the first answer nothing is waited for.
    let ran = file.load(&[], vec![gone()]).await;
    assert!(ran.failure().1.contains("busy"), "{}", ran.failure().1);
}

#[tokio::test]
async fn a_row_of_a_table_is_sent_as_json() {
    let file = File::new("f.csv", "deviceId,registrationId\nx,a\n,b\n");
    let report = file.dir.path().join("r.jsonl");
    let words = ["--report", report.to_str().unwrap(), "--on-existing", "replace"];
    let ran = file.load(&words, vec![answer(2, &[(1, "a")])]).await;
    let body = ran.request(0).body.clone().unwrap();
    assert_eq!(
        String::from_utf8(body).unwrap(),
        "{\"attestation\":{\"type\":\"symmetricKey\"},\"deviceId\":\"x\",\"registrationId\":\"a\"}\n\
         {\"attestation\":{\"type\":\"symmetricKey\"},\"registrationId\":\"b\"}\n"
    );
    assert!(self::report(&report)[0]["line"] == 2, "the header is a line");
    assert!(!file.beside(".refused.jsonl").exists());
}
