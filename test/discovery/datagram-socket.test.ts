import t from 'tap';
import { DatagramSocket, type DatagramSocketOptions } from '../../src/discovery/datagram-socket.js';

const PING = Buffer.from('d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe');
const sent: [string, string, number][] = [];
const options: DatagramSocketOptions = {
  send: (payload, host, port) => sent.push([Buffer.from(payload).toString('latin1'), host, port]) > 0,
  address: { host: '0.0.0.0', port: 6881 },
  mayDial: ({ host }) => host !== '127.0.0.1',
};

t.beforeEach(() => {
  sent.length = 0;
});

t.test('speaks as dgram does', async (t) => {
  const socket = new DatagramSocket(options);
  await new Promise<void>((resolve) => socket.bind(0, resolve));
  t.same(socket.address(), { address: '0.0.0.0', port: 6881, family: 'IPv4' });
  const messages: unknown[] = [];
  socket.on('message', (payload: Buffer, rinfo) => messages.push([payload.toString('latin1'), rinfo]));
  // A view that does not start its buffer: the whole buffer is not the message.
  const payload = new Uint8Array(Buffer.concat([Buffer.from('xx'), PING])).subarray(2);
  socket.deliver([{ host: '1.2.3.4', port: 5, payload }]);
  const rinfo = { address: '1.2.3.4', port: 5, family: 'IPv4', size: PING.length };
  t.same(messages, [[PING.toString('latin1'), rinfo]]);
  await new Promise<unknown>((resolve) => socket.send(Buffer.from('abcd'), 1, 2, 7, '8.8.8.8', resolve));
  t.same(sent, [['bc', '8.8.8.8', 7]]);
  await new Promise<void>((resolve) => socket.close(resolve));
});

t.test('sends to IPv4 literals that may be dialled, and to whoever just asked', async (t) => {
  const socket = new DatagramSocket(options);
  const send = (host: string, port = 7) => socket.send(Buffer.from('x'), 0, 1, port, host);
  for (const host of ['127.0.0.1', '::1', 'name.example', '']) send(host);
  t.same(sent, []);
  socket.on('message', (_payload, { address, port }) => {
    send(address, port);
    send(address, port + 1);
  });
  socket.deliver([{ host: '127.0.0.1', port: 5, payload: PING }]);
  t.same(sent, [['x', '127.0.0.1', 5]]);
  send('127.0.0.1', 5);
  t.equal(sent.length, 1, 'only while it is being answered');
});

t.test('a listener that throws does not stop the next datagram', async (t) => {
  const socket = new DatagramSocket(options);
  const errors: unknown[] = [];
  let messages = 0;
  socket.on('error', (error) => errors.push(error));
  socket.on('message', () => {
    messages += 1;
    throw new Error('odd');
  });
  socket.deliver([1, 2].map((port) => ({ host: '1.2.3.4', port, payload: PING })));
  t.equal(messages, 2);
  t.equal(errors.length, 2);
  t.equal(socket.refused, 2);
});

t.test('closed, it neither hears nor speaks', async (t) => {
  const socket = new DatagramSocket(options);
  socket.on('message', () => t.fail('heard'));
  socket.on('listening', () => t.fail('listening'));
  socket.bind();
  socket.close();
  socket.close();
  socket.deliver([{ host: '1.2.3.4', port: 5, payload: PING }]);
  socket.send(PING, 0, PING.length, 7, '8.8.8.8');
  await new Promise((resolve) => setImmediate(resolve));
  t.same(sent, []);
});
