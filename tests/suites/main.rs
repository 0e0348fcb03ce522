//! The whole-machine suites. `cargo xtask test machine` builds what they need and runs them.
//!
//! Tests are written once, as functions of a machine; what runs where is listed here. A test's name begins with the
//! machine's: `amd::story::a_guest_keeps_what_it_wrote`.

mod affinity;
mod bios;
mod bochs;
mod boot;
mod channels;
mod clocks;
mod conformance;
mod disk;
mod driver;
mod image;
mod input;
mod isolation;
mod machines;
mod neighbours;
mod scale;
mod shares;
mod smp;
mod soak;
mod stale;
mod story;
mod times;
mod top;

use machine_tests::kind::Kind;

/// Makes a machine's tests: of suites that are written for every machine, and of its own. What is `#[ignore]`d runs at
/// night only: `cargo xtask test --nightly`.
macro_rules! machine {
    (
        $machine:ident = $kind:expr;
        shared { $($suite:ident { $($(#[$when:meta])* $test:ident,)* })* }
        own { $($own:ident { $($(#[$own_when:meta])* $own_test:ident,)* })* }
    ) => {
        mod $machine {
            $(mod $suite {
                $(#[test] $(#[$when])* fn $test() -> anyhow::Result<()> {
                    crate::times::timed(module_path!(), stringify!($test), || crate::$suite::$test($kind))
                })*
            })*
            $(mod $own {
                $(#[test] $(#[$own_when])* fn $own_test() -> anyhow::Result<()> {
                    crate::times::timed(module_path!(), stringify!($own_test), crate::$own::$own_test)
                })*
            })*
        }
    };
}

/// Makes the tests of a machine that runs all that is written for every machine, and more.
macro_rules! whole_machine {
    (
        $machine:ident = $kind:expr;
        shared { $($shared:tt)* }
        own { $($own:tt)* }
    ) => {
        machine! {
            $machine = $kind;
            shared {
                bios {
                    a_cd_boots,
                }
                channels {
                    every_processor_has_its_channel_and_all_carry_requests,
                }
                clocks {
                    none_goes_back_for_a_minute,
                    a_timer_that_runs_out_around_sti_ends_the_halt_behind_it,
                }
                conformance {
                    a_guest_gets_the_processor_of_the_manuals,
                }
                disk {
                    random_data_is_the_same_after_everything_was_off,
                    what_was_synced_is_there_after_a_power_cut,
                    two_machines_run_at_once_on_their_own_disks,
                }
                input {
                    mistakes_get_one_line,
                    a_file_that_is_no_kernel_is_refused,
                    more_memory_than_there_is_is_refused,
                    malformed_definitions_are_named_with_their_line,
                    damaged_vhds_are_refused,
                }
                neighbours {
                    hostile_neighbours_leave_a_guest_its_share,
                }
                isolation {
                    a_hostile_guest_is_survived,
                    a_guest_that_spins_or_triple_faults_is_alone_with_it,
                    a_worker_that_crashes_takes_down_its_machine_only,
                    a_worker_that_listens_to_nobody_is_killed,
                    two_hundred_lives_of_a_machine_lose_no_page,
                }
                shares {
                    shares_are_what_they_were_set_to,
                }
                stale {
                    a_page_that_is_taken_away_is_reached_by_nobody,
                }
                story {
                    a_guest_keeps_what_it_wrote,
                }
                $($shared)*
            }
            own { $($own)* }
        }
    };
}

whole_machine! {
    amd = crate::Kind::Amd;
    shared {
        smp {
            a_devices_interrupt_wakes_whom_it_is_for,
            guests_compute_right_on_two_processors,
            guests_compute_right_on_four_processors,
        }
        affinity {
            who_may_run_where_is_fair_on_four_processors,
        }
    }
    own {
        // UEFI, PXE, USB, virtio and more than 4 GiB: QEMU has them, Bochs has not.
        boot {
            a_usb_stick_boots_over_uefi,
            the_network_boots,
            a_virtio_disk_will_do,
            every_processor_has_its_own_queue_and_interrupt,
            a_device_without_message_signalled_interrupts_will_do,
            an_ide_disk_will_do_and_keeps_what_it_was_given,
            an_nvme_disk_that_does_not_answer_is_given_up,
            an_ide_disk_that_does_not_answer_is_given_up,
            processors_that_lack_something_are_refused,
            a_command_line_that_is_too_long_is_refused,
            a_missing_or_damaged_file_is_named_and_the_firmware_goes_on,
        }
        soak {
            #[ignore = "takes half an hour"]
            everything_at_random,
        }
        scale {
            processors_up_to_the_limit_start_and_the_others_are_counted,
            two_hundred_and_fifty_six_gibibytes_are_used,
        }
        // The driver of QEMU itself.
        driver {
            a_console_carries_lines_both_ways,
            a_machine_that_goes_on_has_not_powered_off,
            a_machine_that_resets_is_told_from_one_that_powers_off,
        }
        // No machine is booted.
        image {
            partitions_and_volumes_are_sound,
            disks_on_the_volume_have_no_holes,
        }
    }
}

// Bochs.
whole_machine! {
    intel = crate::Kind::Intel;
    shared {
        smp {
            a_devices_interrupt_wakes_whom_it_is_for,
            a_guest_is_right_on_two_processors,
            a_guest_is_right_on_four_processors,
            #[ignore = "takes eight minutes and more in Bochs"]
            guests_compute_right_on_two_processors,
            #[ignore = "takes eight minutes and more in Bochs"]
            guests_compute_right_on_four_processors,
        }
        affinity {
            #[ignore = "takes many minutes in Bochs"]
            who_may_run_where_is_fair_on_four_processors,
        }
        bochs {
            the_root_kernel_boots_on_the_bare_machine,
            a_console_carries_lines_both_ways,
            a_machine_that_goes_on_has_not_powered_off,
            a_machine_that_resets_is_told_from_one_that_powers_off,
            a_machine_that_bochs_refuses_is_no_machine,
            processors_that_lack_something_are_refused,
            older_and_newer_processors_will_do,
            a_guest_gets_the_same_without_apic_virtualization,
            a_disk_boots_over_uefi,
        }
    }
    own {}
}

// Bochs again: the boot, the story and the probes only, since QEMU has AMD-V too, and is quicker.
machine! {
    ryzen = crate::Kind::Ryzen;
    shared {
        story {
            a_guest_keeps_what_it_wrote,
        }
        clocks {
            a_timer_that_runs_out_around_sti_ends_the_halt_behind_it,
        }
        bios {
            a_cd_boots,
        }
        conformance {
            a_guest_gets_the_processor_of_the_manuals,
        }
    }
    own {}
}
