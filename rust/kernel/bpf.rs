// SPDX-License-Identifier: GPL-2.0

//! BPF maps, their elements, and programs, for kernel code that BPF programs call.
//!
//! C header: [`include/linux/bpf.h`](srctree/include/linux/bpf.h)

mod element;
mod map;
mod prog;

pub use element::Element;
pub use map::Map;
pub use prog::{
    Callback,
    Prog,
    ProgRef,
    Run, //
};
