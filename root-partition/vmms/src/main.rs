//! The virtual machine management service: CLI and store of VM definitions.
#![cfg_attr(target_os = "none", no_std, no_main)]
#![forbid(unsafe_code)]

use vmms::cli::Cli;
use vmms::kernel::Kernel;

runtime::entry!(main);

fn main() {
    let (kernel, configuration, volume) = Kernel::open();
    let mut cli = Cli::new(kernel, configuration, volume);
    cli.begin();
    runtime::mark_prompt();
    cli.run();
}
