/** The UDP protocol (BEP 15, 41), and trackers that answer late, wrongly or not at all. */
import fc from 'fast-check';
import t from 'tap';
import type { Announce } from '../../../src/discovery/trackers/announce.js';
import {
  encodeAnnounce,
  encodeConnect,
  readAnnounce,
  readConnect,
  readScrape,
} from '../../../src/discovery/trackers/udp-packets.js';
import { UdpTracker } from '../../../src/discovery/trackers/udp-tracker.js';

const announce: Announce = {
  name: 'n'.repeat(20),
  peerId: Buffer.alloc(20, 'p'),
  key: 0x01020304,
  port: 6881,
  uploadedBytes: 1,
  downloadedBytes: 2,
  leftBytes: 3,
  event: 'started',
  numWant: 50,
  trackerId: null,
};
const place = { hostname: 'tracker.example', port: 80, target: '/announce?k', asked: false };
const address = { host: '192.0.2.1', port: 80 };

/** A tracker that answers each request with the datagrams that it is told to. */
function scene(answer: (request: Buffer, number: number) => readonly Uint8Array[]) {
  const requests: Buffer[] = [];
  const tracker: UdpTracker = new UdpTracker({
    network: {
      get: () => Promise.reject(new Error('not here')),
      askUdp: (request, to) => {
        const bytes = Buffer.from(request);
        requests.push(bytes);
        setImmediate(() =>
          tracker.deliver(answer(bytes, requests.length).map((payload) => ({ ...to, payload }))),
        );
        return true;
      },
      i2p: null,
      resolve: async () => [address],
      mayAsk: () => true,
    },
    clock: () => performance.now(),
    charged: () => {},
    firstTimeoutMs: 20,
  });
  const { signal } = new AbortController();
  return {
    requests,
    ask: (event = announce.event) => tracker.announce(place, { ...announce, event }, 4, signal),
  };
}

const words = (...numbers: number[]) => {
  const bytes = Buffer.alloc(4 * numbers.length);
  for (const [at, number] of numbers.entries()) bytes.writeUInt32BE(number, 4 * at);
  return bytes;
};
const transactionOf = (request: Buffer) => request.readUInt32BE(12);

/** Connects, and answers announcements. */
const good = (request: Buffer) =>
  request.readUInt32BE(8) === 0
    ? [words(0, transactionOf(request), 7, 8)]
    : [Buffer.concat([words(1, transactionOf(request), 1800, 2, 3), Uint8Array.of(1, 2, 3, 4, 0, 9)])];

t.test('BEP 15: a connection id is got once, and what is announced is where it belongs', async (t) => {
  const { requests, ask } = scene(good);
  t.match(await ask(), {
    failure: null,
    intervalMs: 1_800_000,
    leechers: 2,
    seeds: 3,
    peers: [{ host: '1.2.3.4', port: 9 }],
    from: '192.0.2.1',
  });
  await ask();
  t.equal(requests.length, 3);
  const [connect, first] = requests;
  t.equal(connect?.toString('hex', 0, 12), '000004172710198000000000');
  t.same(first?.subarray(0, 8), words(7, 8));
  t.equal(first?.toString('latin1', 16, 36), announce.name);
  t.equal(first?.readUInt32BE(80), 2, 'started');
  t.equal(first?.readUInt16BE(96), 6881);
  // BEP 41
  t.equal(first?.toString('latin1', 98), '\x02\x0b/announce?k');
});

t.test('a datagram that is lost is sent again, so often and no more', async (t) => {
  const lossy = scene((request, number) => (number === 1 || number === 3 ? [] : good(request)));
  t.match(await lossy.ask(), { failure: null });
  const silent = scene(() => []);
  t.match(await silent.ask(), { failure: 'no answer', of: 'host' });
  t.equal(silent.requests.length, 3);
  const farewell = scene(() => []);
  await farewell.ask('stopped');
  t.equal(farewell.requests.length, 1);
});

t.test('errors are of the torrent; that a connection id is not known is mended', async (t) => {
  const error = (request: Buffer, message: string) => [
    Buffer.concat([words(3, transactionOf(request)), Buffer.from(message)]),
  ];
  const refusing = scene((request) =>
    request.readUInt32BE(8) === 0 ? good(request) : error(request, 'go\x07 away'),
  );
  t.match(await refusing.ask(), { failure: 'go away', of: 'torrent' });
  const forgetful = scene((request, number) =>
    number === 2 ? error(request, 'Connection ID missmatch.') : good(request),
  );
  t.match(await forgetful.ask(), { failure: null });
  t.equal(forgetful.requests.length, 4);
});

t.test('answers to other requests, cut ones and those of another kind are none', async (t) => {
  const wrong = scene((request) => [
    words(0, (transactionOf(request) ^ 1) >>> 0, 7, 8),
    words(0),
    Buffer.alloc(0),
  ]);
  t.match(await wrong.ask(), { failure: 'no answer' });
  const short = scene((request) => [words(0, transactionOf(request), 7)]);
  t.match(await short.ask(), { failure: 'no answer' });
});

t.test('whatever a datagram holds, it is read or refused', async () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), (payload) => {
      readConnect(payload);
      readAnnounce(payload, 4);
      readAnnounce(payload, 6);
      readScrape(payload, ['a'.repeat(20), 'b'.repeat(20)]);
    }),
  );
});

t.test('IPv6 peers have 18 bytes, and a long path goes in parts', async (t) => {
  const payload = Buffer.concat([words(1, 1, 60, 0, 1), Buffer.alloc(15), Uint8Array.of(1, 0, 9)]);
  const read = readAnnounce(payload, 6);
  t.same(read?.failure === null && read.value.peers, [{ host: '::1', port: 9 }]);
  t.equal(encodeConnect(1).length, 16);
  const long = encodeAnnounce(Buffer.alloc(8), 1, announce, `/${'a'.repeat(299)}`);
  t.equal(long.length, 98 + 300 + 4);
});
