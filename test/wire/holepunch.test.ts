import fc from 'fast-check';
import t from 'tap';
import {
  encodeHolepunchMessage,
  type HolepunchMessage,
  parseHolepunchMessage,
} from '../../src/wire/holepunch.js';

t.test('messages have the form of BEP 55', async (t) => {
  const address = { host: '1.2.3.4', port: 258 };
  const hex = (message: HolepunchMessage) => Buffer.from(encodeHolepunchMessage(message)).toString('hex');
  t.equal(hex({ type: 'rendezvous', address }), '0000010203040102' + '00000000');
  t.equal(hex({ type: 'connect', address }), '0100010203040102' + '00000000');
  t.equal(hex({ type: 'error', address, error: 'no-support' }), '0200010203040102' + '00000003');
  t.equal(
    hex({ type: 'connect', address: { host: '2001:db8::1', port: 1 } }),
    `010120010db8${'00'.repeat(11)}010001${'00'.repeat(4)}`,
  );
});

t.test('what is written is read back', async (t) => {
  const address = { host: '2001:db8::1', port: 6881 };
  const messages: HolepunchMessage[] = [
    { type: 'rendezvous', address },
    { type: 'connect', address: { host: '9.8.7.6', port: 1 } },
    { type: 'error', address, error: 'not-connected' },
    { type: 'error', address, error: null },
  ];
  for (const message of messages) t.same(parseHolepunchMessage(encodeHolepunchMessage(message)), message);
});

t.test('the error may be left out where there is none, as libtorrent does', async (t) => {
  const bytes = encodeHolepunchMessage({ type: 'connect', address: { host: '9.8.7.6', port: 1 } });
  t.match(parseHolepunchMessage(bytes.subarray(0, -4)), { type: 'connect' });
  const error = encodeHolepunchMessage({ type: 'error', address: { host: '9.8.7.6', port: 1 }, error: null });
  t.equal(parseHolepunchMessage(error.subarray(0, -4)), null);
});

t.test('what is no such message is null', async (t) => {
  const good = encodeHolepunchMessage({ type: 'connect', address: { host: '9.8.7.6', port: 1 } });
  const changed = (at: number, byte: number) => good.map((each, i) => (i === at ? byte : each));
  t.equal(parseHolepunchMessage(changed(0, 3)), null, 'type');
  t.equal(parseHolepunchMessage(changed(1, 2)), null, 'family');
  t.equal(parseHolepunchMessage(changed(1, 1)), null, 'too short for its family');
  t.equal(parseHolepunchMessage(changed(7, 0)), null, 'port 0');
  t.equal(parseHolepunchMessage(Buffer.concat([good, good])), null, 'too long');
  t.equal(parseHolepunchMessage(new Uint8Array(0)), null);
});

t.test('any bytes are a message or null', async () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      parseHolepunchMessage(bytes);
    }),
    { numRuns: 500 },
  );
});
