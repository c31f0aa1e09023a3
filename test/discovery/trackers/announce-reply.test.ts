/** What trackers answer, and what they had better not. */
import fc from 'fast-check';
import t from 'tap';
import { type Encodable, encode } from '../../../src/bencode.js';
import { I2P_PORT, i2pHashName } from '../../../src/connector/i2p-address.js';
import { MAX_PEERS, parseAnnounceReply } from '../../../src/discovery/trackers/announce-reply.js';
import { announceUrl } from '../../../src/discovery/trackers/http-tracker.js';
import { parseScrapeReply } from '../../../src/discovery/trackers/scrape.js';
import { parseTrackerUrl, scrapeUrl } from '../../../src/discovery/trackers/tracker-url.js';

const reply = (fields: Record<string, Encodable>) =>
  parseAnnounceReply(encode(new Map(Object.entries(fields))));
const text = (body: string) => parseAnnounceReply(Buffer.from(body, 'latin1'));

t.test('BEP 3, 7, 23, 24: peers of both families, counts, intervals and where we are seen', async (t) => {
  const six = Uint8Array.from([0x20, 1, 0xd, 0xb8, ...new Array<number>(11).fill(0), 7, 0x1a, 0xe1]);
  const read = reply({
    complete: 3,
    incomplete: 4,
    interval: 900,
    'min interval': 300,
    peers: Uint8Array.of(1, 2, 3, 4, 0x1a, 0xe1, 5, 6, 7, 8, 0, 0),
    peers6: six,
    'tracker id': 'abc',
    'external ip': Uint8Array.of(9, 9, 9, 9),
    'warning message': 'soon\ngone\u0007',
  });
  t.match(read, {
    failure: null,
    intervalMs: 900_000,
    minIntervalMs: 300_000,
    seeds: 3,
    leechers: 4,
    warning: 'soon gone',
    trackerId: Buffer.from('abc'),
    externalAddress: Uint8Array.of(9, 9, 9, 9),
  });
  t.same(read.failure === null && read.peers, [
    { host: '1.2.3.4', port: 6881 },
    { host: '2001:db8::7', port: 6881 },
  ]);
});

t.test('peers as dictionaries, of which names are passed over; keys in any order', async (t) => {
  const read = text('d5:peersld4:porti6881e2:ip7:1.2.3.4ed2:ip9:localhost4:porti1eee8:intervali60ee');
  t.same(read.failure === null && read.peers, [{ host: '1.2.3.4', port: 6881 }]);
  t.match(text('d8:intervali60e8:intervali61e5:peers0:e'), { of: 'tracker' }, 'a key twice');
});

t.test(
  'of I2P there are hashes, or dictionaries with destinations and names; ports mean nothing',
  async (t) => {
    const of = (peers: Encodable) => {
      const fields = new Map<string, Encodable>([
        ['interval', 1800],
        ['peers', peers],
      ]);
      const read = parseAnnounceReply(encode(fields), 200, 'i2p');
      return read.failure === null ? read.peers : read.failure;
    };
    const name = i2pHashName(Buffer.alloc(32, 1));
    t.same(of(Buffer.alloc(32 + 31, 1)), [{ host: name, port: I2P_PORT }], 'a torn hash is passed over');
    const dictionary = (ip: string) => new Map([['ip', ip]]);
    t.same(of([dictionary(name), dictionary('1.2.3.4'), dictionary('peer.example'), 'x']), [
      { host: name, port: I2P_PORT },
    ]);
    t.equal(of(Buffer.alloc(32 * 1000, 1)).length, MAX_PEERS);
    t.same(of(Array.from({ length: 300 }, () => dictionary(name))).length, MAX_PEERS);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (body) => void parseAnnounceReply(body, 200, 'i2p')),
    );
  },
);

t.test('BEP 31: a failure says when to come again', async (t) => {
  t.match(reply({ 'failure reason': 'no' }), { failure: 'no', of: 'torrent', retryMs: null });
  t.match(reply({ 'failure reason': 'no', 'retry in': 5 }), { retryMs: 300_000 });
  t.match(reply({ 'failure reason': 'no', 'retry in': 'never' }), { retryMs: Number.POSITIVE_INFINITY });
  t.match(reply({ 'failure reason': 'no', 'retry in': 1e9 }), { retryMs: 24 * 3_600_000 });
  t.match(reply({ 'failure reason': 7 }), { failure: 'no reason given' });
});

t.test('what is no answer of a tracker is a failure, and nothing drives us', async (t) => {
  for (const body of [
    '<html>',
    '',
    'd',
    'de',
    'le',
    'i1e',
    'd5:peersi1ee',
    `${'l'.repeat(50)}${'e'.repeat(50)}`,
  ]) {
    t.match(text(body), { of: 'tracker' }, body);
  }
  t.match(parseAnnounceReply(Buffer.from('busy'), 503), { of: 'host' });
  t.match(parseAnnounceReply(Buffer.from('gone'), 404), { of: 'tracker', failure: 'HTTP status 404' });
  t.match(reply({ interval: 0, peers: '' }), { intervalMs: 60_000 });
  t.match(reply({ interval: 1e12, peers: '' }), { intervalMs: 6 * 3_600_000 });
  t.match(reply({ interval: -5, peers: '' }), { intervalMs: 30 * 60_000 });
  const many = reply({ interval: 1800, peers: Buffer.alloc(6 * 5000, 1) });
  t.equal(many.failure === null && many.peers.length, MAX_PEERS);
});

t.test('whatever the bytes are, an answer is read or refused', async () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (body) => void parseAnnounceReply(body)));
  const anything = fc.oneof(fc.integer(), fc.string(), fc.uint8Array({ maxLength: 40 }));
  const fields = ['interval', 'peers', 'peers6', 'failure reason', 'retry in', 'external ip', 'tracker id'];
  fc.assert(
    fc.property(fc.dictionary(fc.constantFrom(...fields), anything), (dict) => {
      const read = reply(dict);
      return read.failure !== null || (read.intervalMs >= 60_000 && read.peers.length <= 2 * MAX_PEERS);
    }),
  );
});

t.test('BEP 48: counts by infohash, and where they are asked for', async (t) => {
  const name = 'a'.repeat(20);
  const counts = new Map([
    ['complete', 1],
    ['downloaded', 2],
    ['incomplete', 3],
  ]);
  const files = new Map([[name, counts]]);
  const read = parseScrapeReply(encode(new Map([['files', files]])));
  t.same(read?.get(name), { seeds: 1, completed: 2, leechers: 3 });
  t.equal(parseScrapeReply(Buffer.from('<html>')), null);
  t.equal(scrapeUrl('http://h/x/announce.php?passkey=1'), 'http://h/x/scrape.php?passkey=1');
  t.equal(scrapeUrl('http://h/a'), null);
  t.equal(scrapeUrl('http://h/announce/x'), null);
});

t.test('an announcement escapes each byte, and a URL that speaks for us is not asked', async (t) => {
  const common = { peerId: Buffer.from('-BS0010-abcdefghijkl'), key: 255, port: 1, uploadedBytes: 2 ** 40 };
  const counts = {
    downloadedBytes: 0,
    leftBytes: 1,
    event: null,
    numWant: 0,
    trackerId: Uint8Array.of(0, 38),
  };
  const name = `\0\xff &=${'a'.repeat(15)}`;
  const url = announceUrl('http://h/announce?p=1', { ...common, ...counts, name });
  t.match(url, /^http:\/\/h\/announce\?p=1&info_hash=%00%FF%20%26%3Da{15}&peer_id=-BS0010-abcdefghijkl&/);
  t.match(url, /&uploaded=1099511627776&.*&key=000000ff&trackerid=%00%26$/);
  t.match(parseTrackerUrl('UDP://Tracker.Example:80/announce?x#y'), {
    scheme: 'udp',
    hostname: 'tracker.example',
    port: 80,
    target: '/announce?x',
  });
  t.match(parseTrackerUrl('https://[::1]/announce'), {
    hostname: '::1',
    port: 443,
    shown: 'https://[::1]:443',
  });
  for (const wrong of [
    'udp://tracker.example/announce',
    'wss://tracker.example/',
    'file:///etc/passwd',
    'http://h/announce?info_hash=x',
    'http://h/announce?port=1',
    'udp://h%0a:1/',
    'nonsense',
    `http://h/${'a'.repeat(3000)}`,
  ]) {
    t.equal(parseTrackerUrl(wrong), null, wrong.slice(0, 60));
  }
});
