// SPDX-License-Identifier: GPL-2.0

//! BPF maps and programs, for kernel code that BPF programs call.
//!
//! C header: [`include/linux/bpf.h`](srctree/include/linux/bpf.h)

mod map;
mod prog;

pub use map::Map;
pub use prog::{
    Callback,
    Prog,
    ProgRef,
    Run, //
};
