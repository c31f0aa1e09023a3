/** Peers that do harm on purpose, beyond what a `SimHost` can be told: they send what no honest peer would. */
import type { SimHost } from './sim-host.js';
import type { SimLink, SimMessage } from './sim-link.js';

const EVERY_MS = 100;
const MESSAGES = 20;

/** A PEX message with 50 addresses, as `extensions` reads it or not; most ids mean nothing to the other end. */
function pex(random: () => number): Uint8Array {
  const added = Uint8Array.from({ length: 300 }, () => random() * 256);
  return Buffer.concat([Buffer.from('d5:added300:'), added, Buffer.from('e')]);
}

function nonsense(random: () => number, pieces: number): SimMessage {
  const piece = Math.floor(random() * pieces);
  const block = Math.floor(random() * 16);
  const messages: readonly SimMessage[] = [
    { type: 'interested' },
    { type: 'uninterested' },
    { type: 'choke' },
    { type: 'unchoke' },
    { type: 'have', piece },
    { type: 'suggest', piece },
    { type: 'allowedFast', piece },
    { type: 'request', piece, block },
    { type: 'cancel', piece, block },
    { type: 'reject', piece, block },
    { type: 'block', piece, block, good: false },
    { type: 'extension', id: Math.floor(random() * 6), payload: pex(random) },
  ];
  return messages[Math.floor(random() * messages.length)] ?? { type: 'choke' };
}

/** Sends nonsense on all links of a host, all the time until then. */
export function flood(
  host: SimHost,
  options: { random: () => number; pieces: number; untilMs: number },
): void {
  const { clock } = host.network;
  const { random, pieces, untilMs } = options;
  const send = (link: SimLink) => {
    for (let count = 0; count < MESSAGES; count++) link.send(nonsense(random, pieces));
  };
  const go = () => {
    if (host.isDead || clock.nowMs > untilMs) return;
    for (const link of host.links) send(link);
    clock.after(EVERY_MS, go);
  };
  go();
}

/** Links of these hosts break now and then, until that time. */
export function breakLinks(
  hosts: readonly SimHost[],
  options: { random: () => number; everyMs: number; untilMs: number },
): void {
  const { random, everyMs, untilMs } = options;
  const clock = hosts[0]?.network.clock;
  const go = () => {
    if (!clock || clock.nowMs > untilMs) return;
    const links = hosts[Math.floor(random() * hosts.length)]?.links ?? [];
    const link = links[Math.floor(random() * links.length)];
    link?.other?.ended('reset');
    link?.ended('reset');
    clock.after(-Math.log(1 - random()) * everyMs, go);
  };
  go();
}
