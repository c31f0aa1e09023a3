/** A plain HTTP server with ranges, as a web seed is; and what it was asked for. */

import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { Test } from 'tap';

export interface WebServer {
  readonly url: string;
  readonly port: number;
  /** Path and range of each request. */
  readonly requests: readonly { readonly path: string; readonly range: string | undefined }[];
  /** Bytes of bodies. */
  sentBytes: number;
}

export interface WebServerOptions {
  /** Answers in place of the server; false: it shall answer itself. */
  readonly answer?: (request: IncomingMessage, response: ServerResponse) => boolean | Promise<boolean>;
  readonly tls?: { readonly key: string; readonly cert: string };
  /** Where to listen: loopback when absent. */
  readonly host?: string;
}

/** Serves the files below a folder until the test ends. */
export async function serveFolder(
  t: Test,
  folder: string,
  options: WebServerOptions = {},
): Promise<WebServer> {
  const requests: { path: string; range: string | undefined }[] = [];
  const listener = async (request: IncomingMessage, response: ServerResponse) => {
    const path = decodeURIComponent((request.url ?? '/').split('?')[0] ?? '/');
    requests.push({ path, range: request.headers.range });
    if (!(await options.answer?.(request, response))) answer(join(folder, path), request, response, served);
  };
  const server: Server = options.tls ? createTlsServer(options.tls, listener) : createServer(listener);
  const host = options.host ?? '127.0.0.1';
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const served = {
    url: `${options.tls ? 'https' : 'http'}://${host}:${port}/`,
    port,
    requests,
    sentBytes: 0,
  };
  return served;
}

function answer(
  path: string,
  request: IncomingMessage,
  response: ServerResponse,
  served: { sentBytes: number },
): void {
  let content: Buffer;
  try {
    content = readFileSync(path);
  } catch {
    response.writeHead(404).end();
    return;
  }
  const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? [];
  const start = Number(first ?? 0);
  const end = Math.min(Number(last ?? content.length - 1) + 1, content.length);
  served.sentBytes += end - start;
  const range = { 'content-range': `bytes ${start}-${end - 1}/${content.length}` };
  const length = { 'content-length': String(end - start) };
  response.writeHead(first === undefined ? 200 : 206, { ...length, ...(first === undefined ? {} : range) });
  response.end(content.subarray(start, end));
}
