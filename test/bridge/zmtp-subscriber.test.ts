/** Messages of a publisher's are heard; what is no publisher is told apart, and nothing of it piles up. */
import { EventEmitter, getEventListeners, once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import t, { type Test } from 'tap';
import { ZmtpSubscriber } from '../../src/bridge/zmtp-subscriber.js';
import { parseHostPort } from '../../src/connector.js';
import { freePort } from '../helpers/free-port.js';
import { Program } from '../helpers/program.js';
import { pyzmq, withoutPyzmq, zmqPublisherScript } from '../helpers/pyzmq.js';
import {
  hashBlock,
  readFrame,
  ZmtpPublisher,
  zmtpCommand,
  zmtpFrame,
  zmtpGreeting,
  zmtpMessage,
  zmtpReady,
} from '../helpers/zmtp-publisher.js';

/** Listens; counts what it hears. */
function listen(address: string, options: { readonly handshakeMs?: number } = {}) {
  const stop = new AbortController();
  const hints = new EventEmitter();
  const listening = {
    heard: 0,
    /** What it has left at the signal. */
    leftovers: () => getEventListeners(stop.signal, 'abort').length,
    stop: () => stop.abort(),
    until: async (count: number) => {
      while (listening.heard < count) await once(hints, 'heard');
    },
    ended: new ZmtpSubscriber(parseHostPort(address), 'hashblock', options).listen(() => {
      listening.heard++;
      hints.emit('heard');
    }, stop.signal),
  };
  return listening;
}

async function publisher(t: Test): Promise<ZmtpPublisher> {
  const publisher = new ZmtpPublisher(t);
  await publisher.start();
  return publisher;
}

for (const [minor, subscription] of [
  [0, { flags: 0, body: Buffer.from('\x01hashblock') }],
  [1, { flags: 4, body: Buffer.from('\x09SUBSCRIBEhashblock') }],
] as const) {
  t.test(`a publisher of ZMTP 3.${minor} is asked for the topic, and heard`, async (t) => {
    const from = await publisher(t);
    from.greeting = zmtpGreeting({ minor });
    from.subscribed = (socket) => {
      const others = [
        hashBlock(1, 'hashblocks'),
        zmtpMessage(Buffer.from('rawblock'), Buffer.alloc(3_000_000), Buffer.from('hashblock')),
        zmtpMessage(Buffer.alloc(5000), Buffer.from('hashblock')),
        zmtpCommand('UNKNOWN', Buffer.alloc(2000)),
        zmtpFrame(1, Buffer.from('hashblock')),
      ];
      socket.end(Buffer.concat(others));
    };
    const quiet = listen(from.address);
    t.same(await quiet.ended, { failure: 'the connection was closed', isRefused: false });
    t.equal(quiet.heard, 1, 'that it listens, and no message of another topic nor half a one');
    t.same(from.subscriptions, [subscription]);

    from.subscribed = async (socket) => {
      for (const byte of hashBlock(1)) {
        socket.write(Uint8Array.of(byte));
        await new Promise((resolve) => setImmediate(resolve));
      }
      await listening.until(2);
      socket.write(Buffer.concat([hashBlock(2), hashBlock(3)]));
    };
    const listening = listen(from.address);
    await listening.until(3);
    listening.stop();
    await listening.ended;
    t.equal(listening.heard, 3);
  });
}

t.test('a PING is answered with its context; of a flood of them one for many', async (t) => {
  const from = await publisher(t);
  const ping = zmtpCommand('PING', Buffer.from('\0\x0asomething'));
  const pings = Buffer.concat(new Array(20_000).fill(ping));
  let answer: unknown = null;
  let peer: Socket | null = null;
  from.subscribed = async (socket) => {
    peer = socket;
    socket.write(ping);
    answer = await readFrame(socket);
    for (let n = 0; n < 20; n++) if (!socket.write(pings)) await once(socket, 'drain');
    socket.write(hashBlock(1));
  };
  const listening = listen(from.address);
  await listening.until(2);
  t.same(answer, { flags: 4, body: Buffer.from('\x04PONGsomething') });
  listening.stop();
  await listening.ended;
  if (!peer || !(peer as Socket).closed) await once(peer as unknown as Socket, 'close');
  t.ok((peer as unknown as Socket).bytesRead < 5 * pings.length, 'a quarter of what was asked');
});

t.test('what is no publisher of a node is told in a few words', async (t) => {
  const from = await publisher(t);
  const cases: readonly (readonly [Partial<Pick<ZmtpPublisher, 'greeting' | 'ready'>>, RegExp])[] = [
    [{ greeting: zmtpGreeting({ mechanism: 'CURVE' }) }, /asks for a login \(CURVE\)/],
    [{ greeting: zmtpGreeting({ major: 1 }) }, /before 3\.0/],
    [{ ready: zmtpReady('PUSH') }, /no publisher/],
    [
      { ready: zmtpCommand('READY', Buffer.from('\x0bSocket-Type\xff\xff\xff\xffPUB', 'latin1')) },
      /no publisher/,
    ],
    [{ ready: zmtpCommand('READY', Buffer.alloc(5000)) }, /no publisher/],
    [{ ready: zmtpCommand('ERROR', Buffer.from('\x03why')) }, /refuses: why/],
    [{ ready: hashBlock() }, /before it is ready/],
    [{ greeting: Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n') }, /not ZeroMQ/],
  ];
  for (const [how, failure] of cases) {
    Object.assign(from, { greeting: zmtpGreeting(), ready: zmtpReady('PUB') }, how);
    const listening = listen(from.address);
    t.match(await listening.ended, { failure, isRefused: true });
    t.equal(listening.heard, 0);
    t.equal(listening.leftovers(), 0, 'it is called again and again with one signal');
  }
  await from.stop();
  await from.start({ deaf: true });
  t.match(await listen(from.address).ended, { failure: /closes the connection/, isRefused: false });
  await from.stop();
  t.match(await listen(from.address).ended, { failure: 'refused' });
  t.match(await listen(`127.0.0.1:${await freePort()}`).ended, { failure: 'refused' });
});

t.test('one that says nothing is given up after a time, and at once when the signal fires', async (t) => {
  const sockets: Socket[] = [];
  const server = createServer((socket) => sockets.push(socket)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const { port } = server.address() as { port: number };
  t.match(await listen(`127.0.0.1:${port}`, { handshakeMs: 20 }).ended, { failure: /nothing there answers/ });
  const listening = listen(`127.0.0.1:${port}`);
  await once(server, 'connection');
  listening.stop();
  await listening.ended;
  const late = listen(`127.0.0.1:${port}`);
  late.stop();
  await late.ended;
  t.equal(late.heard, 0);
});

t.test("libzmq's publishers are heard", { skip: withoutPyzmq() }, async (t: Test) => {
  const xpub = new Program(t, pyzmq, ['-B', zmqPublisherScript, 'XPUB']);
  const [, xpubPort] = await xpub.printed(/"port": (\d+)/);
  const listening = listen(`127.0.0.1:${xpubPort}`);
  const [, asked] = await xpub.printed(/"asked": "(\w+)"/);
  t.equal(
    Buffer.from(asked ?? '', 'hex').toString('latin1'),
    '\x01hashblock',
    'as XPUB shows a subscription',
  );
  await listening.until(1);
  for (let count = 2; count < 5; count++) {
    xpub.child.stdin?.write('\n');
    await listening.until(count);
  }
  xpub.child.stdin?.end();
  t.same(await listening.ended, { failure: 'the connection was closed', isRefused: false });
  t.equal(listening.heard, 4, 'each block once, and nothing else');

  const pub = new Program(t, pyzmq, ['-B', zmqPublisherScript, 'PUB']);
  const [, pubPort] = await pub.printed(/"port": (\d+)/);
  const again = listen(`127.0.0.1:${pubPort}`);
  await again.until(10);
  again.stop();
  await again.ended;
});
