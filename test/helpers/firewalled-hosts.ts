/** Programs on hosts of a network of their own, some behind firewalls (see firewalled_hosts.py). */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Test } from 'tap';
import { python } from './libtorrent.js';
import { Program } from './program.js';

const script = fileURLToPath(new URL('firewalled_hosts.py', import.meta.url));

export interface Host {
  /** IPv4, of the one network that all are in: a /24. */
  readonly address: string;
  /** Lets in only answers. */
  readonly firewall: boolean;
  readonly command: readonly string[];
}

/** For tap's `skip`: why hosts cannot be had, or `false`. */
export const noHosts: string | false =
  spawnSync('unshare', ['-rn', 'test', '-w', '/dev/net/tun']).status !== 0 &&
  'no network namespace may be made here';

/** Starts them all; what each prints is a line behind its name. */
export function startHosts(
  t: Test,
  hosts: Readonly<Record<string, Host>>,
  env: Readonly<Record<string, string>> = {},
): Program {
  return new Program(t, 'unshare', ['-rn', python, '-BW', 'ignore', script, JSON.stringify(hosts)], { env });
}
