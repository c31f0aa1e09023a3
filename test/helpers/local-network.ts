/** A local network of its own for a test: a network namespace with one interface that has an address of each family. */
import { spawnSync } from 'node:child_process';
import type { Test } from 'tap';
import { Program } from './program.js';

const setUp = `
ip link set lo up &&
ip link add lan0 type veth peer name lan1 && ip link set lan1 up && ip link set lan0 up &&
ip addr add 192.168.77.1/24 dev lan0 && ip addr add fd77::1/64 dev lan0 nodad && ip route add default via 192.168.77.254`;

/** For tap's `skip`. */
export const noLocalNetwork: string | false =
  spawnSync('unshare', ['-rn', 'sh', '-c', setUp], { stdio: 'ignore' }).status !== 0 &&
  'no network namespace with a veth pair may be made here (unshare -rn, ip)';

/** The host part of its one IPv4 address, at which every program in it listens. */
export const LAN_HOST = '192.168.77.1';

export class LocalNetwork {
  readonly #t: Test;
  readonly #pid: number;

  private constructor(t: Test, pid: number) {
    this.#t = t;
    this.#pid = pid;
  }

  /** Makes it; it goes with the test. */
  static async make(t: Test): Promise<LocalNetwork> {
    const holder = new Program(t, 'unshare', ['-rn', 'sh', '-c', `${setUp} && echo up && exec cat`]);
    await holder.printed(/^up$/m);
    return new LocalNetwork(t, holder.child.pid ?? 0);
  }

  /** Starts a program in it. */
  start(command: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): Program {
    const inside = ['-t', String(this.#pid), '-U', '-n', '--preserve-credentials', command, ...args];
    return new Program(this.#t, 'nsenter', inside, { env });
  }
}
