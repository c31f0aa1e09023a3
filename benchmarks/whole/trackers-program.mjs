// Trackers on loopback that answer everybody with nobody, over HTTP or UDP: prints their URLs, then for each line on stdin
// what they were asked so far. Ends with its stdin.
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';

const [scheme, count] = process.argv.slice(2);
/** When each request came. */
const times = [];
const names = new Set();
const reply = 'd8:completei0e10:incompletei0e8:intervali1800e5:peers0:e';

function seen(name) {
  times.push(performance.now());
  if (name) names.add(name);
}

async function http() {
  const server = createServer(({ url }, response) => {
    seen(/info_hash=([^&]*)/.exec(url)?.[1]);
    response.end(reply);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server.address().port;
}

async function udp() {
  const socket = createSocket('udp4').bind(0, '127.0.0.1');
  socket.on('message', (request, { port, address }) => {
    const isAnnounce = request.readUInt32BE(8) === 1;
    seen(isAnnounce ? request.toString('latin1', 16, 36) : null);
    const answer = Buffer.alloc(isAnnounce ? 20 : 16);
    answer.writeUInt32BE(isAnnounce ? 1 : 0, 0);
    request.copy(answer, 4, 12, 16);
    if (isAnnounce) answer.writeUInt32BE(1800, 8);
    socket.send(answer, port, address);
  });
  await once(socket, 'listening');
  return socket.address().port;
}

const urls = [];
for (let n = 0; n < Number(count); n++) {
  urls.push(`${scheme}://127.0.0.1:${await (scheme === 'udp' ? udp() : http())}/announce`);
}
process.stdout.write(`${JSON.stringify({ urls })}\n`);
createInterface(process.stdin)
  .on('line', () => {
    let [first, busiestSecond] = [0, 0];
    for (const [at, ms] of times.entries()) {
      while (ms - times[first] >= 1000) first++;
      busiestSecond = Math.max(busiestSecond, at - first + 1);
    }
    const perSecond = (1000 * times.length) / Math.max(1, times.at(-1) - times[0]);
    process.stdout.write(`${JSON.stringify({ busiestSecond, perSecond, names: names.size })}\n`);
  })
  .once('close', () => process.exit());
