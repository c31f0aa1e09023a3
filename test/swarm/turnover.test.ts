import t from 'tap';
import type { Peer } from '../../src/swarm/peer.js';
import { Turnover, whomToEnd } from '../../src/swarm/turnover.js';
import { Partners } from '../helpers/partners.js';

const NOW_MS = 10 * 60_000;
let number = 0;

/** Somebody who came long ago and of late sent or got something: of use, but for what is said. */
function peer(fields: Partial<Peer> = {}): Peer {
  const made = new Partners(() => []).connect({ host: `80.0.0.${++number}`, port: 6881 });
  return Object.assign(made, { peerInterested: true, lastPayloadMs: NOW_MS, ...fields });
}

const idle = (fields: Partial<Peer> = {}) => peer({ peerInterested: false, lastPayloadMs: 0, ...fields });

t.test(
  'the idle go first: nobody is interested, then the lowest priority, then the longest idle',
  async (t) => {
    const waits = idle({ peerInterested: true, priority: 1 });
    const ranked = idle({ priority: 9 });
    const longest = idle({ priority: 5, lastPayloadMs: 1000 });
    const later = idle({ priority: 5, lastPayloadMs: 2000 });
    const order = [longest, later, ranked, waits];
    const left = new Set<Peer>([waits, ranked, later, longest, peer({ priority: 1 })]);
    for (const expected of order) {
      const ended = whomToEnd(left, NOW_MS, 2);
      t.equal(ended, expected);
      if (ended) left.delete(ended);
    }
  },
);

t.test('where all are of use, a newcomer takes the place of whoever has a lower priority', async (t) => {
  const [low, high] = [peer({ priority: 3 }), peer({ priority: 7 })];
  t.equal(whomToEnd([high, low], NOW_MS, 5), low);
  t.equal(whomToEnd([high, low], NOW_MS, 3), null, 'nobody makes room for an equal');
  t.equal(whomToEnd([high, low], NOW_MS), null, 'nor without a newcomer');
});

t.test('nobody goes who has something for us, came just now, or is a web seed', async (t) => {
  const kept = [
    peer({ interested: true }),
    peer({ openedAtMs: NOW_MS - 1000 }),
    idle({ openedAtMs: NOW_MS - 1000 }),
    peer({ isWebSeed: true }),
    idle({ isClosing: true }),
    idle({ isOpen: false }),
  ];
  t.equal(whomToEnd(kept, NOW_MS, 5), null);
});

t.test('of connections that are 90 % used, 4 % are ended in 5 minutes', async (t) => {
  const turnover = new Turnover(100);
  t.notOk(turnover.mayEnd(89, NOW_MS));
  for (let ended = 0; ended < 4; ended++) {
    t.ok(turnover.mayEnd(90, NOW_MS));
    turnover.ended();
  }
  t.notOk(turnover.mayEnd(100, NOW_MS));
  t.ok(turnover.mayEnd(100, NOW_MS + 75_000));
});
