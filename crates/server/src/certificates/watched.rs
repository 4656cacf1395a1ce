//! What a change of a certificate's files means: a value, told what the files hold now.

use std::sync::Arc;

use model::Sha256;

use super::expiry::Stage;
use super::read::Own;

/// Who looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// The clock: two files may be caught between the replacements of the one and of the other.
    Poll,
    /// An operator, who says that both are there (SIGHUP).
    Asked,
}

/// What is new.
#[derive(Clone, Debug)]
pub(crate) enum News {
    /// The files hold another certificate, which is shown from now on.
    Replaced,
    /// The files have faults; the last good certificate is shown on.
    Refused(Vec<String>),
    /// The files hold again what is shown.
    Mended,
}

/// One certificate of the configuration: what is shown, and what its files hold.
#[derive(Debug)]
pub(crate) struct Watched {
    own: Arc<Own>,
    /// Of the files that `own` was read from.
    held: Sha256,
    faulty: Option<Faulty>,
    /// What was said about its end.
    pub(crate) told: Stage,
}

#[derive(Debug)]
struct Faulty {
    held: Sha256,
    told: bool,
}

impl Watched {
    /// A certificate as it was read from files with this hash.
    pub(crate) fn new(own: Own, held: Sha256) -> Self {
        Self { own: Arc::new(own), held, faulty: None, told: Stage::Far }
    }

    /// What is shown.
    pub(crate) fn own(&self) -> &Arc<Own> {
        &self.own
    }

    /// Whether the files are known to have a fault.
    pub(crate) fn is_faulty(&self) -> bool {
        self.faulty.as_ref().is_some_and(|faulty| faulty.told)
    }

    /// Takes what the files hold now, if it is good; `read` is called where it is not what is shown.
    ///
    /// A fault is told once, when it is asked for or found twice in a row.
    pub(crate) fn look(
        &mut self,
        held: Sha256,
        read: impl FnOnce() -> Result<Own, Vec<String>>,
        look: Look,
    ) -> Option<News> {
        if held == self.held {
            let was = self.faulty.take();
            return was.filter(|faulty| faulty.told).map(|_| News::Mended);
        }
        match read() {
            Ok(own) => {
                *self = Self::new(own, held);
                Some(News::Replaced)
            }
            Err(faults) => {
                let again = self.faulty.take().filter(|faulty| faulty.held == held);
                let told = again.as_ref().is_some_and(|faulty| faulty.told);
                let tell = !told && (again.is_some() || look == Look::Asked);
                self.faulty = Some(Faulty { held, told: told || tell });
                tell.then_some(News::Refused(faults))
            }
        }
    }
}
