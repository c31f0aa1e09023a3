/** The gateway of the default route, as Linux tells it. */
import { readFile } from 'node:fs/promises';

const ROUTES = '/proc/net/route';
/** RTF_UP and RTF_GATEWAY. */
const UP_AND_GATEWAY = 0x3;

/** The IPv4 gateway with the least metric; null when there is none, or the system does not say. */
export async function defaultGateway(path = ROUTES): Promise<string | null> {
  const text = await readFile(path, 'latin1').catch(() => '');
  return parseDefaultGateway(text);
}

/** `text` is `/proc/net/route`: addresses are hex in the machine's byte order, which is little-endian. */
export function parseDefaultGateway(text: string): string | null {
  let best: { readonly host: string; readonly metric: number } | null = null;
  for (const line of text.split('\n').slice(1)) {
    const [, destination, gateway = '', flags = '', , , metricText, mask] = line.split('\t');
    if (destination !== '00000000' || mask !== '00000000' || !/^[0-9A-F]{8}$/.test(gateway)) continue;
    if ((Number.parseInt(flags, 16) & UP_AND_GATEWAY) !== UP_AND_GATEWAY) continue;
    const metric = Number(metricText);
    const host = [...Buffer.from(gateway, 'hex')].reverse().join('.');
    if (best === null || metric < best.metric) best = { host, metric };
  }
  return best?.host ?? null;
}
