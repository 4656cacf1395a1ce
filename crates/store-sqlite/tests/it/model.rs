//! Random histories on the model and on SQLite, every answer compared.

use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, any, proptest};
use store::memory::Memory;
use store::suite::history;

use crate::scratch::Fresh;

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn sqlite_answers_as_the_model_does(history in vec(any::<u64>(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(history::same(&Memory::new(), &*Fresh::new(), &history));
    }
}
