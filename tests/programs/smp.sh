#!/bin/sh
# smp.sh N [PERCENT]: work for N processors that checks its own results, and what the kernel has to complain of. On a disk
# with stress-ng and its libraries, mounted at /mnt. Locks, futexes, processes, page tables that others use, timers, signals.
# PERCENT: of the operations of each, at least one.
work=
for stressor in futex:4 flock:100 sem-sysv:200 fork:20 mmap:20 tlb-shootdown:8 timer:100 sigq:200 switch:400; do
	name=${stressor%:*}
	work="$work --$name $1 --$name-ops $(((${stressor#*:} * ${2:-100} + 99) / 100))"
done
/mnt/lib/ld-linux-x86-64.so.2 --library-path /mnt/lib /mnt/stress-ng --verify --timeout 0 --mmap-bytes 1m $work
echo "stress-ng ended with $?"
echo "$(dmesg | grep -cE 'unstable|not responding|stall|lockup|BUG:|WARNING: CPU|Oops|time jumped') complaints"
dmesg | grep -E 'unstable|not responding|stall|lockup|BUG:|WARNING: CPU|Oops|time jumped'
