#!/bin/sh
# The first process of a machine's namespaces, until systemd takes its place: gives the machine its own kernel file systems
# and moves into its root. Whatever else is mounted outside is left behind.
set -eu
root=$1

mount -t proc proc "$root/proc"
# What is set there would be set for the machine outside as well.
mount --bind "$root/proc/sys" "$root/proc/sys"
mount -o remount,bind,ro "$root/proc/sys"
if [ -e "$root/proc/sysrq-trigger" ]; then mount --bind /dev/null "$root/proc/sysrq-trigger"; fi
mount -t sysfs -o ro sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"

mount -t tmpfs -o mode=0755 tmpfs "$root/dev"
for device in "null 3" "zero 5" "full 7" "random 8" "urandom 9"; do
    # shellcheck disable=SC2086 # a name and a number
    set -- $device
    mknod -m 0666 "$root/dev/$1" c 1 "$2"
done
mknod -m 0666 "$root/dev/tty" c 5 0
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620 devpts "$root/dev/pts"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"

mount -t tmpfs -o mode=0755 tmpfs "$root/run"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
# Nobody's files and no toolchain of the machine outside.
for directory in root home usr/local work; do
    if [ -d "$root/$directory" ]; then mount -t tmpfs -o mode=0755 tmpfs "$root/$directory"; fi
done

cd "$root"
mkdir -p .outside
pivot_root . .outside
# Shared, as a machine without a container around it has it: systemd hands credentials over that way. Neither the clock nor
# the kernel's modules are a machine's own.
exec chroot . /bin/sh -c '
    umount -l /.outside
    mount --make-rshared /
    exec setpriv --bounding-set -sys_time,-sys_module,-syslog \
        env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin container=signvault-test \
        /lib/systemd/systemd --system --show-status=no --log-target=journal --default-standard-output=journal'
