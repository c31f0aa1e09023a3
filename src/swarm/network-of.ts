/** The network that an address is of, for counting: what one party is likely to hold as a whole. */

/** /24 of IPv4, /48 of IPv6; `host` is an IP literal in its one spelling. */
export function networkOf(host: string): string {
  if (!host.includes(':')) return host.slice(0, host.lastIndexOf('.'));
  const head = host.split('::')[0] ?? '';
  return head.split(':').slice(0, 3).join(':');
}
