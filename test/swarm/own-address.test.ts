import t from 'tap';
import { ExternalAddress } from '../../src/discovery/external-address.js';
import { OwnAddress } from '../../src/swarm/own-address.js';
import { PeerBook } from '../../src/swarm/peer-book.js';
import { peerPriority } from '../../src/swarm/peer-priority.js';

const HERE = { host: '123.213.32.10', port: 6881 };
const bytes = (host: string) => Uint8Array.from(host.split('.'), Number);

t.test('without an address of our own nobody is preferred', async (t) => {
  const peer = { host: '98.76.54.32', port: 6881 };
  t.equal(new OwnAddress(() => HERE.port).priority(peer), 0, 'nobody counts');
  const own = new OwnAddress(() => HERE.port, new ExternalAddress());
  t.equal(own.priority(peer), 0, 'nobody has said anything');
  own.heard('90.0.0.1', bytes(HERE.host));
  t.equal(own.priority(peer), 0, 'one alone may lie');
  own.heard('91.0.0.1', bytes(HERE.host));
  t.equal(own.priority(peer), peerPriority(HERE, peer));
  t.equal(own.priority({ host: '2001:db8::1', port: 1 }), 0, 'of the other family nothing is known');
});

t.test('among equals the higher priority is dialled first, and anew when our address changes', async (t) => {
  const own = new OwnAddress(() => HERE.port, new ExternalAddress());
  const book = new PeerBook({ random: () => 0.5, own });
  const peers = Array.from({ length: 20 }, (_, at) => ({ host: `${50 + at}.1.2.3`, port: 6881 }));
  for (const peer of peers) book.add(peer, 'dht', 0);
  t.equal(
    book.next(1, () => true)?.address.host,
    peers[0]?.host,
    'in the order of coming while nothing is known',
  );
  for (const host of [HERE.host, '66.77.88.99']) {
    for (let network = 1; network < 20; network++) own.heard(`90.${network}.0.1`, bytes(host));
    const [best] = [...peers].sort(
      (a, b) => peerPriority({ ...HERE, host }, b) - peerPriority({ ...HERE, host }, a),
    );
    t.equal(book.next(1, () => true)?.address.host, best?.host);
  }
});

t.test('who was met before comes behind who was not', async (t) => {
  const book = new PeerBook({ random: () => 0.5 });
  const [old, fresh] = [1, 2].map((at) => book.add({ host: `5.0.0.${at}`, port: 1 }, 'dht', 0));
  if (!old || !fresh) throw new Error('the book is full');
  book.opened(old, 1);
  book.closed(old, 2);
  t.equal(
    book.next(1_000_000, () => true),
    fresh,
  );
});
