/** The network that an address is of: what one party is likely to hold as a whole. */
import { addressScope } from '../connector.js';

const GROUPS = 8;

/** A /24 of IPv4, a /48 of IPv6: for counting, and for showing no more of an address. In its short spelling, without zeros at its end. */
export function networkOf(host: string): string {
  return host.includes(':') ? firstGroups(host, 3) : host.slice(0, host.lastIndexOf('.'));
}

/**
 * A /24 of IPv4, a /64 of IPv6: the least that somebody is given. `null` for addresses that are not global: of a private
 * network many honest nodes share one prefix, and nobody outside can forge one.
 */
export function globalPrefix(host: string): string | null {
  if (addressScope(host) !== 'global') return null;
  return host.includes(':') ? firstGroups(host, 4) : networkOf(host);
}

/** Of an IPv6 address in its one spelling. */
function firstGroups(host: string, count: number): string {
  const [head = [], tail = []] = host.split('::').map((part) => (part === '' ? [] : part.split(':')));
  const zeros = Array<string>(Math.max(0, GROUPS - head.length - tail.length)).fill('0');
  return [...head, ...zeros, ...tail]
    .slice(0, count)
    .join(':')
    .replace(/(?::0)+$/, '');
}
