/** Addresses of peers in reports and logs, as openly as the user wants them there. */
import { networkOf, normalizeHost, parsePeerAddress } from '../connector.js';

export type AddressDisplay = 'full' | 'prefix' | 'none';

/** Of an IP literal, with or without a port: as it is, its network (a /24 or /48), or only that there is one. */
export function shownAddress(address: string, display: AddressDisplay): string {
  if (display === 'full') return address;
  if (display === 'none') return 'a peer';
  const host = normalizeHost(address) ?? parsePeerAddress(address).host;
  return host.includes(':') ? `${networkOf(host)}::/48` : `${networkOf(host)}.0/24`;
}
