/** A gateway on an address of loopback of its own: PCP and NAT-PMP at 5351, and a UPnP device behind a search port. */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Test } from 'tap';

export interface FakeGatewayOptions {
  readonly host: string;
  readonly speaks: readonly ('pcp' | 'nat-pmp' | 'upnp-igd')[];
  readonly externalHost?: string;
  /** Instead of the one that is asked for. */
  readonly externalPort?: number;
  readonly lifetimeSeconds?: number;
  /** Seconds since the gateway started, as it says at each answer. */
  readonly epochs?: number[];
  /** Instead of an answer: any datagram. */
  readonly datagram?: Buffer;
  /** Instead of the device's description. */
  readonly description?: string;
  /** Instead of where its description is. */
  readonly location?: string;
  /** Instead of what it answers to an action. */
  readonly answer?: string;
  /** Of AddPortMapping, UPnP. */
  readonly errorCodes?: number[];
}

const SERVICE = 'urn:schemas-upnp-org:service:WANIPConnection:1';

export class FakeGateway {
  /** What was mapped: transport, external port, lifetime. */
  readonly mapped: string[] = [];
  readonly removed: string[] = [];
  /** Requests over HTTP, for its pages. */
  readonly requests: string[] = [];
  readonly options: FakeGatewayOptions;
  searchPort = 0;
  #httpPort = 0;

  private constructor(options: FakeGatewayOptions) {
    this.options = options;
  }

  static async start(t: Test, options: FakeGatewayOptions): Promise<FakeGateway> {
    const gateway = new FakeGateway(options);
    const natpmp = createSocket('udp4');
    natpmp.on('message', (message, { port, address }) => {
      const answer = options.datagram ?? gateway.#answer(message);
      if (answer) natpmp.send(answer, port, address);
    });
    const ssdp = createSocket('udp4');
    ssdp.on('message', (_message, { port, address }) => {
      if (!options.speaks.includes('upnp-igd')) return;
      const location = options.location ?? `http://${options.host}:${gateway.#httpPort}/root.xml`;
      ssdp.send(`HTTP/1.1 200 OK\r\nST: ${SERVICE}\r\nLocation: ${location}\r\n\r\n`, port, address);
    });
    const http = createServer((request, response) => {
      let body = '';
      request.setEncoding('utf8').on('data', (text) => {
        body += text;
      });
      request.on('end', () => {
        gateway.requests.push(`${request.method} ${request.url}`);
        const { status, text } = gateway.#page(request.url ?? '', body);
        response.writeHead(status, { 'content-type': 'text/xml' }).end(text);
      });
    });
    const bound = async (socket: Socket, port: number) => {
      socket.bind(port, options.host);
      await once(socket, 'listening');
      return socket.address().port;
    };
    t.teardown(async () => {
      natpmp.close();
      ssdp.close();
      await closed(http);
    });
    await bound(natpmp, 5351);
    gateway.searchPort = await bound(ssdp, 0);
    http.listen(0, options.host);
    await once(http, 'listening');
    gateway.#httpPort = (http.address() as AddressInfo).port;
    return gateway;
  }

  /** RFC 6886 and RFC 6887. */
  #answer(message: Buffer): Buffer | null {
    const { speaks, externalHost = '198.51.100.7', epochs = [] } = this.options;
    const epoch = epochs.length > 1 ? (epochs.shift() ?? 0) : (epochs[0] ?? 1000);
    const host = Buffer.from(externalHost.split('.').map(Number));
    const [version, operation] = message;
    if (version === 2) {
      if (!speaks.includes('pcp'))
        return speaks.includes('nat-pmp') ? Buffer.from([0, 0x81, 0, 1, 0, 0, 0, 0]) : null;
      const answer = Buffer.alloc(60);
      message.copy(answer, 0, 0, 60);
      const wanted = message.readUInt32BE(4);
      const transport = message[36] === 6 ? 'tcp' : 'udp';
      const port = this.#map(transport, message.readUInt16BE(42), wanted);
      answer.set([2, 0x81, 0, 0], 0);
      answer.writeUInt32BE(wanted === 0 ? 0 : (this.options.lifetimeSeconds ?? wanted), 4);
      answer.writeUInt32BE(epoch, 8);
      answer.fill(0, 12, 24);
      answer.writeUInt16BE(port, 42);
      answer.set([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, ...host], 44);
      return answer;
    }
    if (version !== 0 || !speaks.includes('nat-pmp')) return null;
    if (operation === 0) {
      const answer = Buffer.alloc(12);
      answer.set([0, 0x80, 0, 0], 0);
      answer.writeUInt32BE(epoch, 4);
      answer.set(host, 8);
      return answer;
    }
    const wanted = message.readUInt32BE(8);
    const port = this.#map(operation === 2 ? 'tcp' : 'udp', message.readUInt16BE(6), wanted);
    const answer = Buffer.alloc(16);
    answer.set([0, 0x80 + (operation ?? 0), 0, 0], 0);
    answer.writeUInt32BE(epoch, 4);
    message.copy(answer, 8, 4, 6);
    answer.writeUInt16BE(wanted === 0 ? 0 : port, 10);
    answer.writeUInt32BE(wanted === 0 ? 0 : (this.options.lifetimeSeconds ?? wanted), 12);
    return answer;
  }

  #map(transport: string, port: number, lifetimeSeconds: number): number {
    if (lifetimeSeconds === 0) this.removed.push(transport);
    else this.mapped.push(`${transport} ${port} ${lifetimeSeconds}`);
    return lifetimeSeconds === 0 ? 0 : (this.options.externalPort ?? port);
  }

  #page(url: string, body: string): { readonly status: number; readonly text: string } {
    const { description, answer, externalHost = '198.51.100.7', errorCodes = [] } = this.options;
    if (url === '/root.xml') return { status: 200, text: description ?? DESCRIPTION };
    if (url === '/scpd.xml') return { status: 200, text: SCPD };
    if (answer !== undefined) return { status: 200, text: answer };
    const field = (name: string) => new RegExp(`<${name}>([^<]*)</${name}>`).exec(body)?.[1] ?? '';
    const [, action = ''] = /<[a-z]:([A-Za-z]+) xmlns/.exec(body) ?? [];
    if (action === 'AddPortMapping') {
      const code = errorCodes.shift();
      if (code !== undefined) return { status: 500, text: fault(code) };
      this.#map(
        field('NewProtocol').toLowerCase(),
        Number(field('NewExternalPort')),
        Number(field('NewLeaseDuration')) || 1,
      );
      return { status: 200, text: envelope(action, '') };
    }
    if (action === 'DeletePortMapping') {
      this.removed.push(field('NewProtocol').toLowerCase());
      return { status: 200, text: envelope(action, '') };
    }
    if (action === 'GetExternalIPAddress') {
      const text = `<NewExternalIPAddress>${externalHost}</NewExternalIPAddress>`;
      return { status: 200, text: envelope(action, text) };
    }
    return { status: 404, text: '' };
  }
}

function closed(server: Server): Promise<void> {
  server.closeAllConnections();
  return new Promise((resolve) => server.close(() => resolve()));
}

function envelope(action: string, inside: string): string {
  return (
    '<?xml version="1.0"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>' +
    `<u:${action}Response xmlns:u="${SERVICE}">${inside}</u:${action}Response></s:Body></s:Envelope>`
  );
}

function fault(code: number): string {
  return (
    '<?xml version="1.0"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault>' +
    '<faultcode>s:Client</faultcode><faultstring>UPnPError</faultstring><detail>' +
    `<UPnPError xmlns="urn:schemas-upnp-org:control-1-0"><errorCode>${code}</errorCode>` +
    '<errorDescription>no</errorDescription></UPnPError></detail></s:Fault></s:Body></s:Envelope>'
  );
}

const device = (type: string, inside: string) =>
  `<device><deviceType>urn:schemas-upnp-org:device:${type}:1</deviceType>${inside}</device>`;

const DESCRIPTION = `<?xml version="1.0"?><root xmlns="urn:schemas-upnp-org:device-1-0">${device(
  'InternetGatewayDevice',
  `<deviceList>${device(
    'WANDevice',
    `<deviceList>${device(
      'WANConnectionDevice',
      `<serviceList><service><serviceType>${SERVICE}</serviceType><controlURL>/control</controlURL>` +
        '<eventSubURL>/event</eventSubURL><SCPDURL>/scpd.xml</SCPDURL></service></serviceList>',
    )}</deviceList>`,
  )}</deviceList>`,
)}</root>`;

const action = (name: string, args: readonly string[]) =>
  `<action><name>${name}</name><argumentList>${args
    .map((arg) => `<argument><name>${arg}</name><direction>in</direction></argument>`)
    .join('')}</argumentList></action>`;
const NAMED = ['NewRemoteHost', 'NewExternalPort', 'NewProtocol'];
const SCPD = `<?xml version="1.0"?><scpd xmlns="urn:schemas-upnp-org:service-1-0"><actionList>${
  action('AddPortMapping', [
    ...NAMED,
    ...[
      'NewInternalPort',
      'NewInternalClient',
      'NewEnabled',
      'NewPortMappingDescription',
      'NewLeaseDuration',
    ],
  ]) + action('DeletePortMapping', NAMED)
}</actionList></scpd>`;
