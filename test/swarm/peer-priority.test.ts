import fc from 'fast-check';
import t from 'tap';
import { peerPriority } from '../../src/swarm/peer-priority.js';

const at = (host: string, port = 6881) => ({ host, port });

t.test('the vectors of BEP 40', async (t) => {
  t.equal(peerPriority(at('123.213.32.10'), at('98.76.54.32')), 0xec2d7224);
  t.equal(peerPriority(at('123.213.32.10'), at('123.213.32.234')), 0x99568189);
});

t.test('of two ports on one host the ports decide', async (t) => {
  const ports = peerPriority(at('10.0.0.1', 5000), at('10.0.0.1', 6000));
  t.equal(ports, peerPriority(at('99.0.0.1', 6000), at('99.0.0.1', 5000)));
  t.not(ports, peerPriority(at('10.0.0.1', 5000), at('10.0.0.1', 6001)));
});

t.test('the low bits of a distant address do not count, so that they cannot be chosen', async (t) => {
  const here = at('123.213.32.10');
  t.equal(peerPriority(here, at('98.76.0.0')), peerPriority(here, at('98.76.170.170')), 'in another /16');
  t.equal(peerPriority(here, at('123.213.1.0')), peerPriority(here, at('123.213.1.170')), 'in another /24');
  t.not(peerPriority(here, at('123.213.32.0')), peerPriority(here, at('123.213.32.170')));
  const far = at('2001:db8::1');
  t.equal(peerPriority(far, at('2001:db9::')), peerPriority(far, at('2001:db9::aaaa')));
});

t.test('both ends compute the same, and two families nothing', async () => {
  const host = fc.oneof(
    fc.tuple(fc.nat(255), fc.nat(255), fc.nat(255), fc.nat(255)).map((bytes) => bytes.join('.')),
    fc.array(fc.integer({ min: 1, max: 0xffff }), { minLength: 8, maxLength: 8 }).map((groups) => {
      return groups.map((group) => group.toString(16)).join(':');
    }),
  );
  fc.assert(
    fc.property(host, host, (a, b) => {
      const priority = peerPriority(at(a, 1), at(b, 2));
      const isMixed = a.includes(':') !== b.includes(':');
      return priority === peerPriority(at(b, 2), at(a, 1)) && (!isMixed || priority === 0);
    }),
  );
});
