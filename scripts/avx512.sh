#!/bin/bash
# Runs the hash tests on a processor that this machine may not have: an emulated one with AVX-512.
# Not part of the checks: it takes minutes, and Debian's bochs, busybox-static, isolinux, syslinux-common, genisoimage
# and cpio. MODEL is one of the emulator's processors.
#
#   scripts/avx512.sh [MODEL [TESTS]]
set -euo pipefail
cd "$(dirname "$0")/.."
model=${1:-corei7_skylake_x} filter=${2:-sha::} target=x86_64-unknown-linux-musl
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT

tests=$(cargo test --release --locked --target "$target" -p blockswarm-pieces --lib --no-run --message-format=json |
  sed -n 's/.*"executable":"\([^"]*\)".*/\1/p')

kernel=$(apt-cache depends --important linux-image-cloud-amd64 | sed -n 's/.*Depends: \(linux-image-.*\)/\1/p')
(cd "$place" && apt-get download -qq "$kernel" 2>/dev/null && dpkg-deb -x "$kernel"_*.deb kernel)

mkdir -p "$place"/{root/bin,root/dev,root/proc,root/tmp,disc}
cp "$tests" "$place/root/tests"
cp /bin/busybox "$place/root/bin/"
cat >"$place/root/init" <<INIT
#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t devtmpfs dev /dev
grep -m1 -oE 'model name.*' /proc/cpuinfo
echo "instructions: \$(grep -m1 ^flags /proc/cpuinfo | grep -oE 'sha_ni|avx2|avx512(f|bw)' | tr '\n' ' ')"
RUST_TEST_THREADS=1 /tests $filter
echo "exit status \$?"
# What was said is still on its way through the serial line.
sleep 2
poweroff -f
INIT
chmod +x "$place/root/init"
(cd "$place/root" && find . | cpio -o -H newc --quiet | gzip -1 >../disc/root.gz)

cp "$place"/kernel/boot/vmlinuz-* "$place/disc/vmlinuz"
cp /usr/lib/ISOLINUX/isolinux.bin /usr/lib/syslinux/modules/bios/ldlinux.c32 "$place/disc/"
# The emulator lacks a few things that its processor models announce.
cat >"$place/disc/isolinux.cfg" <<'BOOT'
default tests
label tests
 kernel vmlinuz
 append initrd=root.gz console=ttyS0,115200 panic=-1 mitigations=off nokaslr tsc=reliable lpj=1000000 nosmp noapic clearcpuid=pku,ospke,xsaves,xsavec
BOOT
genisoimage -quiet -o "$place/boot.iso" -b isolinux.bin -no-emul-boot -boot-load-size 4 -boot-info-table "$place/disc"

cat >"$place/bochsrc" <<BOCHS
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
cpu: model=$model, count=1, ips=200000000
megs: 512
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type=cdrom, path=$place/boot.iso, status=inserted
boot: cdrom
com1: enabled=1, mode=file, dev=$place/serial
display_library: rfb, options="timeout=0"
sound: driver=dummy
speaker: enabled=0
log: $place/log
clock: sync=none
panic: action=fatal
BOCHS
echo c >"$place/commands"
timeout 900 bochs -q -f "$place/bochsrc" -rc "$place/commands" <<<'' &>"$place/out" || true
tr -d '\r' <"$place/serial"
grep -q 'exit status 0' <(tr -d '\r' <"$place/serial")
