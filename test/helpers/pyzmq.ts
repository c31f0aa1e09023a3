/** libzmq, by way of pyzmq: a publisher that shares no line with us (see zmq_publisher.py). */
import { fileURLToPath } from 'node:url';

export const zmqPublisherScript = fileURLToPath(new URL('zmq_publisher.py', import.meta.url));

/** The Python that has pyzmq: `npm test` sets it. */
export const pyzmq = process.env['BLOCKSWARM_PYZMQ'] ?? '';

/** For tap's `skip`: why a test that needs libzmq does not run, or `false`. */
export function withoutPyzmq(): string | false {
  return pyzmq === '' && 'no pyzmq: BLOCKSWARM_PYZMQ is not set';
}
