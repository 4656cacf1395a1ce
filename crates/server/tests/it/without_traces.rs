//! A program that was built without the feature `otel`.

use crate::process::{Scratch, error_of};

#[test]
fn asking_for_traces_without_their_feature_is_a_fault_that_names_it() {
    let scratch = Scratch::new();
    scratch.write("muster.toml", "[monitoring]\notlp_endpoint = \"http://127.0.0.1:4318\"\n");
    for words in ["config check", "serve --https-port 0 --mqtt-port 0"] {
        let output = scratch.run(words);
        assert_eq!(output.status.code(), Some(2), "{}", error_of(&output));
        assert!(error_of(&output).contains("--features otel"), "{}", error_of(&output));
    }
}

#[test]
fn a_machine_that_is_set_for_traces_gets_a_warning() {
    let scratch = Scratch::new();
    let mut command = scratch.command("serve --https-port 0 --mqtt-port 0 --ephemeral");
    let output = command
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318")
        .env("MUSTER_LISTEN", "192.0.2.1")
        .output()
        .unwrap();
    // It can not listen there, so that nothing has to be stopped; the warning comes first.
    assert_eq!(output.status.code(), Some(1), "{}", error_of(&output));
    assert!(error_of(&output).contains("need the feature otel"), "{}", error_of(&output));
}
