/** Addresses of peers in reports and logs, as openly as the user wants them there. */
import { normalizeHost } from '../connector.js';
import { networkOf } from './network.js';

export type AddressDisplay = 'full' | 'prefix' | 'none';

/** Of an address, with or without a port: as it is, its network (a /24 or /48), or only that there is one. */
export function shownAddress(address: string, display: AddressDisplay): string {
  if (display === 'full') return address;
  if (display === 'none') return 'a peer';
  const host =
    normalizeHost(address) ?? normalizeHost(address.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1'));
  // A name is of no network.
  if (host === null) return 'a peer';
  return host.includes(':') ? `${networkOf(host)}::/48` : `${networkOf(host)}.0/24`;
}
