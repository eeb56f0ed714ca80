// SPDX-License-Identifier: GPL-2.0

//! The figures of a run, for the tests.

use crate::figures::Key;
use serde_json::Value;

pub fn full() -> Value {
    serde_json::from_str(include_str!("../tests/sample.json")).unwrap()
}

/// The same figures as a quick run has them.
pub fn quick() -> Value {
    let mut value = full();
    value["quick"] = true.into();
    let all = value.as_object_mut().unwrap();
    for section in ["lateness", "neighbour", "memory", "free"] {
        all.remove(section);
    }
    let rows = all["instructions"].as_array_mut().unwrap();
    rows.retain(|row| row["timers"] == 1000 && row["map"] == "array");
    value
}

/// A key in a task.
pub fn key(operation: &str, map: &str, timers: u64, cpus: u64) -> Key {
    Key {
        operation: operation.into(),
        map: map.into(),
        context: "task".into(),
        timers,
        cpus,
    }
}
