#!/bin/sh
# Process 1 of the guest of test-cgroup2.sh that has no systemd.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev 2>/dev/null
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs tmpfs /run
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -o remount,rw /
ip link set lo up
modprobe overlay 2>/dev/null
/opt/check.sh bare >/dev/console 2>&1 &
# Orphans are reaped as long as it runs.
while :; do wait; sleep 1; done
