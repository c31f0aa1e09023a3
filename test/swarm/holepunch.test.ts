import t from 'tap';
import { DialPolicy, formatPeerAddress } from '../../src/connector.js';
import { Holepunch } from '../../src/swarm/holepunch.js';
import {
  encodeHolepunchMessage,
  type HolepunchMessage,
  parseHolepunchMessage,
} from '../../src/wire/holepunch.js';
import { Partners } from '../helpers/partners.js';

const at = (number: number) => ({ host: `90.0.0.${number}`, port: 6881 });

function bench() {
  const dialled: string[] = [];
  let punch!: Holepunch;
  const partners = new Partners((here) => {
    punch = new Holepunch({
      dialPolicy: new DialPolicy(),
      partners: () => here.extensions.partners,
      dial: (address) => dialled.push(formatPeerAddress(address)),
    });
    return [punch];
  });
  const say = (from: Parameters<Partners['tell']>[0], message: HolepunchMessage, nowMs = 0) =>
    partners.tell(from, 'ut_holepunch', encodeHolepunchMessage(message), nowMs);
  const sent = () =>
    partners.taken('ut_holepunch').map(({ link, payload }) => ({ link, ...parseHolepunchMessage(payload) }));
  return { partners, punch, dialled, say, sent };
}

t.test('as relay, two peers are told to dial each other', async (t) => {
  const { partners, say, sent, dialled } = bench();
  const [one, two] = [partners.meet(at(1)), partners.meet(at(2))];
  say(one, { type: 'rendezvous', address: at(2) });
  t.same(sent(), [
    { link: two.link, type: 'connect', address: at(1) },
    { link: one.link, type: 'connect', address: at(2) },
  ]);
  t.same(dialled, []);
});

t.test('a relay says why it will not', async (t) => {
  const { partners, say, sent } = bench();
  const one = partners.meet(at(1));
  partners.meet(at(2), 0, { without: ['ut_holepunch'] });
  partners.meet({ host: '192.168.0.7', port: 6881 });
  const answer = (address: { host: string; port: number }) => {
    say(one, { type: 'rendezvous', address });
    return sent();
  };
  const { link } = one;
  t.same(answer(at(3)), [{ link, type: 'error', address: at(3), error: 'not-connected' }]);
  t.same(answer(at(2)), [{ link, type: 'error', address: at(2), error: 'no-support' }]);
  t.same(answer(at(1)), [{ link, type: 'error', address: at(1), error: 'no-self' }]);
  t.match(answer({ host: '224.0.0.1', port: 1 }), [{ error: 'no-such-peer' }]);
  t.match(
    answer({ host: '192.168.0.7', port: 6881 }),
    [{ error: 'no-such-peer' }],
    'in our network, not in its',
  );
  // Met by a name that a proxy or I2P knows: no message has a place for it.
  const named = partners.meet({ host: `${'a'.repeat(52)}.b32.i2p`, port: 6881 });
  partners.meet(at(4));
  say(named, { type: 'rendezvous', address: at(4) });
  t.match(sent(), [{ link: named.link, type: 'error', error: 'no-such-peer' }]);
});

t.test('as initiator, the peer that told of an address is asked when it cannot be dialled', async (t) => {
  const { partners, punch, sent } = bench();
  const relay = partners.meet(at(1));
  punch.dialFailed(at(5), 0);
  t.same(sent(), [], 'nobody told of it');
  punch.learnt(at(5), relay);
  punch.dialFailed(at(5), 0);
  punch.dialFailed(at(5), 60_000);
  t.same(sent(), [{ link: relay.link, type: 'rendezvous', address: at(5) }], 'once in ten minutes');
  partners.leave(relay);
  punch.dialFailed(at(5), 3_600_000);
  t.same(sent(), [], 'the relay is gone');
});

t.test('as target, whom the relay names is dialled', async (t) => {
  const { partners, say, dialled } = bench();
  const relay = partners.meet(at(1));
  say(relay, { type: 'connect', address: at(5) });
  t.same(dialled, [formatPeerAddress(at(5))]);
  for (const host of ['127.0.0.1', '192.168.1.1', '224.0.0.1']) {
    say(relay, { type: 'connect', address: { host, port: 80 } });
  }
  say(relay, { type: 'connect', address: at(1) });
  t.equal(dialled.length, 1, 'not our own network, and nobody who is here');
});

t.test('nobody can make us dial without end', async (t) => {
  const { partners, say, dialled } = bench();
  const relays = Array.from({ length: 10 }, (_, number) => partners.meet(at(number)));
  for (const relay of relays) {
    for (let number = 0; number < 50; number++) {
      say(relay, { type: 'connect', address: { host: `80.0.${relay.link}.${number}`, port: 80 } });
    }
  }
  t.equal(dialled.length, 30);
  const [one] = relays;
  if (!one) throw new Error('nobody is here');
  const rest = Array.from({ length: 61 }, () => say(one, { type: 'connect', address: at(99) }));
  t.match(rest.at(-1), { reason: 'flood' });
  t.equal(rest.at(-2), null);
});

t.test('a relay does not tell of more than its ration', async (t) => {
  const { partners, say, sent } = bench();
  const victim = partners.meet(at(200));
  for (let number = 1; number <= 40; number++) {
    say(partners.meet(at(number)), { type: 'rendezvous', address: at(200) });
  }
  t.equal(sent().filter(({ link }) => link === victim.link).length, 30);
});

t.test('what is no such message closes the link', async (t) => {
  const { partners } = bench();
  t.match(partners.tell(partners.meet(at(1)), 'ut_holepunch', new Uint8Array(3)), { reason: 'bad-message' });
});
