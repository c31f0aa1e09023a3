/** The interfaces of this machine on which others may be near, and who is near on each. */
import { BlockList, isIPv4 } from 'node:net';
import type { NetworkInterfaceInfo } from 'node:os';
import { isLoopback, normalizeHost } from '../connector.js';
import type { AddressFamily } from '../wire/compact-address.js';

export interface LocalInterface {
  readonly name: string;
  readonly family: AddressFamily;
  /** An address of ours there. */
  readonly local: string;
  /** The networks that our addresses there are of. */
  readonly subnets: BlockList;
}

export type InterfaceTable = Readonly<Record<string, readonly NetworkInterfaceInfo[] | undefined>>;

/**
 * Those by which peers reach what listens on a host: all but loopback for the unspecified address, loopback alone for a
 * loopback address, and else the one that has it.
 */
export function localInterfaces(table: InterfaceTable, listenHost: string): LocalInterface[] {
  const found: LocalInterface[] = [];
  const host = normalizeHost(listenHost) ?? listenHost;
  for (const [name, infos = []] of Object.entries(table)) {
    for (const family of ['ipv4', 'ipv6'] as const) {
      // Peers at link-local addresses cannot be dialled without naming an interface: such an address tells nothing.
      const own = infos.filter((info) => familyOf(info) === family && !/^fe[89ab]/i.test(info.address));
      const heard = own.filter(({ address, internal }) => hears(host, family, address, internal));
      const [first] = heard;
      if (!first) continue;
      const subnets = new BlockList();
      for (const { cidr } of heard) {
        const [network = '', bits = ''] = cidr?.split('/') ?? [];
        if (network !== '' && bits !== '') subnets.addSubnet(network, Number(bits), family);
      }
      found.push({ name, family, local: first.address, subnets });
    }
  }
  return found;
}

/** Whether an address is of the networks of an interface. */
export function isNear({ subnets, family }: LocalInterface, host: string): boolean {
  return (isIPv4(host) ? 'ipv4' : 'ipv6') === family && subnets.check(host, family);
}

function familyOf({ family }: NetworkInterfaceInfo): AddressFamily {
  return family === 'IPv4' ? 'ipv4' : 'ipv6';
}

function hears(host: string, family: AddressFamily, address: string, internal: boolean): boolean {
  if (isLoopback(host)) return internal && (isIPv4(host) ? 'ipv4' : 'ipv6') === family;
  if (internal) return false;
  if (host === '0.0.0.0') return family === 'ipv4';
  return host === '::' || normalizeHost(address) === host;
}
