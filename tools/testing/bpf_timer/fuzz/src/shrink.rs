// SPDX-License-Identifier: GPL-2.0

//! Makes a sequence that fails shorter.

/// Leaves out smaller and smaller parts of `ops` while the rest still `fails`. Stops
/// when no single operation can be left out, or when `fails` returns `None`.
pub fn shrink<T: Clone>(ops: &[T], mut fails: impl FnMut(&[T]) -> Option<bool>) -> Vec<T> {
    let mut ops = ops.to_vec();
    let mut size = ops.len().div_ceil(2);

    while size > 0 {
        let mut at = 0;
        let mut shorter = false;
        while at < ops.len() {
            let end = (at + size).min(ops.len());
            let rest = [&ops[..at], &ops[end..]].concat();
            match fails(&rest) {
                Some(true) => {
                    ops = rest;
                    shorter = true;
                }
                Some(false) => at = end,
                None => return ops,
            }
        }
        if size == 1 && !shorter {
            break;
        }
        size = if size == 1 { 1 } else { size.div_ceil(2) };
    }
    ops
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_what_matters() {
        let ops: Vec<u32> = (0..100).collect();
        let fails = |ops: &[u32]| Some(ops.contains(&17) && ops.contains(&80));
        assert_eq!(shrink(&ops, fails), [17, 80]);
    }

    #[test]
    fn finds_what_needs_its_order() {
        let ops = [3, 1, 2, 1, 3, 2];
        let fails = |ops: &[u32]| {
            let one = ops.iter().position(|&op| op == 1);
            Some(one.is_some_and(|at| ops[at..].contains(&3)))
        };
        assert_eq!(shrink(&ops, fails), [1, 3]);
    }

    #[test]
    fn stops_when_asked_to() {
        let ops = [1, 2, 3, 4];
        let mut tries = 0;
        let shrunk = shrink(&ops, |_| {
            tries += 1;
            (tries < 2).then_some(true)
        });
        assert_eq!(shrunk, [3, 4]);
    }
}
