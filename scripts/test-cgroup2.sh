#!/bin/sh
# Runs a cluster on a machine with control groups of version 2 only: a guest with Debian's cloud kernel, first with
# systemd and dcos as its unit, then without. Needs root, KVM, qemu-system-x86, debootstrap and e2fsprogs, and some
# minutes; with ACCEL=tcg it needs no KVM and an hour. usage: test-cgroup2.sh <dcos binary> [directory to work in]
set -eu
binary=$(realpath "$1")
here=$(dirname "$(realpath "$0")")
work=${2:-$(mktemp -d)}
mkdir -p "$work"
cd "$work"

packages=systemd-sysv,dbus,linux-image-cloud-amd64,initramfs-tools,iproute2,procps,curl,libseccomp2,python3-minimal,kmod,ca-certificates
[ -e rootfs/boot ] || debootstrap --variant=minbase --include="$packages" bookworm rootfs

install -m 755 "$here/cgroup2/check.sh" "$here/cgroup2/init.sh" rootfs/opt/
install -m 755 "$binary" rootfs/usr/local/bin/dcos
strip rootfs/usr/local/bin/dcos
"$binary" systemd-unit | sed "s|^ExecStart=[^ ]*|ExecStart=/usr/local/bin/dcos|" >rootfs/etc/systemd/system/dcos.service
cat >rootfs/etc/systemd/system/check.service <<'UNIT'
[Unit]
After=dcos.service
[Service]
ExecStart=/opt/check.sh systemd
StandardOutput=tty
StandardError=tty
TTYPath=/dev/ttyS0
UNIT
wants=rootfs/etc/systemd/system/multi-user.target.wants
mkdir -p "$wants"
ln -sf ../dcos.service ../check.service "$wants/"
rm -f rootfs/etc/systemd/system/getty.target.wants/* "$wants"/serial-getty*
ln -sf /dev/null rootfs/etc/systemd/system/serial-getty@ttyS0.service

boot() { # log, kernel parameters
    rm -f disk.img
    mkfs.ext4 -q -d rootfs disk.img 3G
    timeout 3600 qemu-system-x86_64 -accel "${ACCEL:-kvm}" -cpu max -smp 2 -m 2048 -display none -serial stdio -monitor none \
        -kernel rootfs/boot/vmlinuz-* -initrd rootfs/boot/initrd.img-* \
        -drive file=disk.img,if=virtio,format=raw \
        -append "root=/dev/vda rw console=ttyS0 quiet systemd.show_status=0 $2" </dev/null >"$1" || true
    grep -a CHECK "$1"
}
boot systemd.log ""
boot bare.log "init=/opt/init.sh"
rm -f disk.img
grep -aq 'CHECK systemd: all is well' systemd.log && grep -aq 'CHECK bare: all is well' bare.log
