/** What one party is likely to hold as a whole: a /24 of IPv4, a /64 of IPv6. */
import { addressScope } from '../connector.js';
import { addressFamily, encodeCompactAddress } from '../wire/compact-address.js';

const PREFIX_BYTES = { ipv4: 3, ipv6: 8 } as const;

/**
 * A key for the network that an address is of. `null` for addresses that are not global: of a private network many
 * honest nodes share one prefix, and nobody outside can forge one.
 */
export function globalPrefix(host: string): string | null {
  if (addressScope(host) !== 'global') return null;
  const bytes = encodeCompactAddress({ host, port: 0 });
  return Buffer.from(bytes.subarray(0, PREFIX_BYTES[addressFamily({ host })])).toString('latin1');
}
