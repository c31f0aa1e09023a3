import t from 'tap';
import { DialPolicy } from '../../src/connector.js';
import { PeerExchange } from '../../src/swarm/peer-exchange.js';
import { encodePexMessage, type PexPeer, parsePexMessage } from '../../src/wire/pex.js';
import { Partners } from '../helpers/partners.js';

const MINUTE_MS = 60_000;
const HERE = { host: '80.0.0.1', port: 6881 };
const at = (number: number, port = 6881) => ({ host: `90.${number >> 8}.${number & 255}.1`, port });
const message = (hosts: readonly string[], port = 6881) =>
  encodePexMessage({ added: hosts.map((host) => ({ address: { host, port }, flags: {} })), dropped: [] });

function bench(dialPolicy = new DialPolicy()) {
  const learnt: PexPeer[] = [];
  const partners = new Partners(({ byLink }) => [
    new PeerExchange({ peers: byLink, dialPolicy, learnt: (peer) => learnt.push(peer) }),
    { name: 'ut_holepunch', maxBytes: 0, onMessage: () => null },
  ]);
  /** What a peer was told at a time: hosts added and dropped. */
  const told = (link: number) => {
    const messages = partners.sent.filter((sent) => sent.link === link && sent.id === 12);
    partners.sent.length = 0;
    return messages.map(({ payload }) => {
      const read = parsePexMessage(payload);
      return {
        added: read?.added.map(({ address }) => address.host) ?? [],
        dropped: read?.dropped.map(({ host }) => host) ?? [],
        flags: read?.added.map(({ flags }) => flags) ?? [],
      };
    });
  };
  return { partners, learnt, told };
}

t.test('a peer is told of the others, then once a minute of what changed', async (t) => {
  const { partners, told } = bench();
  const first = partners.meet(HERE);
  partners.extensions.tick(0);
  t.same(told(first.link), [], 'nobody else is there');
  const second = partners.meet(at(2));
  partners.meet(at(3));
  partners.extensions.tick(6000);
  t.match(told(first.link), [{ added: [at(2).host, at(3).host], dropped: [] }]);
  partners.leave(second);
  partners.meet(at(4));
  partners.extensions.tick(MINUTE_MS);
  t.same(told(first.link), [], 'a minute has not passed');
  partners.extensions.tick(6000 + MINUTE_MS);
  t.match(told(first.link), [{ added: [at(4).host], dropped: [at(2).host] }]);
  partners.extensions.tick(10 * MINUTE_MS);
  t.same(told(first.link), [], 'nothing changed');
});

t.test('the first message tells of 100 peers, others of 50, and all of them of 200', async (t) => {
  const { partners, told } = bench();
  const first = partners.meet(HERE);
  for (let number = 1; number <= 300; number++) partners.connect(at(number));
  const counts = [0, 1, 2, 3, 4].map((minute) => {
    partners.extensions.tick(minute * MINUTE_MS);
    return told(first.link)[0]?.added.length ?? 0;
  });
  t.same(counts, [100, 50, 50, 0, 0]);
});

t.test('what is said of a peer: who it is connected to and how', async (t) => {
  const { partners, told } = bench();
  const first = partners.meet(HERE);
  const seed = partners.connect(at(1), { incoming: true });
  seed.uploadOnly = true;
  seed.transport = 'utp';
  const second = partners.meet(at(2));
  partners.handshake(second.peer, [['e', 1]]);
  const encrypted = partners.connect(at(6));
  encrypted.encrypted = true;
  partners.connect(at(3)).isOpen = false;
  partners.connect(at(4)).isClosing = true;
  partners.connect(at(5)).known = null;
  partners.extensions.tick(0);
  t.match(told(first.link), [
    {
      added: [at(1).host, at(2).host, at(6).host],
      flags: [
        { prefersEncryption: false, seed: true, utp: true, holepunch: false, reachable: false },
        { prefersEncryption: true, seed: false, utp: false, holepunch: true, reachable: true },
        { prefersEncryption: true, seed: false, utp: false, holepunch: false, reachable: true },
      ],
    },
  ]);
});

t.test('addresses of one machine or network stay in it', async (t) => {
  const { partners, told, learnt } = bench(new DialPolicy({ listening: { host: '127.0.0.1', port: 1 } }));
  const outside = partners.meet(HERE);
  const near = partners.meet({ host: '192.168.1.2', port: 6881 });
  const local = partners.meet({ host: '127.0.0.2', port: 6881 });
  partners.extensions.tick(0);
  const sent = [...partners.sent];
  const toldOf = (link: number) => {
    partners.sent.push(...sent);
    return told(link)[0]?.added;
  };
  t.same(toldOf(outside.link), undefined);
  t.same(toldOf(near.link), [HERE.host]);
  t.same(toldOf(local.link), [HERE.host, '192.168.1.2']);
  const every = [
    '127.0.0.9',
    '10.1.2.3',
    '172.16.0.1',
    '100.64.0.1',
    '169.254.1.1',
    '0.0.0.0',
    '224.0.0.1',
    '8.8.8.8',
  ];
  partners.tell(outside, 'ut_pex', message([...every, 'fe80::1', 'fd00::1', '::1', 'ff02::1']));
  t.same(
    learnt.map(({ address }) => address.host),
    ['8.8.8.8'],
    'a stranger tells of the outside only',
  );
  learnt.length = 0;
  partners.tell(near, 'ut_pex', message(every));
  t.same(
    learnt.map(({ address }) => address.host),
    ['10.1.2.3', '172.16.0.1', '100.64.0.1', '8.8.8.8'],
  );
});

t.test('whoever tells too often is not heard, then closed', async (t) => {
  const { partners, learnt } = bench();
  const peer = partners.meet(HERE);
  const say = (number: number, nowMs: number) =>
    partners.tell(peer, 'ut_pex', message([at(number).host]), nowMs);
  for (let number = 0; number < 13; number++) t.equal(say(number, 0), null);
  t.equal(learnt.length, 3);
  t.match(say(13, 0), { reason: 'flood' });
});

t.test('once a minute is heard for ever', async (t) => {
  const { partners, learnt } = bench();
  const peer = partners.meet(HERE);
  for (let minute = 0; minute < 60; minute++) {
    // Its clock runs a tenth too fast.
    t.equal(partners.tell(peer, 'ut_pex', message([at(minute).host]), minute * 54_000), null);
  }
  t.equal(learnt.length, 60);
});

t.test('one liar cannot fill the book, nor point us at one victim', async (t) => {
  const { partners, learnt } = bench();
  const flood = (from: number, hosts: (n: number) => { host: string; port: number }) => {
    learnt.length = 0;
    for (let at = 0; at < 10; at++) {
      // It comes back with a new connection each time.
      const peer = partners.meet({ host: `70.0.0.${from}`, port: 1 });
      const added = Array.from({ length: 100 }, (_, n) => ({ address: hosts(100 * at + n), flags: {} }));
      partners.tell(peer, 'ut_pex', encodePexMessage({ added, dropped: [] }));
      partners.leave(peer);
    }
    return learnt.length;
  };
  t.equal(
    flood(1, (n) => at(n)),
    200,
    'of one teller',
  );
  t.equal(
    flood(2, (n) => ({ host: `60.0.0.${n % 256}`, port: 1000 + n })),
    32,
    'in one network',
  );
  t.equal(
    flood(3, (n) => ({ host: '50.0.0.1', port: 1000 + n })),
    8,
    'of one host',
  );
});

t.test('what is no peer exchange closes the link', async (t) => {
  const { partners } = bench();
  const peer = partners.meet(HERE);
  t.match(partners.tell(peer, 'ut_pex', Buffer.from('d5:added1:xe')), { reason: 'bad-message' });
  t.match(partners.tell(peer, 'ut_pex', new Uint8Array(20_000)), { reason: 'bad-message' }, 'a huge one');
});
