// SPDX-License-Identifier: GPL-2.0

//! The names in the measured figures, and what a reader is told instead.

/// The name of an operation, its label in tables and plots, and the subject of a sentence.
const OPERATIONS: &[(&str, &str, &str)] = &[
    ("init", "make a timer", "Making a timer"),
    (
        "set_callback_same",
        "set the same callback again",
        "Setting the same callback again",
    ),
    (
        "start_first",
        "start an idle timer",
        "Starting an idle timer",
    ),
    (
        "start_later",
        "move an armed timer to later",
        "Moving an armed timer to a later time",
    ),
    (
        "start_earlier",
        "move an armed timer to earlier",
        "Moving an armed timer to an earlier time",
    ),
    (
        "start_again",
        "start an armed timer again",
        "Starting an armed timer again",
    ),
    (
        "cancel_idle",
        "cancel an idle timer",
        "Cancelling an idle timer",
    ),
    (
        "cancel_armed",
        "cancel an armed timer",
        "Cancelling an armed timer",
    ),
    (
        "cancel_async_idle",
        "cancel_async of an idle timer",
        "An asynchronous cancel of an idle timer",
    ),
    (
        "cancel_async_armed",
        "cancel_async of an armed timer",
        "An asynchronous cancel of an armed timer",
    ),
    (
        "set_cancel",
        "set callback and cancel",
        "Setting a callback and a cancel",
    ),
    (
        "set_start_cancel",
        "set callback, start and cancel",
        "Setting a callback, a start and a cancel",
    ),
    (
        "expiry",
        "expire, run the callback",
        "An expiry with its callback",
    ),
    (
        "delete_armed",
        "delete element, armed timer",
        "Deleting an element with an armed timer",
    ),
    (
        "delete_idle",
        "delete element, idle timer",
        "Deleting an element with an idle timer",
    ),
    (
        "delete_empty",
        "delete element without timer",
        "Deleting an element without a timer",
    ),
];

/// Operations that are measured only to subtract them from others.
const HIDDEN: &[&str] = &["lookup"];

const CONTEXTS: &[(&str, &str)] = &[
    ("task", "in a task"),
    ("softirq", "in a softirq"),
    ("callback", "in a timer's callback"),
    ("irqs_off", "with interrupts off"),
];

const MAPS: &[(&str, &str)] = &[
    ("array", "array map"),
    ("hash", "hash map"),
    ("lru", "LRU hash map"),
];

pub fn is_hidden(operation: &str) -> bool {
    HIDDEN.contains(&operation)
}

/// The label of an operation; an unknown one keeps its name.
pub fn label(operation: &str) -> &str {
    OPERATIONS
        .iter()
        .find(|(name, ..)| *name == operation)
        .map_or(operation, |(_, label, _)| label)
}

/// The operation as the subject of a sentence.
pub fn subject(operation: &str) -> &str {
    OPERATIONS
        .iter()
        .find(|(name, ..)| *name == operation)
        .map_or(operation, |(.., subject)| subject)
}

pub fn context(name: &str) -> &str {
    find(CONTEXTS, name)
}

pub fn map(name: &str) -> &str {
    find(MAPS, name)
}

fn find<'a>(names: &[(&'a str, &'a str)], name: &'a str) -> &'a str {
    names
        .iter()
        .find(|(other, _)| *other == name)
        .map_or(name, |(_, label)| label)
}

/// The rank of a name orders tables: unknown names are last.
pub fn operation_rank(name: &str) -> usize {
    rank(OPERATIONS.iter().map(|(name, ..)| *name), name)
}

pub fn context_rank(name: &str) -> usize {
    rank(CONTEXTS.iter().map(|(name, _)| *name), name)
}

pub fn map_rank(name: &str) -> usize {
    rank(MAPS.iter().map(|(name, _)| *name), name)
}

fn rank<'a>(mut names: impl Iterator<Item = &'a str>, name: &str) -> usize {
    names.position(|other| other == name).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_operation_keeps_its_name() {
        assert_eq!(label("init"), "make a timer");
        assert_eq!(label("start_never"), "start_never");
        assert!(operation_rank("start_never") > operation_rank("delete_empty"));
    }

    #[test]
    fn labels_fit_the_table() {
        for (_, label, _) in OPERATIONS {
            assert!(label.len() <= crate::table::LABEL, "{label}");
        }
    }
}
