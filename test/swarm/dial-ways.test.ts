import t from 'tap';
import { DialWays, type Encryption } from '../../src/swarm/dial-ways.js';

/** What is dialled, try after try, when each ends with the next reason; a bar where the address has failed. */
function tries(encryption: Encryption, utp: boolean, reasons: readonly string[]): string {
  const ways = new DialWays(encryption, utp);
  const tried = { way: 0, failedWays: 0 };
  const log: string[] = [];
  for (const reason of reasons) {
    const { transport, encrypted } = ways.of(tried);
    log.push(`${transport}${encrypted ? '+' : ''}`);
    if (reason === 'open') tried.failedWays = 0;
    else if (!ways.failed(tried, reason)) log.push('|');
  }
  return log.join(' ');
}

const reset = 'reset';

t.test('each mode of encryption has its ways, tried in turn before the address counts as failed', (t) => {
  t.equal(tries('off', false, [reset, reset]), 'tcp | tcp |');
  t.equal(tries('required', false, [reset, reset]), 'tcp+ | tcp+ |');
  t.equal(tries('allowed', false, [reset, reset, reset, reset]), 'tcp tcp+ | tcp tcp+ |');
  t.equal(tries('preferred', false, ['handshake-timeout', 'encryption', reset]), 'tcp+ tcp | tcp+');
  t.equal(tries('allowed', true, [reset, reset, reset, reset]), 'tcp tcp+ utp utp+ |');
  t.end();
});

t.test('where nobody listens, encryption does not help, but another transport may', (t) => {
  t.equal(tries('allowed', false, ['refused', 'dial-timeout']), 'tcp | tcp |');
  t.equal(tries('preferred', true, ['refused', 'reset', 'reset', 'x']), 'tcp+ utp+ utp | tcp+ |');
  t.end();
});

t.test('the way that worked is the first one next time', (t) => {
  t.equal(tries('allowed', false, [reset, 'open', reset, reset, 'x']), 'tcp tcp+ tcp+ tcp | tcp+ |');
  t.equal(tries('allowed', true, ['refused', 'open', 'dial-timeout', reset]), 'tcp utp utp tcp');
  t.end();
});

t.test('an address is first dialled as it was said to like', (t) => {
  const first = (
    encryption: Encryption,
    utp: boolean,
    advice: { prefersEncryption?: boolean; utp?: boolean },
  ) => {
    const ways = new DialWays(encryption, utp);
    const tried = { way: 0, failedWays: 0 };
    ways.advised(tried, advice);
    return ways.of(tried);
  };
  t.same(first('allowed', true, {}), { transport: 'tcp', encrypted: false });
  t.same(first('allowed', true, { prefersEncryption: true }), { transport: 'tcp', encrypted: true });
  t.same(first('allowed', true, { utp: true }), { transport: 'utp', encrypted: false });
  t.same(first('preferred', true, {}), { transport: 'tcp', encrypted: true }, 'what we prefer');
  t.same(first('off', false, { prefersEncryption: true, utp: true }), { transport: 'tcp', encrypted: false });
  t.end();
});

t.test('other endings have nothing to do with the way', (t) => {
  t.equal(tries('allowed', true, ['wrong-info-hash', 'full']), 'tcp | tcp |');
  t.end();
});
