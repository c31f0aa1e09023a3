/**
 * A network namespace of its own for a test file: loopback, and besides it only a wire that nobody listens at the other
 * end of. It is the way to everywhere, and to the only name server: whatever is sent past loopback is sent into it, and
 * counted.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

const inside = 'BLOCKSWARM_SINK_NAMESPACE';
const wire = 'bs0';
const nameServer = '198.51.100.53';

const setUp = `set -e
printf 'nameserver ${nameServer}\\noptions timeout:1 attempts:1\\n' > "$0"
mount --bind "$0" /etc/resolv.conf
sysctl -qw net.ipv6.conf.default.accept_ra=0 net.ipv6.conf.default.router_solicitations=0 2>/dev/null || true
ip link set lo up
ip link add ${wire} address 02:00:00:00:00:01 type veth peer name bs1 address 02:00:00:00:00:02
ip link set ${wire} addrgenmode none
ip link set bs1 addrgenmode none
ip link set bs1 up
ip link set ${wire} up
ip address add 10.77.0.1/24 dev ${wire}
ip neighbour add 10.77.0.2 lladdr 02:00:00:00:00:02 dev ${wire}
ip route add default via 10.77.0.2
if [ -e /proc/net/if_inet6 ]; then
  ip address add fd77::1/64 dev ${wire} nodad
  ip neighbour add fd77::2 lladdr 02:00:00:00:00:02 dev ${wire}
  ip route add default via fd77::2
fi
`;

/** What this process is to do inside; null outside. */
export const caseInside = process.env[inside] ?? null;

/** What runs a command inside, for a case; `scratch`: a path for a file. */
export function intoNamespace(scratch: string, command: readonly string[], name: string) {
  const args = ['--net', '--mount', 'sh', '-c', `${setUp}exec "$@"`, scratch, ...command];
  return { command: 'unshare', args, env: { ...process.env, [inside]: name } };
}

/** Why there can be none, or false. */
export function noNamespace(scratch: string): string | false {
  const { command, args } = intoNamespace(scratch, ['true'], '');
  const { status, stderr, error } = spawnSync(command, args, { encoding: 'utf8' });
  if (status === 0) return false;
  return `no network namespace can be made here: ${(error?.message ?? stderr).trim().slice(0, 200)}`;
}

/** Packets sent into the wire since the namespace began. */
export function sunkPackets(): number {
  const line = readFileSync('/proc/net/dev', 'utf8')
    .split('\n')
    .find((each) => each.trim().startsWith(`${wire}:`));
  // Behind the colon: 8 figures of what came, then bytes and packets of what went.
  return Number(line?.split(':')[1]?.trim().split(/\s+/)[9]);
}
