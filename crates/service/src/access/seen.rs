//! When devices were connected and heard of last: in memory alone, so that no message waits for a
//! write, and gone with the process.

use std::collections::HashMap;

use model::Timestamp;

use super::sessions::DeviceKey;

/// Devices that are remembered for certain; up to twice as many are. Source: ours, about 20 MB.
const REMEMBERED: usize = 50_000;

/// What is known of a device that has no session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Which identity of that id it was.
    pub(crate) generation_id: i64,
    /// When it was disconnected; none for one that was never connected.
    pub(crate) disconnected: Option<Timestamp>,
    /// When it was heard of.
    pub(crate) heard: Timestamp,
}

/// Devices by when they were written: once the newer half is full, the older is forgotten.
#[derive(Debug, Default)]
pub(crate) struct SeenDevices {
    newer: HashMap<DeviceKey, Seen>,
    older: HashMap<DeviceKey, Seen>,
}

impl SeenDevices {
    pub(crate) fn get(&self, key: &DeviceKey) -> Option<Seen> {
        self.newer.get(key).or_else(|| self.older.get(key)).copied()
    }

    pub(crate) fn put(&mut self, key: DeviceKey, seen: Seen) {
        if self.newer.len() >= REMEMBERED {
            self.older = std::mem::take(&mut self.newer);
        }
        self.newer.insert(key, seen);
    }
}

#[cfg(test)]
mod tests {
    use model::{DeviceId, HostName};

    use super::*;

    #[test]
    fn as_many_as_are_promised_are_remembered_and_no_more_than_twice_that() {
        let key = |number: usize| {
            let id = DeviceId::parse(&format!("d{number}")).unwrap();
            (HostName::parse("hub").unwrap(), id)
        };
        let mut devices = SeenDevices::default();
        let total = REMEMBERED * 3 + 7;
        for number in 0..total {
            let seen = Seen { generation_id: 1, disconnected: None, heard: Timestamp::ZERO };
            devices.put(key(number), seen);
        }
        assert!((total - REMEMBERED..total).all(|number| devices.get(&key(number)).is_some()));
        assert!(devices.newer.len() + devices.older.len() <= REMEMBERED * 2);
        assert_eq!(devices.get(&key(0)), None);
    }
}
