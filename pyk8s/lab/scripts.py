"""What faults and their remedies are on a machine: shell text for root, each harmless where it is run twice."""

from __future__ import annotations

import shlex
from collections.abc import Iterable

SMALL = "/run/pyk8s-small"
"""Where the small file system of a full disk is mounted."""
ETCD = "/var/lib/etcd"
SPARE_MIB = 80

PUNCH = f"""\
import glob, os, subprocess
for path in glob.glob("{ETCD}/member/wal/*"):
    with open(path, "rb") as log:
        kept = (len(log.read().rstrip(b"\\0")) + 2**20) // 4096 * 4096
    if (rest := os.path.getsize(path) - kept) > 0:
        subprocess.run(["fallocate", "-p", "-o", str(kept), "-l", str(rest), path], check=True)
"""
"""Gives back all but 1 MiB of what etcd has set aside for its log, so that it notices soon that there is no more."""
FILL = f"""\
systemctl stop etcd
mkdir -p {SMALL}
mount -t tmpfs -o size=$(( $(du -sm {ETCD} | cut -f1) + {SPARE_MIB} ))m,mode=0700 pyk8s-small {SMALL}
cp -a --sparse=always {ETCD}/. {SMALL}/
chown etcd:etcd {SMALL}
mount --bind {SMALL} {ETCD}
systemctl start etcd
python3 - <<'PUNCH'
{PUNCH}PUNCH
dd if=/dev/zero of={ETCD}/ballast bs=64k 2>/dev/null || true
"""
EMPTY = f"""\
set -e
systemctl stop etcd
if [ {SMALL} -ef {ETCD} ]; then
    rm -f {SMALL}/ballast
    umount {ETCD}
    touch {SMALL}/newer
fi
if [ -e {SMALL}/newer ]; then
    rm -rf {ETCD}/member.new
    cp -a {SMALL}/member {ETCD}/member.new
    rm -rf {ETCD}/member
    mv {ETCD}/member.new {ETCD}/member
    rm {SMALL}/newer
fi
! mountpoint -q {SMALL} || umount {SMALL}
systemctl reset-failed etcd 2>/dev/null || true
systemctl start etcd
"""
"""The small file system has what counts only once it stood in the place of the data (-ef: both are one folder)."""
REBOOT = "systemd-run --quiet --on-active=1 --timer-property=AccuracySec=100ms systemctl reboot"

FLUSH_IPTABLES = """\
for table in nat filter mangle; do
    iptables-save -t $table | awk -v table=$table '
        /^:KUBE-/ { chains[substr($1, 2)] = 1 }
        /^-A/ && $2 !~ /^KUBE-/ && /KUBE-/ { sub(/^-A/, "-D"); jumps[n++] = $0 }
        END {
            print "*" table
            for (i = 0; i < n; i++) print jumps[i]
            for (chain in chains) print ":" chain " - [0:0]"
            for (chain in chains) print "-X " chain
            print "COMMIT"
        }' | iptables-restore --noflush
done
"""
"""All tables, as a firewall that is restarted does it: kube-proxy looks for its chain in mangle, and there alone."""
FLUSH_NFTABLES = "nft delete table ip kube-proxy\n"
FLUSH_MASQUERADE = "nft delete table ip pod_network\n"


def kill(names: str) -> str:
    """Kill the main processes of units: a runtime's shims, which keep its containers, are not what ``kill -9`` hits."""
    return f"systemctl kill --kill-who=main --signal=KILL {names}"


def hold(units: Iterable[str]) -> str:
    """Kill units and mask their restart: a drop-in of /run says that nothing starts them, then SIGKILL."""
    lines = []
    for unit in units:
        folder = f"/run/systemd/system/{unit}.service.d"
        lines += [f"mkdir -p {folder}", f"printf '[Service]\\nRestart=no\\n' >{folder}/pyk8s-held.conf"]
    names = " ".join(units)
    return "\n".join([*lines, "systemctl daemon-reload", kill(names)])


def release(units: Iterable[str]) -> str:
    """Undo ``hold``."""
    lines = [f"rm -rf /run/systemd/system/{unit}.service.d/pyk8s-held.conf" for unit in units]
    names = " ".join(units)
    reset = f"systemctl reset-failed {names} 2>/dev/null || true"
    return "\n".join([*lines, "systemctl daemon-reload", reset, f"systemctl start {names}"])


def drop(identity: str, addresses: Iterable[str], ways: str, percent: int) -> str:
    """Drop packets from and to addresses in a table of its own; forwarded ones too, so that pods are cut off."""
    listed = ", ".join(addresses)
    some = "" if percent >= 100 else f"numgen random mod 100 < {percent} "
    chains = {
        "in": f"chain from {{ type filter hook prerouting priority raw; ip saddr {{ {listed} }} {some}counter drop; }}",
        "out": f"chain to {{ type filter hook postrouting priority 200; ip daddr {{ {listed} }} {some}counter drop; }}",
    }
    wanted = "\n".join(text for way, text in chains.items() if ways in {"both", way})
    return f"nft -f - <<'RULES'\ntable inet pyk8s_fault_{identity} {{\n{wanted}\n}}\nRULES"


def dropped(identity: str) -> str:
    """Count the packets that ``drop`` has dropped so far."""
    listed = f"rules=$(nft list table inet pyk8s_fault_{identity}) || exit 1"
    return f"{listed}; echo \"$rules\" | grep -o 'packets [0-9]*' | awk '{{n += $2}} END {{print n + 0}}'"


def undrop(identity: str) -> str:
    """Undo ``drop``."""
    return f"nft delete table inet pyk8s_fault_{identity} 2>/dev/null || true"


def netem(address: str, milliseconds: int) -> str:
    """Delay all that leaves by the interface of an address."""
    return f"{_interface(address)} && tc qdisc replace dev $i root netem delay {milliseconds}ms"


def without_netem(address: str) -> str:
    """Undo ``netem``."""
    return f"{_interface(address)} && tc qdisc delete dev $i root 2>/dev/null || true"


def alarm(identity: str, undo: str, seconds: int) -> str:
    """Have the machine itself undo a fault after some time, should nobody reach it."""
    command = f"systemd-run --quiet --collect --unit=pyk8s-undo-{identity} --on-active={seconds}"
    return f"{command} sh -c {shlex.quote(undo)}"


def no_alarm(identity: str) -> str:
    """Call the alarm off."""
    return f"systemctl stop pyk8s-undo-{identity}.timer 2>/dev/null || true"


def _interface(address: str) -> str:
    return f"i=$(ip -o -4 address show | awk '$4 ~ /^{address}\\// {{print $2; exit}}')"
